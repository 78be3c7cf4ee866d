from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backtest.bus import Bus
from backtest.delays import Immediate
from backtest.partition_host import PartitionHost, StoppedError
from libs.common.events import Command, CommandRejected, Event
from libs.common.handling import Announcement, Output, State, Tick, WakeAt, Wiring
from libs.common.topics import DEAD_LETTERS, Key, Topic
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backtest.bus import Record

BEGIN = 1_800_000_000_000_000_000


class Do(Command, frozen=True, kw_only=True):
    what: str
    wake_after: int | None = None


class Told(Event, frozen=True, kw_only=True):
    what: str


class Done(Event, frozen=True, kw_only=True):
    what: str
    ts: int


class Kept(Event, frozen=True, kw_only=True):
    what: str


COMMANDS = Topic("t.commands.v1", (Do,), Key.SYMBOL, ("tests",))
NEWS = Topic("t.news.v1", (Told,), Key.SYMBOL, ("tests",), compacted=True)
BOOKS = Topic("t.books.v1", (Told,), Key.BOOK, ("tests",), compacted=True)
RESULTS = Topic("t.results.v1", (Done, CommandRejected), Key.SYMBOL, ("tests",))
STATE = Topic("t.state.v1", (Kept,), Key.ORIGINAL, ("tests",), compacted=True)


class Hosted:
    """A service that does what it is told, wakes when it asked to, and early when its views say so."""

    def __init__(self) -> None:
        self.news: View[Told] = View(NEWS)
        self.books: View[Told] = View(BOOKS)
        self.bus = Bus(8, Immediate(), BEGIN)
        self.looked: list[tuple[int, int | None]] = []
        self.results: list[str] = []
        self.letters: list[Record] = []
        self.host = PartitionHost(self.bus, self._wiring(), lambda _message, number: number)
        self.bus.subscribe(RESULTS, self._note)
        self.bus.subscribe(DEAD_LETTERS, self.letters.append)

    def _note(self, record: Record) -> None:
        event = record.event
        if isinstance(event, CommandRejected):
            self.results.append(f"refused: {event.refusal}")
        elif isinstance(event, Done):
            assert event.ts == self.bus.now
            self.results.append(f"{event.what} at {event.ts - BEGIN}")

    def _wiring(self) -> Wiring[Kept]:
        return Wiring(
            service="t",
            inputs=(COMMANDS, NEWS),
            state=STATE,
            outputs={
                Done: Output(RESULTS, lambda done: done.what.encode()),
                CommandRejected: Output(RESULTS, lambda answer: answer.key.encode()),
            },
            handle=self._handle,
            views=(self.news, self.books),
            early=self._early,
            announce=lambda: [Announcement(BOOKS, b"announced", Told(what="here"))],
        )

    def _handle(self, state: State[Kept], message: Do | Told | Tick, now: int) -> list[Event | WakeAt]:
        if isinstance(message, Tick):
            state.remove(message.key)
            return [Done(what=message.key.decode(), ts=now)]
        if message.what == "broken":
            raise ZeroDivisionError("broken")
        if isinstance(message, Told):
            return []
        wake = message.wake_after
        state.put(message.what.encode(), Kept(what=message.what))
        done: list[Event | WakeAt] = [Done(what=message.what, ts=now)]
        return done if wake is None else [*done, WakeAt(now + wake, message.what.encode())]

    def _early(self, state: State[Kept], now: int) -> Iterable[bytes]:
        del now
        said = {each.what for each in (*self.books.items.values(), *self.news.items.values())}
        return [key for key in state if f"early {key.decode()}" in said]

    def do(self, what: str, wake_after: int | None = None) -> None:
        command = Do(command_id="6ba7b810-9dad-11d1-80b4-00c04fd430c8", what=what, wake_after=wake_after)
        self.bus.publish(COMMANDS, b"BTC-USDT", command)


def test_what_it_announces_stands_first_and_commands_and_ticks_come_at_their_times() -> None:
    hosted = Hosted()
    hosted.host.announce()
    hosted.do("a", 50)
    hosted.do("b", 20)
    hosted.bus.run(BEGIN + 19)
    assert hosted.books.items[b"announced"] == Told(what="here")
    assert hosted.results == ["a at 0", "b at 0"]
    hosted.bus.run(BEGIN + 100)
    assert hosted.results[2:] == ["b at 20", "a at 50"]
    assert hosted.host.counts["handled"] == 4


@pytest.mark.parametrize("topic", [NEWS, BOOKS])
def test_a_tick_comes_early_where_the_views_show_it_and_then_no_more(topic: Topic) -> None:
    hosted = Hosted()
    hosted.do("a", 50)
    hosted.bus.at(BEGIN + 10, lambda _: hosted.bus.publish(topic, b"x:BTC-USDT", Told(what="early b")))
    hosted.bus.at(BEGIN + 30, lambda _: hosted.bus.publish(topic, b"x:BTC-USDT", Told(what="early a")))
    hosted.bus.run(BEGIN + 100)
    assert hosted.results == ["a at 0", "a at 30"]


def test_an_event_that_a_handler_raises_on_stops_the_run_after_what_came_before() -> None:
    hosted = Hosted()
    hosted.do("a")
    hosted.bus.publish(NEWS, b"ETH-USDT", Told(what="broken"))
    with pytest.raises(StoppedError, match=r"^t-\d stopped: t\.news\.v1/\d/0: ZeroDivisionError: broken$"):
        hosted.bus.run(BEGIN + 1)
    assert hosted.host.partitions[hosted.bus.place(b"BTC-USDT")].state[b"a"] == Kept(what="a")


def test_a_command_that_a_handler_raises_on_is_refused_kept_and_counted() -> None:
    hosted = Hosted()
    hosted.do("broken")
    hosted.do("a")
    hosted.bus.run(BEGIN + 1)
    assert hosted.results == ["refused: internal", "a at 0"]
    assert [record.topic for record in hosted.letters] == [DEAD_LETTERS]
    assert hosted.host.counts["failures"] == 1
    assert "ZeroDivisionError: broken" in hosted.host.failures[0]


def test_a_source_is_asked_for_books_before_each_message_and_tick_that_looks_at_them() -> None:
    hosted = Hosted()
    place = hosted.bus.place(b"BTC-USDT")
    hosted.bus.before_looking(lambda ts, partition, _old_ns: hosted.looked.append((ts - BEGIN, partition)))
    hosted.do("a", 50)
    hosted.bus.run(BEGIN + 100)
    assert hosted.looked == [(0, place), (50, place)]
