"""A stateful service whose state shows every command lost, repeated or out of order: accounts of entries.

Run as a module it is a process of its own.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from libs.common import processor
from libs.common.events import Event
from libs.common.handling import Output, Wiring
from libs.common.settings import ProcessorSettings
from libs.common.topics import Key, Topic

if TYPE_CHECKING:
    from libs.common.handling import State, Tick

PRIME: Final = 2**61 - 1


class Enter(Event, frozen=True, kw_only=True):
    """Enter an amount into an account; an id seen before is answered again, not done again."""

    id: str
    account: str
    amount: int


class Spoil(Event, frozen=True, kw_only=True):
    """A message that shows a broken invariant."""

    account: str


class Entered(Event, frozen=True, kw_only=True):
    """The answer: the account after the entry."""

    id: str
    account: str
    balance: int
    entries: int


class Account(Event, frozen=True, kw_only=True):
    """State: an account, and every answer about it by the id."""

    balance: int = 0
    entries: int = 0
    answers: dict[str, Entered] = msgspec.field(default_factory=dict)


def _topic(name: str, *events: type[Event]) -> Topic:
    return Topic(f"ledger.{name}.v1", events, Key.ORIGINAL, ("tests",))


COMMANDS: Final = _topic("commands", Enter, Spoil)
ANSWERS: Final = _topic("answers", Entered)
STATE: Final = replace(_topic("state", Account), compacted=True)


def handle(state: State[Account], message: Enter | Spoil | Tick, _now: int) -> list[Event]:
    """Enter, or fail half way."""
    match message:
        case Enter():
            return [_entered(state, message)]
        case Spoil(account=name):
            state.put(name.encode(), Account(balance=-1))
            raise ArithmeticError("a broken invariant")
        case _:
            return []


def _entered(state: State[Account], message: Enter) -> Entered:
    key = message.account.encode()
    account = state.get(key, Account())
    if message.id in account.answers:
        return account.answers[message.id]
    balance = (31 * account.balance + message.amount) % PRIME  # another order gives another balance
    answer = Entered(id=message.id, account=message.account, balance=balance, entries=account.entries + 1)
    answers = account.answers | {message.id: answer}
    state.put(key, Account(balance=balance, entries=answer.entries, answers=answers))
    return answer


def wiring(group: str) -> Wiring[Account]:
    """Return the service under a name of its test's own."""
    return Wiring(
        service=group,
        inputs=(COMMANDS,),
        state=STATE,
        outputs={Entered: Output(ANSWERS, lambda event: event.account.encode(), answers=True)},
        handle=handle,
    )


if __name__ == "__main__":
    processor.run(wiring(sys.argv[1]), ProcessorSettings())
