"""Make the decisions of an execution again, from the inputs that its audit log holds; pure.

Signal, sizing, plan, shortfall and reward are functions of what was logged beside them, so a log that was
altered, or code that decides otherwise today, shows as a difference.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from libs.common.audit_chain import canonical, jsonable
from services.execution.audit import LoggedMarket, market_of
from services.execution.planner import PlanInputs, plan
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


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    policy_id: str
    market: LoggedMarket


def rerun(entries: Iterable[AuditEntry]) -> Rerun:
    """Return how many decisions were made again, and in words which came out otherwise."""
    decisions, differences = 0, []
    for entry in entries:
        again = _DECISIONS.get(entry.kind)
        if again is None:
            continue
        decisions += 1
        try:
            payload: Mapping[str, Any] = json.loads(entry.payload)
            found = jsonable(again(payload["inputs"], entry.execution_id))
        except NOT_DECIDED_HERE as error:
            differences.append(f"entry {entry.seq} ({entry.kind}) cannot be made again: {error}")
            continue
        if canonical({"output": found}) != canonical({"output": payload.get("output")}):
            differences.append(f"entry {entry.seq} ({entry.kind}) comes out as {json.dumps(found)[:400]}")
    return Rerun(decisions, tuple(differences))


def _signal(inputs: object, _execution_id: str) -> object:
    seen = msgspec.convert(inputs, _Seen, strict=False)
    return signal_of(seen.policy_id, market_of(seen.market))


def _sizing(inputs: object, _execution_id: str) -> object:
    return size(msgspec.convert(inputs, SizingInputs, strict=False))


def _plan(inputs: object, execution_id: str) -> object:
    return plan(msgspec.convert(inputs, PlanInputs, strict=False), plan_generator(execution_id))


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
