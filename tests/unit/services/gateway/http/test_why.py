"""`GET /api/why` and an execution's lineage, asked of a gateway that knows what an execution world told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError
from msgspec.structs import replace

from libs.common.codec import encode
from libs.common.events import (
    BookDelta,
    Event,
    OrderFilled,
    PolicyChosen,
    TradingHalted,
    VenueScored,
)
from libs.common.kafka import Record, partition_of
from libs.common.topics import (
    EXECUTION_CONTROLS,
    EXECUTION_RECORDS,
)
from services.gateway.reading.gate import ORDER
from tests.execution_market import EPOCH, NOW
from tests.execution_world import ExecutionWorld
from tests.gate_world import SYMBOL, TOLD, TOPIC_OF, SeenViews, a_delta, records_of
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from libs.common.topics import Topic
    from libs.common.views import View

MS = NOW // 10**6
STAGES = ["book", "features", "choice", "sizing", "venues", "plan", "child", *["fill"] * 4, "shortfall"]


class Explained:
    """A gateway beside an execution world of which it has heard all, but for what `lost` names."""

    def __init__(self, executions: ExecutionWorld, lost: tuple[type[Event], ...] = ()) -> None:
        self.executions, self.lost = executions, lost
        self.world = World()
        self.heard: list[Event] = []
        seen = SeenViews(executions).views
        views: list[View[Any]] = [*seen.all]
        for view in views:
            for key, event in view.items.items():
                self.world.fold(view.topic, key, event)
        self.world.now = executions.now

    def tell(self) -> None:
        """Let the gateway hear of all executions, and put what they wrote on the logs."""
        executions, world = self.executions, self.world
        for name, record in executions.records.items():
            world.fold(EXECUTION_RECORDS, name.encode(), record)
        world.audit.records = records_of(
            each for name in executions.records for each in executions.audit(name)
        )
        told = [each for each in (*self.heard, *executions.sent) if type(each) in TOPIC_OF]
        world.windows.records = world.audit.records + [
            a_record(TOPIC_OF[type(each)], n, each)
            for n, each in enumerate(told)
            if type(each) not in self.lost
        ]

    async def why(self) -> Any:
        (found,) = (await self.world.ask(f"/api/why?symbol={SYMBOL}")).json()["symbols"]
        return found

    async def lineage(self, execution_id: str) -> Any:
        return (await self.world.ask(f"/api/exec/{execution_id}/lineage")).json()


def a_record(topic: Topic, offset: int, event: Any) -> Record:
    key = SYMBOL.encode()
    if isinstance(event, BookDelta):
        key = f"{event.venue}:{SYMBOL}".encode()
    elif isinstance(event, PolicyChosen):
        key = event.scope.encode()
    ts = getattr(event, "ts", NOW)
    return Record(
        topic=topic,
        partition=partition_of(SYMBOL.encode(), World().settings.topic_partitions),
        offset=offset,
        timestamp_ms=ts // 10**6,
        key=key,
        event=event,
        value=encode(event),
    )


def executed(policy_id: str = "p_sma", lost: tuple[type[Event], ...] = ()) -> tuple[Explained, str]:
    executions = ExecutionWorld(policy_id)
    executions.ready()
    explained = Explained(executions, lost)
    execution_id = executions.execute()
    explained.heard += [a_delta(6), a_delta(7, "bybit"), a_delta(7)]
    while executions.unanswered and not executions.records[execution_id].status.final:
        answer = executions.answer_to(executions.unanswered.pop(0))
        explained.heard.append(answer)
        executions.deliver(answer)
    executions.finish()
    explained.tell()
    return explained, execution_id


async def test_a_symbol_that_nobody_decided_about_says_what_to_do() -> None:
    world = World()
    world.live()
    (found,) = (await world.ask("/api/why")).json()["symbols"]
    assert (found["symbol"], found["open"], found["decision"]) == (SYMBOL, False, None)
    assert [each["gate"] for each in found["gates"]] == [*ORDER]
    assert found["first"] == "policy"
    (policy,) = (each for each in found["gates"] if each["gate"] == "policy")
    assert "POST /api/exec/plan-and-execute" in policy["words"]


async def test_a_symbol_without_a_book_is_404_and_names_those_there_are() -> None:
    world = World()
    world.live()
    detail = assert_problem(await world.ask("/api/why?symbol=ETHUSDT"), 404, "unknown-symbol")["detail"]
    assert SYMBOL in detail


async def test_the_last_decision_stands_beside_the_gates_with_the_id_of_its_record() -> None:
    explained, execution_id = executed("p_flat")
    found = await explained.why()
    record = explained.executions.record(execution_id)
    place = explained.world.views.records.place(execution_id.encode())
    assert place is not None
    assert found["decision"] == {
        "executionId": execution_id,
        "ts": record.created_ts // 10**6,
        "status": "skipped",
        "reason": record.reason,
        "policyId": "p_flat",
        "id": f"execution.records.v1:{place.partition}:{place.offset}",
    }
    assert (found["open"], found["first"]) == (False, "signal")


async def test_a_halt_is_the_first_gate_and_names_its_record_and_its_way_out() -> None:
    explained, _ = executed()
    halted = TradingHalted(scope=f"symbol:{SYMBOL}", reason="a drill", by="me", ts=NOW)
    explained.world.fold(EXECUTION_CONTROLS, f"symbol:{SYMBOL}".encode(), halted)
    found = await explained.why()
    gate = found["gates"][0]
    assert (found["first"], gate["headroom"], gate["unit"]) == ("halt", -1, "halts")
    assert f"bookrunner resume symbol:{SYMBOL}" in gate["words"]
    assert gate["records"] == [f"execution.controls.v1:0:{explained.world._offsets - 1}"]  # noqa: SLF001 -- of the record


async def test_the_audit_of_a_decision_is_read_once() -> None:
    explained, _ = executed()
    for _ in range(3):
        await explained.why()
    assert [each.topic.name for each in explained.world.windows.windows] == ["execution.audit.v1"]


async def test_what_was_read_of_a_decision_is_answered_while_kafka_is_away_and_nothing_else() -> None:
    explained, _ = executed()
    explained.world.windows.failure = KafkaConnectionError()
    refused = await explained.world.ask("/api/why")
    assert "Kafka does not answer" in assert_problem(refused, 503, "not-ready")["detail"]
    explained.world.windows.failure = None
    told = await explained.why()
    explained.world.windows.failure = KafkaConnectionError()
    assert await explained.why() == told


async def test_a_decision_is_looked_for_while_it_was_made_only() -> None:
    explained, execution_id = executed()
    record = replace(explained.executions.record(execution_id), ts=NOW + 3_600_000_000_000)
    explained.world.fold(EXECUTION_RECORDS, execution_id.encode(), record)
    await explained.why()
    (window,) = explained.world.windows.windows
    assert (window.begin_ms, window.end_ms, window.key) == (MS - 1_000, MS + 61_000, execution_id.encode())
    assert window.partition == partition_of(execution_id.encode(), 8)


async def test_the_gates_make_the_same_size_again_with_what_the_decision_was_made_of() -> None:
    explained, execution_id = executed()
    record = explained.executions.record(execution_id)
    assert record.sizing is not None
    gates = {each["gate"]: each for each in (await explained.why())["gates"]}
    assert all(each["open"] for each in gates.values())
    assert gates["size"]["value"] == float(record.sizing.qty)
    assert gates["size"]["unit"] == "BTC"
    assert gates["signal"]["value"] == record.sizing.signal
    assert 0 < gates["signal"]["threshold"] < gates["signal"]["value"]


async def test_a_lineage_has_every_stage_in_order_with_the_record_that_told_it() -> None:
    explained, execution_id = executed()
    found = await explained.lineage(execution_id)
    assert [each["stage"] for each in found["stages"]] == STAGES
    fills = explained.executions.all(OrderFilled)
    assert found["fills"] == [fill.exec_id for fill in fills]
    records = {
        f"{each.topic.name}:{each.partition}:{each.offset}": each for each in explained.world.windows.records
    }
    for stage in found["stages"]:
        ref = stage["record"]
        if stage["stage"] in TOLD:
            assert ref["topic"] == TOLD[stage["stage"]][1].name, stage
        if ref["id"] in records:
            assert ref["key"] == records[ref["id"]].key.decode()
    book = records[found["stages"][0]["record"]["id"]].event
    assert book == a_delta(7)
    ids = [each["record"]["id"] for each in found["stages"] if each["stage"] == "fill"]
    assert [records[each].event for each in ids] == fills


async def test_the_numbers_of_a_lineage_are_those_that_were_told() -> None:
    explained, execution_id = executed()
    stages = (await explained.lineage(execution_id))["stages"]
    record = explained.executions.record(execution_id)
    assert record.sizing is not None
    assert record.shortfall is not None
    by_name = {each["stage"]: each for each in stages}
    assert by_name["book"]["data"] | {"mids": {}} == {
        "venue": "binance",
        "epoch": EPOCH,
        "seq": 7,
        "receivedTs": MS,
        "mids": {},
    }
    assert by_name["sizing"]["data"]["qty"] == str(record.sizing.qty)
    assert by_name["choice"]["data"]["propensity"] == 0.25
    assert by_name["shortfall"]["data"]["totalBps"] == record.shortfall.total_bps
    filled = sum(float(each["data"]["lastQty"]) for each in stages if each["stage"] == "fill")
    assert filled == pytest.approx(float(record.filled))
    assert by_name["child"]["data"]["ordStatus"] == "filled"
    assert by_name["child"]["data"]["submittedTs"] == record.orders[0].submitted_ts // 10**6
    assert all(each["words"] and each["ts"] >= MS for each in stages)


async def test_what_a_topic_does_not_keep_any_more_is_found_in_the_audit() -> None:
    explained, execution_id = executed(lost=(BookDelta, PolicyChosen, VenueScored))
    stages = {each["stage"]: each for each in (await explained.lineage(execution_id))["stages"]}
    for name, kind in (("book", "signal"), ("choice", "policy_chosen"), ("venues", "venue_scored")):
        ref = stages[name]["record"]
        entry = next(each for each in explained.executions.audit(execution_id) if each.kind == kind)
        assert ref == {
            "id": f"execution.audit.v1:{partition_of(execution_id.encode(), 8)}:{100 + entry.seq}",
            "topic": "execution.audit.v1",
            "key": execution_id,
        }


async def test_the_way_of_a_skipped_execution_ends_with_why() -> None:
    explained, execution_id = executed("p_flat")
    found = await explained.lineage(execution_id)
    assert [each["stage"] for each in found["stages"]] == ["book", "features", "choice", "sizing", "ended"]
    record = explained.executions.record(execution_id)
    assert found["stages"][-1]["words"] == f"skipped: {record.reason}"
    assert found["fills"] == []


async def test_a_running_execution_has_come_as_far_as_it_has() -> None:
    executions = ExecutionWorld()
    executions.ready()
    explained = Explained(executions)
    execution_id = executions.execute()
    executions.answer()
    explained.tell()
    stages = [each["stage"] for each in (await explained.lineage(execution_id))["stages"]]
    assert stages == ["book", "features", "choice", "sizing"]
    executions.answer()
    explained.tell()
    stages = [each["stage"] for each in (await explained.lineage(execution_id))["stages"]]
    assert stages == STAGES[:7]


async def test_only_stretches_of_the_symbols_partition_are_read() -> None:
    explained, execution_id = executed()
    await explained.lineage(execution_id)
    partition = partition_of(SYMBOL.encode(), explained.world.settings.topic_partitions)
    windows = explained.world.windows.windows
    assert {each.topic.name for each in windows} >= {topic.name for topic in TOPIC_OF.values()}
    assert {each.partition for each in windows} == {partition}
    assert all(0 < each.end_ms - each.begin_ms < 60_000 for each in windows)


async def test_the_lineage_of_nothing_is_404() -> None:
    unknown = "7ea7c1fd-27df-5a02-aefa-a2e16957122c"
    assert_problem(await World().ask(f"/api/exec/{unknown}/lineage"), 404, "unknown-name")
