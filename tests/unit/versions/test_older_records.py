"""What older versions wrote is read: their messages, and the state that their services left."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import pytest

from libs.common.codec import decode, encode
from libs.common.events import (
    ChoosePolicy,
    ExecutionRecord,
    ExecutionStatus,
    OptimizePortfolio,
    OrderFilled,
    PolicyChosen,
    PolicyRewarded,
    PortfolioOptimized,
    PortfolioRemembered,
    Position,
    RewardPolicy,
    RouterAnswer,
    ScoreVenues,
)
from libs.common.topics import EXECUTION_STATE, L2_BOOK_HEALTH, L2_BOOK_TOPS, TOPICS
from libs.common.views import View
from services.venues.answers import Answer, Answers
from services.venues.registry import Measurement
from tests.execution_market import a_book_health, a_book_top
from tests.registered import a_policy_registered
from tests.services_alone import WIRINGS, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libs.common.topics import Topic

T = TypeVar("T")

FOLDER: Final = Path(__file__).parents[2] / "data" / "older_records"
VERSIONS: Final = ("contract", "0.1.0")
GIVEN_UP: Final = {  # found again, or of an alarm that wiped what was learnt, or intervals that did not hold
    "RouterScopeState": ("first_slot", "next_slot", "first_other", "next_other", "pooled_cusum"),
    "RouterPolicyState": ("covariance", "mean", "cusum", "resets"),
    "RouterSnapshot": ("pooled_cusum", "cusum", "resets", "ips", "snips"),
    "Saga": ("answered", "children"),  # its phase and its orders say so
}
SIDES: Final = ((45_957.0, -0.5), (45_957.5, 0.5))  # best price and step
THEN: Final = 1_795_889_640_000_000_000  # ns UTC, just after 0.1.0 wrote its state


def lines(name: str) -> Iterator[list[Any]]:
    for line in (FOLDER / f"{name}.jsonl").read_text().splitlines():
        yield json.loads(line)


def topic_of(name: str) -> Topic:
    return WIRINGS["execution"]().state if name == EXECUTION_STATE.name else TOPICS[name]


def state_of(topic: str, partition: int, written: str = "0.1.0-state") -> list[tuple[bytes, bytes]]:
    return [
        (base64.b64decode(key), base64.b64decode(value))
        for name, number, key, value in lines(written)
        if (name, number) == (topic, partition)
    ]


def without(written: Any, names: tuple[str, ...]) -> Any:
    """Return all that was written but what has these names."""
    match written:
        case dict():
            return {name: without(of, names) for name, of in written.items() if name not in names}
        case list():
            return [without(of, names) for of in written]
        case _:
            return written


def holds(found: Any, written: Any) -> bool:
    """Whether all that was written is there, whatever stands beside it."""
    match written:
        case dict():
            return all(name in found and holds(found[name], value) for name, value in written.items())
        case list():
            return len(found) == len(written) and all(map(holds, found, written))
        case _:
            return bool(found == written)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_of_an_older_version_is_read_with_all_its_values(version: str) -> None:
    read = 0
    for name, kind, *records in lines(version):
        topic = topic_of(name)
        for value in map(base64.b64decode, records):
            event = decode(topic, value)
            assert event.__struct_config__.tag == kind
            given_up = GIVEN_UP.get(kind, ())
            was = without(msgspec.msgpack.decode(value), given_up)
            assert holds(msgspec.msgpack.decode(encode(event)), was), kind
            if topic.compacted:
                view: View[Any] = View(topic)
                view.fold(0, 0, b"key", event)
                assert view.items[b"key"] == event
            read += 1
    assert read >= 16


def test_every_type_that_the_last_version_wrote_is_kept() -> None:
    kinds = {(name, kind) for name, kind, *_ in lines("0.1.0")}
    assert len(kinds) > 60
    assert kinds <= {
        (name, event.__struct_config__.tag) for name, _ in kinds for event in topic_of(name).events
    }


def test_an_older_record_says_of_no_leg_and_an_older_wish_asks_for_no_venue() -> None:
    topic = TOPICS["execution.records.v1"]
    found = [
        decode(topic, base64.b64decode(record))
        for name, kind, *records in lines("0.1.0")
        if kind == "ExecutionRecord"
        for record in records
    ]
    assert found
    for record in found:
        assert isinstance(record, ExecutionRecord)
        assert (record.legs, record.max_venues, record.venues, record.split_reason) == ((), None, (), "")
        assert (record.single_venue, record.saving_bps, record.saved_bps) == (None, None, None)
        assert record.plan is None or all(each.venue is None for each in record.plan.slices)
    wish = msgspec.msgpack.encode(
        {"type": "ScoreVenues", "command_id": "x", "symbol": "BTC-USDT", "size": 1.0}
    )
    older = decode(TOPICS["venues.commands.v1"], wish)
    assert isinstance(older, ScoreVenues)
    assert (older.max_venues, older.venues) == (None, ())


def a_router() -> Service:
    service = Service("router", THEN)
    for name in ("p_sma", "p_flat"):
        registry = service.wiring.views[-1]
        registry.fold(0, registry.position(0), name.encode(), a_policy_registered(name))
    service.restore(state_of("router.state.v1", 3))
    return service


def test_a_router_goes_on_from_the_state_of_an_older_version() -> None:
    service = a_router()
    (commands,) = service.wiring.inputs
    kept = [each.answer for each in service.partition.state.values() if isinstance(each, RouterAnswer)]
    decisions = [answer for answer in kept if isinstance(answer, PolicyChosen)]
    assert len(decisions) == 2
    for decision in decisions:
        asked = ChoosePolicy(command_id=decision.command_id, scope=decision.scope, context={})
        assert service.tell(commands, asked) == [decision], "the same answer again"
    counted = []
    for n, decision in enumerate(decisions):
        told = RewardPolicy(
            command_id=f"00000000-0000-4000-8000-00000000000{n}",
            scope=decision.scope,
            policy_id=decision.policy_id,
            reward=0.01,
            context={},
            decision_id=decision.command_id,
        )
        answer = service.tell(commands, told)[0]
        assert isinstance(answer, PolicyRewarded)
        counted.append((answer.counted, answer.reason))
    assert sorted(counted) == [(False, "decision rewarded before"), (True, "")]
    asked = ChoosePolicy(command_id="00000000-0000-4000-8000-000000000009", context={"obi": 0.1})
    assert isinstance(service.tell(commands, asked)[0], PolicyChosen)
    service.wait()


def open_book(service: Service, at: int) -> None:
    """Show a LIVE book, received just now, at the prices of then."""
    bids, asks = (tuple((price + step * n, 2.0) for n in range(50)) for price, step in SIDES)
    shown = {
        L2_BOOK_TOPS: a_book_top(bids=bids, asks=asks, received_ts=at, venue_ts=at),
        L2_BOOK_HEALTH: a_book_health(since_ts=at, ts=at),
    }
    for view in service.wiring.views:
        if view.topic in shown:
            view.fold(2, view.position(2), b"binance:BTC-USDT", shown[view.topic])


def test_a_portfolio_goes_on_from_the_state_of_an_older_version() -> None:
    service = Service("portfolio", THEN)
    service.restore(state_of("portfolio.state.v1", 3))
    commands = service.wiring.inputs[0]
    (answer,) = [
        each.answer for each in service.partition.state.values() if isinstance(each, PortfolioRemembered)
    ]
    assert isinstance(answer, PortfolioOptimized)
    asked = OptimizePortfolio(
        command_id=answer.command_id, symbols=answer.symbols, cvar_budget=0.05, vol_target=0.02
    )
    assert service.tell(commands, asked) == [answer], "the same answer again"
    service.wait()

    service = Service("portfolio", THEN)
    service.restore(state_of("portfolio.state.v1", 2))
    open_book(service, service.partition.next_wake or 0)
    (mark,) = (event for event in service.wake() if isinstance(event, Position))
    assert mark.symbol == "BTC-USDT"
    assert mark.quantity > 0


def test_an_execution_that_an_older_version_began_ends_as_ever() -> None:
    service = Service("execution", THEN)
    service.restore(state_of("execution.state.v1", 2))
    open_book(service, THEN)
    events = [event for _ in range(10) for event in service.wake()]
    (fill,) = (event for event in events if isinstance(event, OrderFilled))
    assert fill.execution_id == "307bb0cc-0054-5e6f-9e88-f06de1447d8a"
    *_, record = (event for event in events if isinstance(event, ExecutionRecord))
    assert (record.execution_id, record.status) == (fill.execution_id, ExecutionStatus.COMPLETED)


def test_venues_go_on_from_the_tables_of_an_older_version() -> None:
    packed = dict(state_of("venues-answers-changelog", 2))
    store = {key: unpacked(value, Answer) for key, value in packed.items()}
    assert len(store) == 2
    answers = Answers(store)
    for kept in store.values():
        assert answers.to(kept.command_id, offset=99) == kept.event, "the same answer again"
    measured = state_of("venues-measurements-changelog", 2)
    assert len(measured) == 3
    for _, value in measured:
        assert unpacked(value, Measurement).health_ts


def unpacked(value: bytes, kind: type[T]) -> T:
    found = msgspec.msgpack.decode(value, type=kind)
    assert holds(msgspec.to_builtins(found), msgspec.to_builtins(msgspec.msgpack.decode(value)))
    return found
