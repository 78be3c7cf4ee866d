"""What the policies of older versions had learnt is known in today's form: each copy begins as theirs was."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import pytest

from libs.common.context_fields import LAYOUT
from libs.common.events import ChoosePolicy, PolicyChosen, RouterScopeState
from libs.common.topics import ROUTER_COMMANDS
from services.router.context import SHARED, layout_of
from services.router.posteriors import Unpacked, posteriors_of
from services.router.records import policy_of, scope_key
from services.router.thompson import Tuning
from tests.registered import a_policy_registered
from tests.services_alone import Service
from tests.unit.versions.test_older_records import THEN, state_of

WRITTEN: Final = [("0.1.0-state", 3), ("0c7c616-memory", 0)]


def written_by_policy(written: str, partition: int) -> dict[str, Any]:
    """Return the policies' records as they stand in the file, by name."""
    found = {}
    for key, value in state_of("router.state.v1", partition, written):
        if key.startswith(b"policy/default/"):
            found[key.rpartition(b"/")[2].decode()] = msgspec.msgpack.decode(value)
    return found


def a_router(written: str, partition: int) -> Service:
    service = Service("router", THEN)
    registry = service.wiring.views[-1]
    for name in ("p_sma", "p_breakout", "p_meanrev", "p_obi", "p_flat"):
        registry.fold(0, registry.position(0), name.encode(), a_policy_registered(name))
    service.restore(state_of("router.state.v1", partition, written))
    return service


def array(raw: bytes) -> Any:
    return np.frombuffer(raw, dtype="<f8")


@pytest.mark.parametrize(("written", "partition"), WRITTEN)
def test_a_policy_expects_after_a_start_what_it_expected_before(written: str, partition: int) -> None:
    older = written_by_policy(written, partition)
    assert any(record["precision"] for record in older.values())
    service = a_router(written, partition)
    state = service.partition.state
    shared = state[scope_key("default")]
    assert isinstance(shared, RouterScopeState)
    assert (shared.layout, bool(shared.mixture)) == (LAYOUT, True)
    posteriors = posteriors_of(state, "default", shared, Tuning(), Unpacked())
    mixture = posteriors.mixture
    x = np.zeros(layout_of().dimension)
    x[: len(SHARED)] = np.linspace(-1, 1, len(SHARED))
    found = mixture.project(x)
    for k, name in enumerate(posteriors.names):
        record = policy_of(state, "default", name)
        was = older.get(name, {"updates": 0, "choices": 0, "mean": b""})
        assert (record.updates, record.choices) == (was["updates"], was["choices"])
        assert (record.precision, record.shift, record.shape, record.rate) == (b"", b"", 0.0, 0.0)
        mean = array(was["mean"]) @ x[: len(SHARED)] if was["mean"] else 0.0
        assert found.mean[k] == pytest.approx(mean, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("written", "partition"), WRITTEN)
def test_a_signal_changes_nothing_that_was_learnt_before_there_were_any(written: str, partition: int) -> None:
    service = a_router(written, partition)
    chosen = []
    for number, signal in enumerate((0.0, 1.0)):
        command = ChoosePolicy(
            command_id=f"00000000-0000-4000-8000-0000000000{number:02}",
            context={"obi": 0.1},
            arms={"p_sma": {"signal": signal}},
        )
        answer = service.tell(ROUTER_COMMANDS, command)[0]
        assert isinstance(answer, PolicyChosen)
        chosen.append(answer)
    assert chosen[0].means["p_sma"] == pytest.approx(chosen[1].means["p_sma"], rel=1e-2, abs=1e-12)


@pytest.mark.parametrize(("written", "partition"), WRITTEN)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_a_start_that_dies_in_between_is_followed_by_one_that_ends_in_the_same_posteriors(
    written: str, partition: int, share: float
) -> None:
    whole = a_router(written, partition)
    assert whole.migrated
    log = dict(state_of("router.state.v1", partition, written))
    for write in whole.migrated[: round(share * len(whole.migrated))]:
        log.pop(write.key, None)
        if write.value is not None:
            log[write.key] = write.value
    successor = Service("router", THEN, whole.wiring)
    successor.restore(log.items())
    assert dict(successor.partition.state) == dict(whole.partition.state)


def test_a_state_of_today_is_left_as_it_is() -> None:
    service = a_router(*WRITTEN[0])
    again = Service("router", THEN, service.wiring)
    log = dict(state_of("router.state.v1", 3))
    for write in service.migrated:
        log.pop(write.key, None)
        if write.value is not None:
            log[write.key] = write.value
    again.restore(log.items())
    assert again.migrated == []
