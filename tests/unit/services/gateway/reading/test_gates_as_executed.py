"""The gates against the execution service itself: in worlds that nothing has changed since they decided."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from libs.common.events import (
    BOOK,
    BookState,
    CommandRejected,
    OrderSubmitted,
    PolicyRegistered,
    PolicyState,
    SymbolRisk,
    TradingHalted,
)
from services.execution.limits.breaches import breaches
from services.gateway.reading.gate import ORDER
from services.gateway.reading.gates import why_of
from services.gateway.reading.resized import size
from tests.execution_market import (
    NOW,
    a_policy_chosen,
    a_policy_signalled,
    a_position,
    a_risk_budget,
    some_metrics,
)
from tests.execution_world import VENUES, ExecutionWorld, S
from tests.gate_world import SYMBOL, SeenViews, decision_in, present_of

if TYPE_CHECKING:
    from services.gateway.reading.decision_facts import Decision
    from services.gateway.reading.gates import SymbolWhy
    from services.gateway.reading.resized import SizingInputs

WORLDS = 400
TOLD = "x_mine"


class Drawn:
    """A world drawn by a seed: most things as they should be, and some one way or another not."""

    def __init__(self, seed: int, **instead: float) -> None:
        self.instead = instead  # of what is drawn: the signal that is told, the width of the choice
        self.draw = draw = random.Random(seed)
        self.policy_id = draw.choice(("p_sma", "p_sma", "p_flat", "p_meanrev", TOLD, TOLD, TOLD))
        self.settings: dict[str, Any] = {
            "allow_short": draw.random() < 0.2,
            "w_star": draw.choice((None, 0.005)),
            "position_cap": draw.choice((0.5, 0.5, 0.001)),
            "limit_min_live_venues": draw.choice((0, 1, 2)),
            "limit_symbol_exposure": draw.choice((0, 0, 0.3)),
            "limit_orders_per_minute": draw.choice((0, 100)),
        }
        self.choice = {
            "width": draw.choice((0.001, 0.01, 0.02, 0.05)),
            "prior_width": draw.choice((0.02,) * 9 + (0.0,)),
            "forecast_vol": draw.choice((0.02, 0.005, 0.4) * 3 + (None,)),
        }
        self.choice |= {name: value for name, value in instead.items() if name in self.choice}

    @property
    def signal(self) -> float:
        """What is told of `TOLD`."""
        return self.told.value

    def rarely(self, share: float = 0.06) -> bool:
        return self.draw.random() < share

    def world(self) -> ExecutionWorld:
        world = ExecutionWorld(self.policy_id, **self.settings)
        world.rising()
        world.books()
        self._told(world)
        self._risk(world)
        self._held(world)
        self._faults(world)
        return world

    def _told(self, world: ExecutionWorld) -> None:
        draw = self.draw
        state = PolicyState.QUARANTINED if self.rarely() else PolicyState.RUNNING
        if not self.rarely():
            registered = PolicyRegistered(
                policy_id=TOLD, kind="external", summary="", version="", state=state
            )
            world.fold(world.market.policies, TOLD.encode(), registered)
        until = NOW - S if self.rarely(0.15) else NOW + 60 * S
        value = draw.choice((0.8, 0.05, 0.002, 1e-7, 0.0, -0.4))
        self.told = a_policy_signalled(
            TOLD, self.instead.get("signal", value), inputs_ts=NOW - 5 * S, valid_until_ts=until
        )
        world.fold(world.market.signals, f"{TOLD}:{SYMBOL}".encode(), self.told)

    def _risk(self, world: ExecutionWorld) -> None:
        draw = self.draw
        if self.rarely():
            return
        used = draw.choice((0.0, 0.02, 0.05, 0.07))
        own = SymbolRisk(cvar=draw.choice((0.05, 0.0)), vol=0.02, weight=0.0, used=0.0)
        budget = a_risk_budget(
            equity=Decimal(draw.choice((1_000_000, 1_000_000, 1_000, 1_000, 200, 20, 3, 0))),
            cvar_used=used,
            by_symbol={} if self.rarely() else {SYMBOL: own},
        )
        world.fold(world.market.risk, BOOK.encode(), budget)

    def _held(self, world: ExecutionWorld) -> None:
        draw = self.draw
        if draw.random() < 0.5:
            return
        held = draw.choice((Decimal("0.00001"), Decimal("0.01"), Decimal(3), Decimal(20)))
        world.fold(world.market.positions, SYMBOL.encode(), a_position(held))

    def _faults(self, world: ExecutionWorld) -> None:
        for scope in ("all", f"symbol:{SYMBOL}", f"policy:{self.policy_id}", "venue:binance", "venue:bybit"):
            if self.rarely(0.04):
                halted = TradingHalted(scope=scope, reason="a drill", by="me", ts=NOW)
                world.fold(world.market.controls, scope.encode(), halted)
        for venue in VENUES:
            if self.rarely():
                world.fold(
                    world.market.metrics,
                    f"{venue}:{SYMBOL}".encode(),
                    some_metrics(venue, SYMBOL, 0.0, 5.0, NOW),
                )
        if self.rarely():
            world.books(state=BookState.GAP, venues=self.draw.choice((VENUES, VENUES[:1])))
        if self.rarely():
            world.now += 40 * S  # nothing has proved the books for so long
        for halted in breaches(world.state, world.market, world.now):  # as the service's watch would
            world.fold(world.market.controls, halted.scope.encode(), halted)

    def answer(self, world: ExecutionWorld) -> None:
        command = world.unanswered.pop(0)
        if type(command).__name__ == "ChoosePolicy":
            world.deliver(a_policy_chosen(command.command_id, self.policy_id, ts=world.now, **self.choice))  # type: ignore[attr-defined]  # of a command
        else:
            world.deliver(world.answer_to(command))


def a_healthy_size(settings: dict[str, Any]) -> Decision:
    """Return a decision that had a size under these settings, an hour ago."""
    world = ExecutionWorld("p_sma", **settings | {"limit_symbol_exposure": 0})
    world.ready()
    execution_id = world.execute()
    world.answer()
    found = decision_in(world, execution_id)
    assert found is not None
    assert found.inputs is not None
    return found


def executed(drawn: Drawn, world: ExecutionWorld) -> str:
    """Ask for an execution, and answer it until an order is sent or it has ended."""
    execution_id = world.execute()
    for _ in range(4):
        record = world.records.get(execution_id)
        if world.unanswered and not (record and record.status.final) and not world.all(OrderSubmitted):
            drawn.answer(world)
    return execution_id


def gates_of(world: ExecutionWorld, execution_id: str, inputs: SizingInputs | None) -> set[str]:
    """Return which gates the outcome of the execution speaks of; none where an order was sent."""
    if world.all(OrderSubmitted):
        return set()
    refused = world.all(CommandRejected)
    if refused:
        text = refused[0].detail
        return {"halt" if "is halted" in text else "book" if "No book" in text else "limits"}
    record = world.record(execution_id)
    word, status = record.reason.partition(":")[0], record.status
    if record.reason.startswith("no signal of"):
        return {"policy" if "registered" in record.reason or "quarantined" in record.reason else "signal"}
    if status == "canceled":
        return {"policy"}
    if "no size" in word:
        return {"uncertainty"}
    if "no usable venue" in word or word == "size 0":
        return {"venue"}
    if record.sizing is None or record.sizing.side:
        return {"limits"}  # of the first child
    assert inputs is not None
    return {
        "flat": {"signal"},
        "no_short": {"signal"},
        "no_vol": {"volatility"},
        "no_cvar": {"cvar"},
        "no_equity": {"cash", "cvar"},  # or nothing is known of the book at all
    }.get(word) or {stopped_by(inputs)}


def stopped_by(inputs: SizingInputs) -> str:
    """Return what leaves a size too small, by lifting one thing after the other."""
    sizing = size(inputs)
    least = max(inputs.lot, inputs.min_qty, inputs.min_notional / inputs.price)
    barred = inputs.signal == 0 or (inputs.signal < 0 and not inputs.allow_short)
    if barred or Decimal(sizing.raw) * inputs.equity / inputs.price < -(-least // inputs.lot) * inputs.lot:
        return "signal"
    free = replace(inputs, cash=Decimal("1e18"), cvar_of_one=0.0)
    if size(free).side is None:
        return "size"
    for name, capped in (
        ("cvar", replace(free, cvar_of_one=inputs.cvar_of_one)),
        ("cash", replace(free, cash=inputs.cash)),
    ):
        if size(capped).side is None:
            return name
    return "size"


class Looked(NamedTuple):
    """A world, how the execution in it came out, and the gates by what was known before."""

    world: ExecutionWorld
    execution_id: str
    chosen: Decision | None
    why: SymbolWhy


def looked_at(drawn: Drawn) -> Looked:
    world = drawn.world()
    seen = SeenViews(world)
    seen.fold(seen.views.signals, f"{TOLD}:{SYMBOL}".encode(), drawn.told)
    now = world.now
    execution_id = executed(drawn, world)
    chosen = decision_in(world, execution_id) if world.audit(execution_id) else None
    sized = chosen if chosen is not None and chosen.inputs is not None else a_healthy_size(drawn.settings)
    return Looked(world, execution_id, chosen, why_of(present_of(seen.views, now, chosen, sized), None))


def test_the_first_closed_gate_is_why_the_execution_ended_and_open_ones_let_an_order_out() -> None:
    met: Counter[str] = Counter()
    for seed in range(WORLDS):
        drawn = Drawn(seed)
        world, execution_id, chosen, why = looked_at(drawn)
        reasons = gates_of(world, execution_id, None if chosen is None else chosen.inputs)
        closed = {each.gate for each in why.gates if not each.open}
        told = (seed, why.first, reasons, world.records.get(execution_id), closed)
        assert why.open == (not reasons), told
        assert [each.gate for each in why.gates] == [*ORDER]
        assert all(each.open == (each.headroom >= 0) for each in why.gates if each.headroom is not None), told
        met[why.first or "open"] += 1
        if reasons and why.first not in reasons:
            # Of several that are closed a size names equity, volatility and CVaR first, and then the signal.
            assert reasons & {"uncertainty", "volatility", "cvar", "cash"} & closed, told
            assert chosen is not None, told
            besides = {
                "signal": (chosen.inputs or drawn).signal <= 0,
                "volatility": chosen.choice.forecast_vol is None,
                "cvar": chosen.inputs is not None and chosen.inputs.cvar_of_one is None,
            }
            assert besides[str(why.first)], told
    assert met.keys() == {*ORDER, "open"}, met
    assert met["open"] > WORLDS / 10, met


def test_what_a_closed_gate_says_would_open_it_makes_the_execution_send_an_order() -> None:
    met: Counter[str] = Counter()
    of_size = {"signal", "uncertainty", "volatility", "size"}
    for seed in range(WORLDS):
        if Drawn(seed).policy_id != TOLD:
            continue
        why = looked_at(Drawn(seed)).why
        gates = {each.gate: each for each in why.gates}
        if why.first != "signal" or not {name for name, each in gates.items() if not each.open} <= of_size:
            continue
        for name, instead in (("signal", "signal"), ("uncertainty", "width")):
            least = gates[name].threshold  # type: ignore[index]  # a name
            if least is None or gates[name].open:  # type: ignore[index]  # likewise
                continue
            met[name] += 1
            again = looked_at(Drawn(seed, **{instead: least}))
            assert again.why.open, (seed, name, least)
            assert again.world.all(OrderSubmitted), (seed, name, least)
    assert met["signal"] > 5, met
    assert met["uncertainty"] >= 1, met
