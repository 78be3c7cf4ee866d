"""The system at a glance over HTTP: what is known is told, also while it is not ready."""

from __future__ import annotations

from libs.common.budgets import Usage, budget_of
from libs.common.events import TradingHalted
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.topics import DEAD_LETTERS, EXECUTION_CONTROLS, L2_BOOK_DELTAS, L2_BOOK_TOPS
from services.gateway.alerts.cause import Moment
from services.gateway.alerts.lookout import Lookout
from services.gateway.reading.dead_letters import letter_of
from services.gateway.reading.readiness import Report
from tests.unit.services.gateway.world import NOW, World

MINUTE_NS = 60 * NS_PER_S


async def test_a_system_that_is_not_ready_is_shown_with_what_is_missing_and_what_is_known() -> None:
    world = World(ready=False)
    world.report = Report(
        ("portfolio has not told the risk budget yet",), ("book okx SOL-USDT is GAP: a hole",)
    )
    told = (await world.ask("/api/system")).json()
    assert (told["ts"], told["ready"]) == (NOW // NS_PER_MS, False)
    assert told["missing"] == ["portfolio has not told the risk budget yet"]
    assert told["degraded"] == ["book okx SOL-USDT is GAP: a hole"]
    tops = next(view for view in told["views"] if view["topic"] == L2_BOOK_TOPS.name)
    assert (tops["ready"], tops["keys"]) == (False, 0)
    assert (told["topics"], told["alerts"]) == ([], [])
    assert told["deadLetters"] == {"count": None, "newest": [], "why": ""}


async def test_processes_are_told_as_readyz_does_and_one_that_is_not_heard_is_silent() -> None:
    world = World()
    world.monotonic_ns = 6 * NS_PER_S
    told = (await world.ask("/api/system")).json()["services"]
    assert {each["service"] for each in told} == {"l2", "venues", "router", "portfolio", "execution"}
    assert {(each["state"], each["ageMs"]) for each in told} == {("silent", 6_000.0)}


async def test_a_topic_is_told_with_its_budget_its_age_and_how_fast_it_grows() -> None:
    world = World()
    name = L2_BOOK_DELTAS.name
    world.figures.take({name: Usage(50, 900, written=1_000, oldest_ms=7)}, 0)
    (before,) = (await world.ask("/api/system")).json()["topics"]
    assert before["perSecond"] is None
    world.figures.take({name: Usage(80, 950, written=1_600, oldest_ms=9)}, MINUTE_NS)
    (told,) = (await world.ask("/api/system")).json()["topics"]
    budget = budget_of(L2_BOOK_DELTAS).bytes
    wanted = {"topic": name, "records": 80, "bytes": 950, "perSecond": 10.0, "budgetBytes": budget}
    assert told == wanted | {"oldestTs": 9}
    world.figures.take({name: None}, 2 * MINUTE_NS)
    assert (await world.ask("/api/system")).json()["topics"] == [told]  # nobody could be asked
    world.figures.take({name: Usage(5, 60, written=5)}, 3 * MINUTE_NS)  # it was deleted, and made anew
    (anew,) = (await world.ask("/api/system")).json()["topics"]
    assert (anew["perSecond"], anew["oldestTs"]) == (None, None)


async def test_dead_letters_are_counted_and_told_as_text_whatever_is_in_them() -> None:
    world = World()
    world.figures.take({DEAD_LETTERS.name: Usage(12, 900, written=40)}, 0)
    headers = (("source", b"router.commands.v1/3/17"), ("reason", b"<b>\xff\x1b[31m"))
    world.letters = (letter_of("dead-letters.v1:2:39", 17, b"a\x00key", headers),)
    told = (await world.ask("/api/system")).json()["deadLetters"]
    assert told["count"] == 12
    (letter,) = told["newest"]
    assert (letter["topic"], letter["ts"], letter["id"]) == ("router.commands.v1", 17, "dead-letters.v1:2:39")
    assert letter["reason"].startswith("<b>�")
    assert "\x1b" not in letter["reason"]
    assert "\x00" not in letter["key"]
    untold = letter_of("dead-letters.v1:0:1", 0, b"", (("reason", b"x" * 9_000),))
    assert (untold.topic, len(untold.reason) <= 520) == ("", True)


async def test_an_alert_stands_once_its_time_is_up_and_goes_with_its_cause() -> None:
    world = World()
    lookout = Lookout(world.views, lambda: None)

    async def alerts(seconds: int) -> list[dict[str, object]]:
        world.monotonic_ns = seconds * NS_PER_S
        now = Moment(NOW + seconds * NS_PER_S, seconds * NS_PER_S)
        world.watched.look(lookout.causes(now), now)
        told: list[dict[str, object]] = (await world.ask("/api/system")).json()["alerts"]
        return told

    assert await alerts(1) == []
    halt = TradingHalted(scope="all", reason="<&> odd prices", by="somebody", ts=NOW)
    world.fold(EXECUTION_CONTROLS, b"all", halt)
    (told,) = await alerts(2)
    assert (told["cause"], told["place"], told["severity"]) == ("trading-halted", "all", "critical")
    assert told["since"] == NOW // NS_PER_MS
    assert str(told["words"]).startswith("trading is halted for all by somebody (<&> odd prices)")
    assert "bookrunner resume" in str(told["toDo"])
    assert told["runbook"] == "docs/operations.md#trading-halted"
    world.fold(EXECUTION_CONTROLS, b"all", None)
    assert await alerts(3) == []
    # A service is missed only after it was silent for a while: no alert before.
    assert await alerts(8) == []
    assert {each["cause"] for each in await alerts(20)} == {"service-gone"}
