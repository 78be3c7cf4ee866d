"""Make the decisions of an execution again, from the inputs that its audit log holds; pure.

Signal, sizing, plan, shortfall and reward are functions of what was logged beside them, so a log that was
altered, or code that decides otherwise today, shows as a difference. A plan says the number of the model that
made it; one of another model is not made again, and counted as such.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from libs.common.audit_chain import canonical, jsonable
from services.execution.alternatives import PlanInputs
from services.execution.audit import LoggedMarket, market_of
from services.execution.planner import MODEL, plan
from services.execution.planning import plan_generator
from services.execution.policies import signal_of
from services.execution.reward import RewardInputs, reward
from services.execution.shortfall import ShortfallInputs, shortfall
from services.execution.sizing import SizingInputs, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from libs.common.events import AuditEntry


# What an entry may be that nobody here wrote: no JSON, JSON of another shape, or deeper than the stack.
NOT_DECIDED_HERE: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    msgspec.ValidationError,
)


class Rerun(NamedTuple):
    """What came of it."""

    decisions: int  # made again
    differences: tuple[str, ...]
    others: tuple[str, ...] = ()  # decisions of another version's model, not made again, in words


class OtherModelError(Exception):
    """A decision was made by a model that this version does not have; the message says by which."""


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    policy_id: str
    market: LoggedMarket


def rerun(entries: Iterable[AuditEntry]) -> Rerun:
    """Return how many decisions were made again, and in words which came out otherwise."""
    decisions, differences, others = 0, [], []
    for entry in entries:
        again = _DECISIONS.get(entry.kind)
        if again is None:
            continue
        try:
            payload: Mapping[str, Any] = json.loads(entry.payload)
            found = jsonable(again(payload["inputs"], entry.execution_id))
        except OtherModelError as error:
            others.append(f"entry {entry.seq} ({entry.kind}) {error}")
            continue
        except NOT_DECIDED_HERE as error:
            decisions += 1
            differences.append(f"entry {entry.seq} ({entry.kind}) cannot be made again: {error}")
            continue
        decisions += 1
        if canonical({"output": found}) != canonical({"output": payload.get("output")}):
            differences.append(f"entry {entry.seq} ({entry.kind}) comes out as {json.dumps(found)[:400]}")
    return Rerun(decisions, tuple(differences), tuple(others))


def _signal(inputs: object, _execution_id: str) -> object:
    seen = msgspec.convert(inputs, _Seen, strict=False)
    return signal_of(seen.policy_id, market_of(seen.market))


def _sizing(inputs: object, _execution_id: str) -> object:
    return size(msgspec.convert(inputs, SizingInputs, strict=False))


def _plan(inputs: object, execution_id: str) -> object:
    made_of = msgspec.convert(inputs, PlanInputs, strict=False)
    if made_of.model != MODEL:
        raise OtherModelError(
            f"was made by plan model {made_of.model} of another version; this one has model {MODEL}"
        )
    return plan(made_of, plan_generator(execution_id))


def _shortfall(inputs: object, _execution_id: str) -> object:
    return shortfall(msgspec.convert(inputs, ShortfallInputs, strict=False))


def _reward(inputs: object, _execution_id: str) -> object:
    return reward(msgspec.convert(inputs, RewardInputs, strict=False))


_DECISIONS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "signal": _signal,
    "sizing": _sizing,
    "plan": _plan,
    "shortfall": _shortfall,
    "earned": _reward,
}
