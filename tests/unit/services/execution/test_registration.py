from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.codec import decode, encode
from libs.common.events import LimitsSet
from libs.common.told import BUILTIN
from libs.common.topics import EXECUTION_CONTROLS, POLICIES_REGISTRY
from services.execution.app import wiring
from services.execution.decide.policies import POLICIES
from services.execution.registration import announcements
from services.execution.settings import ExecutionSettings
from tests.registered import a_policy_registered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import PolicyRegistered
    from libs.common.handling import Announcement


def folded(
    registered: dict[bytes, PolicyRegistered], said: Iterable[Announcement]
) -> dict[bytes, PolicyRegistered]:
    """Return the registry after what was said, through the wire."""
    after: dict[bytes, Any] = dict(registered)
    for each in said:
        after.pop(each.key, None)
        if each.event is not None:
            after[each.key] = decode(each.topic, encode(each.event))
    return after


def test_every_policy_is_registered_under_its_id_and_says_what_it_is() -> None:
    registry = folded({}, announcements({}))
    assert {key.decode() for key in registry} == {event.policy_id for event in registry.values()}
    assert {event.policy_id for event in registry.values()} == set(POLICIES)
    assert all(event.kind == BUILTIN and event.summary for event in registry.values())
    assert registry[b"p_sma"].parameters["slow_minutes"] == 60
    horizons = {name: registry[name.encode()].parameters["horizon_s"] for name in POLICIES}
    assert horizons == {name: policy.horizon_s for name, policy in POLICIES.items()}


def test_what_is_there_is_not_said_again() -> None:
    assert announcements(folded({}, announcements({}))) == []


def test_a_builtin_that_is_no_more_gets_a_tombstone_and_others_policies_are_left_alone() -> None:
    old = a_policy_registered("p_old", kind=BUILTIN)
    foreign = a_policy_registered("p_theirs", kind="hosted")
    before = folded({b"p_old": old, b"p_theirs": foreign}, announcements({}))
    said = announcements(before)
    assert [(each.topic, each.key, each.event) for each in said] == [(POLICIES_REGISTRY, b"p_old", None)]
    assert folded(before, said).keys() == {name.encode() for name in (*POLICIES, "p_theirs")}


@pytest.mark.parametrize(
    "change",
    [{"revision": 99}, {"horizon_s": 99.0}, {"parameters": {"fast_minutes": 11, "slow_minutes": 60}}],
)
def test_another_revision_or_parameter_is_another_version(change: dict[str, Any]) -> None:
    before = folded({}, announcements({}))
    changed = {**POLICIES, "p_sma": replace(POLICIES["p_sma"], **change)}
    (said,) = announcements(before, changed)
    assert said.event is not None
    assert said.key == b"p_sma"
    assert folded(before, [said])[b"p_sma"].version != before[b"p_sma"].version


def test_the_service_announces_them_by_what_its_own_view_shows() -> None:
    wired = wiring(ExecutionSettings())
    views = {view.topic: view for view in wired.views}
    first = list(wired.announce())
    assert sum(each.topic is POLICIES_REGISTRY for each in first) == len(POLICIES)
    (limits,) = (each for each in first if each.topic is EXECUTION_CONTROLS)
    assert isinstance(limits.event, LimitsSet)
    assert (limits.key, limits.event.limits) == (b"limits:settings", ExecutionSettings().limits())
    for offset, each in enumerate(first):
        views[each.topic].fold(0, offset, each.key, each.event)
    assert list(wired.announce()) == []
