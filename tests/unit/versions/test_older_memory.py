"""A state's log of the version before: what it answered is answered again, and forgotten in its order.

The log is that of `tests/older_memory.py`, whose story is known: six decisions, of which four are remembered,
rewards of three, a clock that was set after the fourth; six fills, of which four are remembered.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import pytest

from libs.common.answered import memory_of
from libs.common.codec import decode, encode
from libs.common.events import (
    ChoosePolicy,
    CommandRejected,
    Event,
    OptimizePortfolio,
    PolicyChosen,
    PolicyRewarded,
    PortfolioRemembered,
    PortfolioSlot,
    Refusal,
    RewardPolicy,
    RouterAnswer,
    RouterSlot,
    SubmitPaperOrder,
)
from libs.common.topics import EXECUTION_COMMANDS, EXECUTION_FILLS, PORTFOLIO_COMMANDS, ROUTER_COMMANDS
from services.portfolio.remembered import remember
from services.router.app import wiring as router_wiring
from services.router.records import decisions_of, others_of, release, scope_key
from services.router.settings import RouterSettings
from tests.fills import a_fill
from tests.older_memory import KEPT, STEP_NS, S, an_id, registered
from tests.services_alone import NOW, Service
from tests.unit.versions.test_older_records import state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T", bound=Event)

WRITTEN: Final = "0c7c616-memory"
THEN: Final = NOW + STEP_NS + 6 * S


def an_older(name: str, wiring: Any = None) -> Service:
    service = Service(name, THEN, wiring)
    service.restore(state_of(f"{name}.state.v1", 0, WRITTEN))
    return service


def a_router(**settings: Any) -> Service:
    rules = RouterSettings(policies="p_flat p_sma", remember_most=KEPT, **settings)
    return an_older("router", router_wiring(rules, registered()))


def written(service: str, kind: type[T]) -> list[T]:
    """Return what the version before wrote of a kind, as it was."""
    topic = Service(service).wiring.state
    found = [decode(topic, value) for key, value in state_of(topic.name, 0, WRITTEN) if key[0]]
    return [event for event in found if isinstance(event, kind)]


def decisions(service: Service) -> list[str]:
    kept = memory_of(service.partition.state).order(decisions_of("default")).values()
    return [each.answer.command_id for each in kept if isinstance(each, RouterAnswer)]


def one(events: Sequence[Event], kind: type[T]) -> T:
    (event,) = (event for event in events if isinstance(event, kind))
    return event


def test_the_router_answers_again_what_the_version_before_answered() -> None:
    service = a_router()
    before = dict(service.partition.state)
    answers = written("router", RouterAnswer)
    assert len(answers) == KEPT + 4
    for kept in answers:
        if isinstance(kept.answer, PolicyChosen):
            asked: Any = ChoosePolicy(command_id=kept.answer.command_id, context={})
        elif isinstance(kept.answer, PolicyRewarded):
            asked = RewardPolicy(
                command_id=kept.answer.command_id,
                policy_id=kept.answer.policy_id,
                reward=0.5,
                decision_id=kept.answer.decision_id,
            )
        else:
            continue
        assert service.tell(ROUTER_COMMANDS, asked) == [kept.answer], "the same answer again"
    assert dict(service.partition.state) == before


def test_a_decision_that_was_rewarded_before_is_not_learnt_from_again_and_the_others_are() -> None:
    service = a_router()
    counted = {}
    for number in range(6):
        (policy,) = {
            kept.answer.policy_id
            for kept in written("router", RouterAnswer)
            if isinstance(kept.answer, PolicyChosen) and kept.answer.command_id == an_id(number)
        } or {"p_flat"}
        reward = RewardPolicy(
            command_id=an_id(300 + number), policy_id=policy, reward=0.01, decision_id=an_id(number)
        )
        answer = one(service.tell(ROUTER_COMMANDS, reward), PolicyRewarded)
        counted[number] = answer.reason or "counted"
    gone, again = "decision expired", "decision rewarded before"
    assert counted == {0: gone, 1: gone, 2: again, 3: "counted", 4: again, 5: "counted"}


def test_the_decisions_of_the_version_before_are_forgotten_in_their_order_by_number() -> None:
    service = a_router()
    left = [an_id(number) for number in range(2, 6)]
    assert decisions(service) == left
    for number in range(400, 404):
        service.tell(ROUTER_COMMANDS, ChoosePolicy(command_id=an_id(number), context={}))
        left = [*left[1:], an_id(number)]
        assert decisions(service) == left


def test_the_decisions_of_the_version_before_are_forgotten_by_their_age_on_the_clock_of_then() -> None:
    """Ages are 4, 3, 2 and 1 s, whatever the clock was set by between the second and the third."""
    service = a_router(remember_s=60)
    service.now = THEN + 57 * S + S // 2
    service.tell(ROUTER_COMMANDS, ChoosePolicy(command_id=an_id(400), context={}))
    assert decisions(service) == [an_id(4), an_id(5), an_id(400)]


def test_a_fill_that_the_version_before_counted_is_not_counted_again() -> None:
    service = an_older("portfolio")
    for number in range(2, 6):
        assert service.tell(EXECUTION_FILLS, a_fill(f"fill-{number}")) == []
    assert service.tell(EXECUTION_FILLS, a_fill("fill-6")) != []


def test_fills_of_the_version_before_are_forgotten_in_their_order() -> None:
    state = an_older("portfolio").partition.state
    kind, left = "fills/BTC-USDT", [2, 3, 4, 5]
    for number in range(6, 10):
        left = [*left[1:], number]
        remember(state, kind, f"fill-{number}", KEPT)
        assert list(memory_of(state).order(kind)) == [f"done/{kind}/fill-{n}".encode() for n in left]


def test_the_portfolio_answers_again_what_the_version_before_answered() -> None:
    service = an_older("portfolio")
    answers = [kept.answer for kept in written("portfolio", PortfolioRemembered) if kept.answer is not None]
    assert len(answers) == 2
    for answer in answers:
        asked = OptimizePortfolio(
            command_id=answer.command_id, symbols=answer.symbols, cvar_budget=0.01, vol_target=0.01
        )
        assert service.tell(PORTFOLIO_COMMANDS, asked) == [answer]


def test_an_order_of_which_the_version_before_kept_the_id_alone_is_not_sent_again() -> None:
    service = an_older("execution")
    for number in range(2):
        order = SubmitPaperOrder(
            command_id=an_id(number), symbol="BTC-USDT", side="buy", order_qty=Decimal("0.01")
        )
        refused = one(service.tell(EXECUTION_COMMANDS, order), CommandRejected)
        assert refused.refusal is Refusal.INVALID
        assert "long ago" in refused.detail
    assert service.migrated == [], "its form has not changed"


@pytest.mark.parametrize("name", ["router", "portfolio"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_start_that_dies_in_between_is_followed_by_one_that_ends_in_the_same_state(
    name: str, share: float
) -> None:
    whole = a_router() if name == "router" else an_older(name)
    assert whole.migrated
    assert not any(isinstance(kept, RouterSlot | PortfolioSlot) for kept in whole.partition.state.values())
    log = dict(state_of(f"{name}.state.v1", 0, WRITTEN))
    for write in whole.migrated[: round(share * len(whole.migrated))]:
        log.pop(write.key, None)
        if write.value is not None:
            log[write.key] = write.value
    successor = Service(name, THEN, whole.wiring)
    successor.restore(log.items())
    assert dict(successor.partition.state) == dict(whole.partition.state)
    of = {
        "router": (decisions_of("default"), others_of("default")),
        "portfolio": ("fills/BTC-USDT", "commands"),
    }
    for among in of[name]:
        mine, theirs = (memory_of(each.partition.state).order(among) for each in (successor, whole))
        assert list(mine) == list(theirs)
    assert bool(successor.migrated) == (share < 1)


def test_a_scope_is_written_again_so_that_the_version_before_looks_for_no_place_that_is_gone() -> None:
    """It reads where its places begin and end from the scope, and fails where one of them is missing."""
    (scope,) = (write for write in a_router().migrated if write.key == scope_key("default"))
    written = msgspec.msgpack.decode(scope.value or b"")
    assert not {"first_slot", "next_slot", "first_other", "next_other"} & written.keys()


def test_an_answer_that_the_version_before_wrote_again_meanwhile_has_a_place_again() -> None:
    service = a_router()
    state = service.partition.state
    key = next(iter(memory_of(state).order(decisions_of("default"))))
    again = RouterAnswer(answer=state[key].answer, rewarded=True)  # as that version writes a rewarded one
    state.restore(key, again)
    service.wiring.migrate(state)
    assert state[key].rewarded
    assert key in memory_of(state).order(decisions_of("default"))
    release(state, "default")
    assert not any(isinstance(each, RouterAnswer) for each in state.values())


@pytest.mark.parametrize("key", [b"foo", b"slot/default/x", b"\xff/\xff/1"])
@pytest.mark.parametrize("name", ["router", "portfolio"])
def test_a_place_under_a_key_of_no_version_is_nobodys_and_ends_no_process(name: str, key: bytes) -> None:
    slots = {"router": RouterSlot(command_id="x", ts=1), "portfolio": PortfolioSlot(remembered="x", count=1)}
    service = Service(name)
    service.restore([*state_of(f"{name}.state.v1", 0, WRITTEN), (key, encode(slots[name]))])
    assert key not in service.partition.state
