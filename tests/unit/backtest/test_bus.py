from __future__ import annotations

import pytest

from backtest.bus import RECORD, SOURCE, Bus, OvertakingError
from backtest.delays import Immediate
from backtest.following import follow
from libs.common.effects import Outgoing
from libs.common.events import BookHealth, BookState
from libs.common.topics import DEAD_LETTERS, L2_BOOK_HEALTH, Topic
from libs.common.views import View

KEY = b"binance:BTC-USDT"


class Given:
    """Delays that a test says."""

    def __init__(self, *ns: int) -> None:
        self._left = list(ns)

    def hop_ns(self, topic: Topic) -> int:
        del topic
        return self._left.pop(0)


def a_health() -> BookHealth:
    return BookHealth(
        venue="binance",
        symbol="BTC-USDT",
        state=BookState.LIVE,
        epoch=1,
        seq=1,
        reason="",
        owner="t",
        since_ts=0,
        ts=0,
    )


def test_at_one_instant_the_market_comes_first_then_what_arrives_then_who_wakes() -> None:
    bus, seen = Bus(8, Immediate(), 100), list[str]()
    bus.at(200, seen.append, "wakes")
    bus.at(200, seen.append, "arrives", RECORD)
    bus.at(200, seen.append, "wakes too")
    bus.at(200, seen.append, "market", SOURCE)
    bus.at(199, seen.append, "before")
    bus.run(199)
    assert (seen, bus.now, bus.next_ts) == (["before"], 199, 200)
    bus.run(300)
    assert seen == ["before", "market", "arrives", "wakes", "wakes too"]
    assert (bus.now, bus.next_ts) == (300, None)


def test_a_record_arrives_a_hop_later_and_overtakes_none_of_its_partition() -> None:
    bus, seen = Bus(8, Given(50, 5, 100), 0), list[tuple[int, int]]()
    bus.subscribe(L2_BOOK_HEALTH, lambda record: seen.append((bus.now, record.offset)))
    bus.publish(L2_BOOK_HEALTH, KEY, a_health())
    bus.publish(L2_BOOK_HEALTH, KEY, a_health())
    bus.at(20, lambda _: bus.publish(L2_BOOK_HEALTH, KEY, None))  # would be there at 25
    bus.at(60, lambda _: bus.publish(L2_BOOK_HEALTH, KEY, a_health()))
    bus.run(49)
    assert seen == []
    bus.run(200)
    assert seen == [(50, 0), (50, 1), (50, 2), (160, 3)]


def test_what_is_shown_has_arrived_and_is_refused_while_others_are_on_their_way() -> None:
    bus, seen = Bus(8, Given(50), 0), list[int]()
    bus.subscribe(L2_BOOK_HEALTH, lambda record: seen.append(record.offset))
    bus.show(L2_BOOK_HEALTH, KEY, a_health())
    assert seen == [0]
    bus.publish(L2_BOOK_HEALTH, KEY, a_health())
    with pytest.raises(OvertakingError, match=r"l2\.book-health\.v1-\d: its last records have not arrived"):
        bus.show(L2_BOOK_HEALTH, KEY, a_health())
    bus.run(50)
    bus.show(L2_BOOK_HEALTH, KEY, a_health())
    assert seen == [0, 1, 2]


def test_a_look_shows_a_moment_a_hop_ago_once_an_instant_and_never_goes_back() -> None:
    bus, asked = Bus(8, Given(30, 5, 90, 7, 90), 1000), list[tuple[int, int | None, int]]()
    bus.look(3)
    assert asked == []  # nobody wants to know
    bus.before_looking(lambda *told: asked.append(told))
    for partition, old_ns in ((3, 7), (3, 7), (3, 9), (None, 7), (3, 8), (2, 7)):
        bus.look(partition, old_ns)
    bus.run(1050)
    bus.look(3, 7)
    bus.run(1060)
    bus.look(3, 7)
    bus.look(3, 2)
    assert asked == [(970, 3, 7), (995, None, 7), (995, 3, 7), (1053, 3, 7), (1053, 3, 2)]


def test_a_tap_has_every_record_when_it_is_written_with_its_bytes() -> None:
    bus, tapped = Bus(8, Given(50), 7), list[tuple[str, int, bytes | None]]()
    bus.tap(lambda record: tapped.append((record.topic.name, record.ts, record.value)))
    bus.send(Outgoing(L2_BOOK_HEALTH, 1, KEY, b"raw", ()))
    assert tapped == [("l2.book-health.v1", 7, b"raw")]


def test_bytes_that_are_no_message_are_kept_once_whoever_finds_out() -> None:
    bus, letters = Bus(8, Immediate(), 0), list[bytes | None]()
    views: list[View[BookHealth]] = [View(L2_BOOK_HEALTH), View(L2_BOOK_HEALTH)]
    for view in views:
        follow(bus, (view,))
    bus.subscribe(DEAD_LETTERS, lambda record: letters.append(record.value))
    bus.publish(L2_BOOK_HEALTH, KEY, a_health())
    bus.send(Outgoing(L2_BOOK_HEALTH, bus.place(KEY), KEY, b"\xc1", ()))
    bus.run(1)
    assert letters == [b"\xc1"]
    assert [view.items[KEY] for view in views] == [a_health(), a_health()]
    assert [view.position(bus.place(KEY)) for view in views] == [2, 2]


def test_what_is_shown_together_each_reader_has_before_the_next_one_has_any() -> None:
    bus, seen = Bus(8, Immediate(), 0), list[tuple[str, int]]()
    bus.subscribe(L2_BOOK_HEALTH, lambda record: seen.append(("view", record.offset)))
    bus.subscribe(L2_BOOK_HEALTH, lambda record: seen.append(("handler", record.offset)))
    bus.show_together(L2_BOOK_HEALTH, ((KEY, a_health()), (KEY, a_health())))
    assert seen == [("view", 0), ("view", 1), ("handler", 0), ("handler", 1)]
    assert not bus.flies(L2_BOOK_HEALTH, bus.place(KEY))
