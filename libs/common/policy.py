"""What a trading policy is: a pure function of one market, as of one moment, to a signal.

Built-in policies (``services/execution/decide/policies.py``) and users' own ones, which ``services/policies``
hosts, have this one interface. A policy sees nothing but its `Market`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from libs.common.events import Candle, Features, Level, PolicySignal
from libs.common.time_units import DAY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

Signal: TypeAlias = PolicySignal

DEFAULT_SCOPES: Final = ("default",)
VALID_S: Final = 150.0  # two closed minutes and a half: one that comes late does not end a signal


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """A LIVE, two-sided book of the symbol at one venue."""

    venue: str
    bids: tuple[Level, ...]  # (price in quote units, size in base units), best first
    asks: tuple[Level, ...]
    features: Features
    epoch: int  # of the book, with seq: which of its states this is
    seq: int
    received_ts: int  # ns UTC


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy sees of one symbol, as of one moment: nothing in it was known later than `ts`."""

    symbol: str = ""
    ts: int = 0  # ns UTC
    minutes: tuple[Candle, ...]  # closed 1m candles of the reference venue, oldest first
    days: tuple[Candle, ...]  # closed 1d candles of it, oldest first
    features: Features | None  # of its LIVE book, else of another venue's; None: there is none
    books: dict[str, Book] = {}  # LIVE ones, by venue; built-in policies are given none
    parameters: dict[str, float | str | bool] = {}  # the policy's own

    def closes(self, n: int) -> NDArray[np.float64]:
        """Return the closes of the last `n` minutes, oldest first, (n,), or fewer where there are fewer."""
        import numpy as np  # noqa: PLC0415 -- who hands markets on computes nothing

        return np.array([candle.close for candle in self.minutes[-n:]], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy, and what people are told of it."""

    signal: Callable[[Market], Signal]
    summary: str
    parameters: Mapping[str, float | str | bool] = field(default_factory=dict)
    horizon_s: float = float(DAY_S)  # for how long what it decided is its own, if nothing is decided before
    revision: int = 1  # of a built-in one: one more whenever the same market may give another signal
    valid_s: float = VALID_S  # for how long a signal of a hosted one may be used
    on_tops: bool = False  # a hosted one is asked when books change too, not at each closed minute alone
    symbols: tuple[str, ...] = ()  # that a hosted one is asked of; empty: all that have a book
    joins: tuple[str, ...] = DEFAULT_SCOPES  # scopes that choose among a hosted one
    keeps_posterior: bool = False  # a changed version of a hosted one goes on with what was learnt of it
