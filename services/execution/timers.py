"""What a tick of this service is for: its name on the log, and back.

A name is written with the wish for a tick and read when it is due, by a later version perhaps, so names stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

SWEEP_NAME: Final = "ids/all/sweep"
WATCH_NAME: Final = "limits/watch"


@dataclass(frozen=True, slots=True)
class StepTimeout:
    """The router or the venues have not answered in time."""

    execution_id: str
    step: str  # choosing or scoring


@dataclass(frozen=True, slots=True)
class SliceDue:
    """The next child of a leg is to be sent."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class ChildArrives:
    """A child reaches its venue."""

    execution_id: str
    cl_ord_id: str


@dataclass(frozen=True, slots=True)
class RewardDue:
    """The window of a decision ends."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class OrderArrives:
    """An order on its own reaches its venue."""

    cl_ord_id: str


@dataclass(frozen=True, slots=True)
class OrderChecked:
    """A resting order is looked at."""

    cl_ord_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """An execution or an order is forgotten but for its id."""

    kind: Literal["saga", "order"]
    identifier: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """The oldest ids are forgotten."""


@dataclass(frozen=True, slots=True)
class LimitsWatched:
    """Losses and exposures are compared with their limits."""


Timer: TypeAlias = (
    StepTimeout
    | SliceDue
    | ChildArrives
    | RewardDue
    | OrderArrives
    | OrderChecked
    | Forget
    | Sweep
    | LimitsWatched
)


class UnknownTimerError(ValueError):
    """The name of a tick that no version of this service wishes for: a broken invariant."""


def name_of(timer: Timer) -> bytes:
    """Return the name of a timer on the log."""
    match timer:
        case StepTimeout(execution_id, step):
            name = f"saga/{execution_id}/timeout/{step}"
        case SliceDue(execution_id):
            name = f"saga/{execution_id}/slice"
        case ChildArrives(execution_id, cl_ord_id):
            name = f"saga/{execution_id}/arrive/{cl_ord_id}"
        case RewardDue(execution_id):
            name = f"saga/{execution_id}/horizon"
        case OrderArrives(cl_ord_id):
            name = f"order/{cl_ord_id}/arrive"
        case OrderChecked(cl_ord_id):
            name = f"order/{cl_ord_id}/check"
        case Forget(kind, identifier):
            name = f"{kind}/{identifier}/forget"
        case Sweep():
            name = SWEEP_NAME
        case LimitsWatched():
            name = WATCH_NAME
    return name.encode()


_ALONE: Final[dict[str, Timer]] = {SWEEP_NAME: Sweep(), WATCH_NAME: LimitsWatched()}


def timer_of(name: bytes) -> Timer:
    """Return the timer of that name.

    Raises
    ------
    UnknownTimerError
        If there is none.
    """
    text = name.decode(errors="replace")
    match text.split("/"):
        case ["saga", execution_id, purpose, *rest]:
            timer = _of_saga(execution_id, purpose, rest)
        case ["order", cl_ord_id, purpose]:
            timer = _of_order(cl_ord_id, purpose)
        case _:
            timer = _ALONE.get(text)
    if timer is None:
        raise UnknownTimerError(f"{name!r} is no tick of this service")
    return timer


def _of_saga(execution_id: str, purpose: str, rest: list[str]) -> Timer | None:
    match purpose, rest:
        case "timeout", [step]:
            return StepTimeout(execution_id, step)
        case "slice", []:
            return SliceDue(execution_id)
        case "arrive", [cl_ord_id]:
            return ChildArrives(execution_id, cl_ord_id)
        case "horizon", []:
            return RewardDue(execution_id)
        case "forget", []:
            return Forget("saga", execution_id)
    return None


def _of_order(cl_ord_id: str, purpose: str) -> Timer | None:
    match purpose:
        case "arrive":
            return OrderArrives(cl_ord_id)
        case "check":
            return OrderChecked(cl_ord_id)
        case "forget":
            return Forget("order", cl_ord_id)
    return None
