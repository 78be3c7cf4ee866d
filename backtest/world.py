"""`World`: a market's source, every deciding service, and who trades, on one bus.

A run is a function of its source, its settings and its seed: who runs it twice has every record twice, byte
for byte. What is kept is what the services keep; whoever wants what they wrote taps the bus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self

from backtest.bus import Bus
from backtest.bus import Delays as Hops
from backtest.delays import Measured
from backtest.following import follow
from backtest.partition_host import NOWHERE, PartitionHost
from backtest.policies_host import Answers, PoliciesHost
from backtest.profile import PARTITIONS, Profile
from backtest.trader import Trader
from backtest.venues_host import VenuesHost
from libs.common.events import BOOK, ChoosePolicy, OrderFilled
from libs.common.time_units import MINUTE_NS
from libs.common.told import OUTSIDE
from libs.common.topics import PORTFOLIO_COMMANDS, PORTFOLIO_RISK, VENUES_METRICS
from libs.common.views import View
from services.execution.app import wiring as execution
from services.execution.decide.policies import POLICIES as BUILT_IN
from services.portfolio.app import create_wiring as portfolio
from services.portfolio.app import first_assessment
from services.router.app import wiring as router
from services.router.arms import Arms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from backtest.source import Source
    from libs.common.events import Event, RiskBudget, VenueMetrics

POLICIES: Final = ("p_sma", "p_breakout", "p_meanrev", "p_obi", "p_flat")


class Delays(Hops, Answers, Protocol):
    """How long everything takes."""


class Trading(NamedTuple):
    """What is traded, how often and by which policies."""

    symbols: Sequence[str]
    interval_ns: int = MINUTE_NS  # between two executions of one symbol
    urgency: float = 0.5
    policies: Sequence[str] = POLICIES  # that the router may choose from: built in, hosted or from outside


class UnknownPolicyError(ValueError):
    """A policy is asked for that nobody runs; the text says which there are."""


class World:
    """The whole system from the source's beginning on; a context manager, at whose end no process is left.

    Nothing happens before the first `run`: who wants every record taps `bus` before.

    Parameters
    ----------
    delays
        Default: as measured, drawn with `seed`. `backtest.delays.Immediate`: none.

    Attributes
    ----------
    hosts
        Of the stateful services, by name.
    """

    def __init__(
        self,
        source: Source,
        trading: Trading,
        profile: Profile | None = None,
        seed: int = 0,
        delays: Delays | None = None,
    ) -> None:
        self.source, self.trading, self.seed = source, trading, seed
        self.profile = (profile or Profile.of()).choosing_among(trading.policies)
        delays = Measured(seed) if delays is None else delays
        self.bus = bus = Bus(PARTITIONS, delays, source.provenance.begin_ts)
        settings = self.profile
        self.venues = VenuesHost(bus, settings.venues)
        book = bus.place(BOOK.encode())
        self.hosts = {
            "router": PartitionHost(bus, router(settings.router, Arms()), self._of_context),
            "portfolio": PartitionHost(
                bus,
                portfolio(settings.portfolio.rules()),
                lambda message, number: (
                    number if number != book or isinstance(message, OrderFilled) else None
                ),
            ),
            "execution": PartitionHost(bus, execution(settings.execution)),
        }
        self.policies = PoliciesHost(bus, settings.policies, trading.policies, delays)
        self._check_policies()
        self._risk: View[RiskBudget] = View(PORTFOLIO_RISK)
        self._metrics: View[VenueMetrics] = View(VENUES_METRICS)
        follow(bus, (self._risk, self._metrics))
        self.trader = Trader(bus, trading.symbols, trading.interval_ns, trading.urgency, self.lack)
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.policies.close()

    @property
    def now(self) -> int:
        """The simulated time, ns UTC."""
        return self.bus.now

    def run(self, until: int | None = None) -> None:
        """Let time pass until a moment (ns UTC; default: the source's end)."""
        if not self._started:
            self._started = True
            self._start()
        self.bus.run(self.source.provenance.end_ts if until is None else until)

    def lack(self) -> str:
        """Say what is lacking for a first decision; "" where nothing is."""
        if not self._risk.items:
            return "the portfolio has told no risk budget yet"
        scored = {metrics.symbol for metrics in self._metrics.items.values()}
        if unscored := [symbol for symbol in self.trading.symbols if symbol not in scored]:
            return f"no venue has been measured yet for {', '.join(unscored)}"
        if starting := self.policies.missing:
            return f"a signal is awaited of {starting}"
        return ""

    def _check_policies(self) -> None:
        known = {*BUILT_IN, *self.policies.known}
        unknown = [
            each for each in self.trading.policies if not each.startswith(OUTSIDE) and each not in known
        ]
        if unknown:
            self.policies.close()
            raise UnknownPolicyError(
                f"no policy is called {', '.join(unknown)}; known are {', '.join(sorted(known))}, and from "
                f"outside names that begin with {OUTSIDE}"
            )

    def _start(self) -> None:
        bus = self.bus
        self.source.start(bus)
        for host in self.hosts.values():
            host.announce()
        self.policies.start()
        command, told = first_assessment(self.profile.portfolio.group_instance_id, bus.now)
        bus.publish(PORTFOLIO_COMMANDS, command.book.encode(), command, told.headers())

    def _of_context(self, message: Event | None, number: int) -> int | None:
        """Return whose books the router looks at: those of the symbol that its context names."""
        del number
        if not isinstance(message, ChoosePolicy):
            return NOWHERE
        symbol: Any = message.context.get("symbol")
        return None if symbol is None else self.bus.place(str(symbol).encode())
