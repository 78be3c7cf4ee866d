"""Make the decisions of an execution again, from the inputs that its audit log holds; pure.

Signal (computed, or told by a policy of others), sizing, plan, shortfall and reward are functions of what was
logged beside them, so a log that was altered, or code that decides otherwise today, shows as a difference.
Inputs say the number of the model that decided, 1 where they say none; a decision of another model is not
made again, and counted as such.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from libs.common.audit_chain import canonical, jsonable
from services.execution.audit.logged import LoggedMarket, market_of
from services.execution.audit.older_forms import in_one_form
from services.execution.decide.alternatives import PlanInputs
from services.execution.decide.planner import MODEL as PLAN_MODEL
from services.execution.decide.planner import plan
from services.execution.decide.planning import plan_generator
from services.execution.decide.policies import signal_of
from services.execution.decide.reallocation import MODEL as REALLOCATION_MODEL
from services.execution.decide.reallocation import ReallocationInputs, reallocate
from services.execution.decide.reward import RewardInputs, reward
from services.execution.decide.shortfall import ShortfallInputs, shortfall
from services.execution.decide.sizing import MODEL as SIZING_MODEL
from services.execution.decide.sizing import SizingInputs, size
from services.execution.decide.split import MODEL as SPLIT_MODEL
from services.execution.decide.split import SplitInputs, split
from services.execution.decide.told_signal import MODEL as TOLD_MODEL
from services.execution.decide.told_signal import ToldInputs, told_signal

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

# The model of each kind of decision, raised with what comes of the same inputs; None: no version decides so
# any more, as `reward` graded the signal where `earned` is what the position did.
MODELS: Final[Mapping[str, int | None]] = {
    "signal": 1,
    "told": TOLD_MODEL,
    "sizing": SIZING_MODEL,
    "split": SPLIT_MODEL,
    "plan": PLAN_MODEL,
    "reallocated": REALLOCATION_MODEL,
    "shortfall": 1,
    "earned": 1,
    "reward": None,
}


class Rerun(NamedTuple):
    """What came of it."""

    decisions: int  # made again
    differences: tuple[str, ...]
    others: tuple[str, ...] = ()  # decisions of another version's model, not made again, in words


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    policy_id: str
    market: LoggedMarket


def rerun(entries: Iterable[AuditEntry]) -> Rerun:
    """Return how many decisions were made again, and in words which came out otherwise."""
    decisions, differences, others = 0, [], []
    for entry in entries:
        if entry.kind not in MODELS:
            continue
        try:
            payload: Mapping[str, Any] = json.loads(entry.payload)
            if words := _of_another_model(entry.kind, payload["inputs"].get("model", 1)):
                others.append(f"entry {entry.seq} ({entry.kind}) {words}")
                continue
            made = jsonable(_DECISIONS[entry.kind](payload["inputs"], entry.execution_id))
            output, found = in_one_form(entry.kind, payload["output"], made)
        except NOT_DECIDED_HERE as error:
            decisions += 1
            differences.append(f"entry {entry.seq} ({entry.kind}) cannot be made again: {error}")
            continue
        decisions += 1
        if canonical({"output": found}) != canonical({"output": output}):
            differences.append(f"entry {entry.seq} ({entry.kind}) comes out as {json.dumps(found)[:400]}")
    return Rerun(decisions, tuple(differences), tuple(others))


def _of_another_model(kind: str, model: object) -> str:
    own = MODELS[kind]
    if model == own:
        return ""
    other = f"was made by {kind} model {model} of another version"
    return f"{other}, which this one no longer has" if own is None else f"{other}; this one has model {own}"


def _signal(inputs: object, _execution_id: str) -> object:
    seen = msgspec.convert(inputs, _Seen, strict=False)
    return signal_of(seen.policy_id, market_of(seen.market))


def _told(inputs: object, _execution_id: str) -> object:
    return told_signal(msgspec.convert(inputs, ToldInputs, strict=False))


def _sizing(inputs: object, _execution_id: str) -> object:
    return size(msgspec.convert(inputs, SizingInputs, strict=False))


def _split(inputs: object, execution_id: str) -> object:
    return split(msgspec.convert(inputs, SplitInputs, strict=False), execution_id)


def _reallocated(inputs: object, execution_id: str) -> object:
    return reallocate(msgspec.convert(inputs, ReallocationInputs, strict=False), execution_id)


def _plan(inputs: object, execution_id: str) -> object:
    return plan(msgspec.convert(inputs, PlanInputs, strict=False), plan_generator(execution_id))


def _shortfall(inputs: object, _execution_id: str) -> object:
    return shortfall(msgspec.convert(inputs, ShortfallInputs, strict=False))


def _reward(inputs: object, _execution_id: str) -> object:
    return reward(msgspec.convert(inputs, RewardInputs, strict=False))


_DECISIONS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "signal": _signal,
    "told": _told,
    "sizing": _sizing,
    "split": _split,
    "plan": _plan,
    "reallocated": _reallocated,
    "shortfall": _shortfall,
    "earned": _reward,
}
