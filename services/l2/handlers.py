"""The l2 service's table of contents: a message in, events and effects out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from libs.common.time_units import NS_PER_S
from services.l2.messages import (
    BookReleased,
    BookUnwanted,
    BookWanted,
    ClockSet,
    Forget,
    FrameReceived,
    L2Message,
    NoFeed,
    Output,
    SocketClosed,
    Tick,
)
from services.l2.policy import NEVER
from services.l2.rate_limits import VenueBudget
from services.l2.session import BookSession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from services.l2.feeds.feed import Feed
    from services.l2.policy import Policy


@dataclass(slots=True)
class State:
    """All books of this process; changed in place by `handle`."""

    feeds: Mapping[str, Feed]
    bases: Callable[[str], tuple[str, str]]  # venue -> WebSocket and REST base address
    policy: Policy
    sessions: dict[str, BookSession] = field(default_factory=dict)  # by venue:symbol
    budgets: dict[str, VenueBudget] = field(default_factory=dict)  # by venue


def handle(state: State, message: L2Message, now: int) -> list[Output]:
    """Return what follows from `message` at `now` (ns UTC), in the order in which it must happen."""
    match message:
        case FrameReceived():  # first, as it comes most
            session = state.sessions.get(message.key)
            return session.on_frame(message, now) if session else []
        case Tick(key=str(key)):
            session = state.sessions.get(key)
            return session.on_tick(now) if session else []
        case Tick():
            return [output for session in state.sessions.values() for output in session.on_tick(now)]
        case ClockSet():
            return _begin_anew(state, message.by_ns, now)
        case BookWanted():
            return _want(state, message, now)
        case BookReleased():
            session = state.sessions.pop(f"{message.venue}:{message.symbol}", None)
            return session.close() if session else []
        case BookUnwanted():
            key = f"{message.venue}:{message.symbol}"
            session = state.sessions.pop(key, None)
            return [*(session.close() if session else ()), Forget(key)]
        case _:
            session = state.sessions.get(message.key)
            return session.on_message(message, now) if session else []


def next_due(state: State, key: str, now: int) -> int:
    """Return when a `Tick` of a book (venue:symbol) has something to do, if nothing comes before (ns UTC).

    Who has nothing else to do may wait until then, and ask again after each message; after those that tell
    of a socket or a request, for all books of the venue.
    """
    session = state.sessions.get(key)
    return session.next_due(now) if session else NEVER


def due_after_frame(state: State, key: str, now: int) -> int:
    """Return the same after a frame of a book of which `next_due` was asked before, quicker."""
    session = state.sessions.get(key)
    return session.due_after_frame(now) if session else NEVER


def stop(state: State, reason: str, now: int) -> list[Output]:
    """Return what follows where the process ends: every book says that its feed has."""
    out: list[Output] = []
    for session in state.sessions.values():
        out += session.life.renewal.drop(session.life.sync)
        out += session.on_closed(SocketClosed(session.key, session.connection, reason), now)
    return out


def _begin_anew(state: State, by_ns: int, now: int) -> list[Output]:
    """Let go of every book and want it again: how old anything of it is, nobody knows.

    What the venues allow us is no book's, and what was to be waited for is waited for.
    """
    for budget in state.budgets.values():
        budget.step_clock(by_ns)
    out = [output for session in state.sessions.values() for output in session.close()]
    for key, session in state.sessions.items():
        state.sessions[key] = session.begun_anew(by_ns, now)
    return out + [output for session in state.sessions.values() for output in session.on_tick(now)]


def _want(state: State, message: BookWanted, now: int) -> list[Output]:
    key = f"{message.venue}:{message.symbol}"
    if key in state.sessions:
        return []
    feed = state.feeds.get(message.venue)
    if feed is None:
        return [NoFeed(key)]
    blocked_s = state.policy.blocked_ns / NS_PER_S
    budget = state.budgets.setdefault(message.venue, VenueBudget.of(message.venue, blocked_s))
    session = BookSession(feed, message.symbol, state.bases(message.venue), budget, state.policy, now)
    session.maintainer.epoch = message.epoch
    session.life.instruments.know(message.terms)
    state.sessions[key] = session
    return session.on_tick(now)
