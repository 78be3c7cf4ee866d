from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from aiokafka import TopicPartition
from msgspec.structs import replace

from libs.common.events import BookHealth, BookState, InstrumentTerms, Subscribed
from libs.common.kafka import Publisher, Record, Undecodable
from libs.common.topics import L2_BOOK_HEALTH, L2_SUBSCRIPTIONS
from services.l2.messages import BookUnwanted, BookWanted
from services.l2.ownership import Ownership
from services.l2.settings import L2Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from libs.common.events import Event
    from libs.common.topics import Topic
    from services.l2.messages import L2Message

BTC, ETH = b"binance:BTC-USDT", b"binance:ETH-USDT"
NUMBER = 3  # of the partition


class WrittenLog:
    """What stands in the partition of the subscriptions and of the healths, record by record."""

    def __init__(self, *written: Record | Undecodable) -> None:
        topics = (L2_SUBSCRIPTIONS, L2_BOOK_HEALTH)
        self.ends: Mapping[TopicPartition, int] = {
            TopicPartition(topic.name, NUMBER): 100 for topic in topics
        }
        self._left = list(written)

    async def poll(self) -> Sequence[Record | Undecodable]:
        return [self._left.pop(0)]

    async def at_end(self) -> bool:
        return not self._left


def a_record(topic: Topic, key: bytes, event: Event | None) -> Record:
    return Record(topic=topic, partition=NUMBER, offset=0, timestamp_ms=0, key=key, event=event, value=None)


def a_subscription(key: bytes, source: Literal["settings", "request"] = "request") -> Record:
    venue, _, symbol = key.decode().partition(":")
    wish = Subscribed(venue=venue, symbol=symbol, requested_ts=0, source=source)
    return a_record(L2_SUBSCRIPTIONS, key, wish)


def a_health(key: bytes, epoch: int = 7, terms: InstrumentTerms | None = None) -> Record:
    venue, _, symbol = key.decode().partition(":")
    health = BookHealth(
        venue=venue,
        symbol=symbol,
        state=BookState.LIVE,
        epoch=epoch,
        seq=1,
        reason="",
        since_ts=0,
        ts=0,
        gaps=0,
        resyncs=0,
        checksum_failures=0,
        terms=terms,
    )
    return a_record(L2_BOOK_HEALTH, key, health)


def ended(topic: Topic, key: bytes) -> Record:
    return a_record(topic, key, None)


def of_a_later_version(topic: Topic, key: bytes) -> Undecodable:
    return Undecodable(
        topic=topic,
        partition=NUMBER,
        offset=0,
        timestamp_ms=0,
        key=key,
        value=b"",
        headers=(),
        reason="Invalid enum value",
        unknown=True,
    )


async def reported(*written: Record | Undecodable) -> list[L2Message]:
    """Return what a new owner of the partition reports."""
    messages: list[L2Message] = []

    async def report(message: L2Message) -> None:
        messages.append(message)

    settings = L2Settings()
    ownership = Ownership(settings, Publisher(settings), report)
    await ownership.take_over({NUMBER}, WrittenLog(*written))
    assert len(ownership.partitions) == 1
    assert ownership.left_out == sum(isinstance(each, Undecodable) for each in written)
    return messages


async def test_a_book_whose_subscription_ended_while_it_had_no_owner_is_ended_by_the_next_one() -> None:
    written = (a_subscription(BTC), a_health(BTC), a_subscription(ETH), a_health(ETH, 9))
    unwanted = BookUnwanted("binance", "BTC-USDT")
    wanted = BookWanted("binance", "ETH-USDT", 9)
    assert await reported(*written, ended(L2_SUBSCRIPTIONS, BTC)) == [unwanted, wanted]
    assert await reported(*written[1:]) == [unwanted, wanted], "compaction took the subscription and its end"


async def test_what_a_venue_demands_is_known_to_the_next_owner_unless_no_order_can_be_made_to_it() -> None:
    terms = InstrumentTerms(
        tick=Decimal("0.1"), lot=Decimal("0.5"), min_qty=Decimal(1), min_notional=Decimal(0)
    )
    wanted, absurd = a_subscription(BTC), replace(terms, lot=Decimal("sNaN"))
    known = [BookWanted("binance", "BTC-USDT", 7, terms)]
    assert await reported(wanted, a_health(BTC, terms=terms)) == known
    assert await reported(wanted, a_health(BTC, terms=terms), a_health(BTC, terms=absurd)) == known
    ended_since = a_health(BTC, terms=terms), ended(L2_BOOK_HEALTH, BTC)
    assert await reported(wanted, *ended_since) == [BookWanted("binance", "BTC-USDT", 7)]


async def test_a_book_whose_state_is_gone_already_is_not_ended_again() -> None:
    gone = (a_subscription(BTC), a_health(BTC), ended(L2_SUBSCRIPTIONS, BTC), ended(L2_BOOK_HEALTH, BTC))
    assert await reported(*gone) == []


async def test_a_key_that_is_no_text_takes_no_other_book_with_it() -> None:
    spoilt = a_record(L2_SUBSCRIPTIONS, b"\xff:BTC-USDT", a_subscription(BTC).event)
    assert await reported(spoilt, a_subscription(ETH)) == [
        BookWanted("\ufffd", "BTC-USDT", 0),
        BookWanted("binance", "ETH-USDT", 0),
    ]


async def test_a_book_that_is_wanted_is_never_ended_whoever_wants_it_and_whatever_was_before() -> None:
    wanted = [BookWanted("binance", "BTC-USDT", 7)]
    for again in (a_subscription(BTC), a_subscription(BTC, source="settings")):
        assert await reported(a_health(BTC), again) == wanted
        assert await reported(again, a_health(BTC)) == wanted
        history = (a_subscription(BTC), a_health(BTC), ended(L2_SUBSCRIPTIONS, BTC), again)
        assert await reported(*history) == wanted
        assert await reported(*history, ended(L2_BOOK_HEALTH, BTC)) == wanted
    assert await reported(a_subscription(BTC)) == [BookWanted("binance", "BTC-USDT", 0)]


async def test_what_only_a_later_version_knows_is_left_out_and_neither_starts_nor_ends_a_book() -> None:
    wish, health = (of_a_later_version(topic, BTC) for topic in (L2_SUBSCRIPTIONS, L2_BOOK_HEALTH))
    wanted = [BookWanted("binance", "BTC-USDT", 7)]
    assert await reported(wish, health) == []
    assert await reported(wish, a_health(BTC)) == [], "somebody wants it"
    assert await reported(a_subscription(BTC), a_health(BTC), wish, health) == wanted
    assert await reported(wish, a_health(BTC), a_subscription(BTC)) == wanted
    assert await reported(wish, a_health(BTC), ended(L2_SUBSCRIPTIONS, BTC)) == [
        BookUnwanted("binance", "BTC-USDT")
    ]
