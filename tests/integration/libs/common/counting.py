"""A stateful service to test the processor with: running totals per key, alarms, and a second input.

Run as a module it is a process of its own, as router, portfolio and execution will be.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from libs.common import processor
from libs.common.events import Event
from libs.common.handling import Output, Tick, WakeAt, Wiring
from libs.common.settings import ProcessorSettings
from libs.common.topics import Key, Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.common.handling import State


class Add(Event, frozen=True, kw_only=True):
    """Add `amount` to the total of a key."""

    key: str
    amount: int
    wake_after_ns: int | None = None
    reply_key: str | None = None


class Double(Event, frozen=True, kw_only=True):
    """Double the total of a key."""

    key: str


class Explode(Event, frozen=True, kw_only=True):
    """A message that shows a broken invariant."""

    key: str


class Total(Event, frozen=True, kw_only=True):
    """State: the total of a key, and how many messages made it."""

    total: int
    messages: int


class Counted(Event, frozen=True, kw_only=True):
    """The total after one more message."""

    key: str
    total: int
    messages: int


class Woken(Event, frozen=True, kw_only=True):
    """An alarm went off."""

    key: str
    amount: int  # of the message that set it
    due_ts: int
    now: int


def _topic(name: str, *events: type[Event]) -> Topic:
    return Topic(f"counting.{name}.v1", events, Key.ORIGINAL, ("tests",))


COMMANDS: Final = _topic("commands", Add, Explode)
DOUBLINGS: Final = _topic("doublings", Double)
COUNTS: Final = _topic("counts", Counted)
ALARMS: Final = _topic("alarms", Woken)
STATE: Final = replace(_topic("state", Total), compacted=True)


def handle(state: State[Total], message: Add | Double | Explode | Tick, now: int) -> list[Event | WakeAt]:
    """Count, ring or explode."""
    match message:
        case Add(key=key, amount=amount, wake_after_ns=delay):
            counted = _count(state, key, lambda total: total + amount)
            return [counted] if delay is None else [counted, WakeAt(now + delay, f"{key}/{amount}".encode())]
        case Double(key=key):
            return [_count(state, key, lambda total: 2 * total)]
        case Tick():
            name, _, number = message.key.decode().partition("/")
            return [Woken(key=name, amount=int(number), due_ts=message.due_ts, now=now)]
        case Explode(key=key):
            _count(state, key, lambda total: total + 1_000_000)
            raise ArithmeticError("a broken invariant")


def _count(state: State[Total], key: str, change: Callable[[int], int]) -> Counted:
    before = state.get(key.encode(), Total(total=0, messages=0))
    after = Total(total=change(before.total), messages=before.messages + 1)
    state.put(key.encode(), after)
    return Counted(key=key, total=after.total, messages=after.messages)


def _key(event: Counted | Woken) -> bytes:
    return event.key.encode()


def wiring(group: str) -> Wiring[Total]:
    """Return the service under a name of its test's own: a dead member would hold up the next one's group."""
    return Wiring(
        service=group,
        inputs=(COMMANDS, DOUBLINGS),
        state=STATE,
        outputs={Counted: Output(COUNTS, _key, answers=True), Woken: Output(ALARMS, _key)},
        handle=handle,
    )


if __name__ == "__main__":
    processor.run(wiring(sys.argv[1]), ProcessorSettings())
