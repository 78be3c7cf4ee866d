from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from libs.common.events import BookState
from libs.common.live_books import PATIENCE
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_SUBSCRIPTIONS
from services.gateway.reading import books
from services.gateway.reading.books import BookId
from tests.unit.services.gateway.world import KEY, NOW, World, a_book_health, a_book_top

if TYPE_CHECKING:
    from collections.abc import Iterable

BOOK = BookId("binance", "BTC-USDT")
PATH = "/api/l2/binance/BTCUSDT"


async def test_a_page_is_encoded_once_per_change_and_depth_however_often_it_is_asked_for() -> None:
    world = World()
    world.live()
    pages = {world.books.hot_page(PATH, b"depth=5", NOW) for _ in range(100)}
    assert len(pages) == 1
    assert world.books.encoded == 1
    world.books.hot_page(PATH, b"depth=6", NOW)
    assert world.books.encoded == 2


async def test_a_new_top_makes_a_new_page() -> None:
    world = World()
    world.live()
    before = world.books.page(BOOK, 20, NOW)
    world.fold(L2_BOOK_TOPS, KEY, a_book_top(seq=8))
    after = world.books.page(BOOK, 20, NOW)
    assert b'"seq":7' in before.body
    assert b'"seq":8' in after.body


async def test_a_heartbeat_that_changes_nothing_makes_no_new_page_and_a_new_state_does() -> None:
    world = World()
    world.live()
    before = world.books.page(BOOK, 20, NOW)
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(ts=NOW + 1_000_000_000))
    assert world.books.page(BOOK, 20, NOW).body is before.body
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(BookState.CHECKSUM_FAILED))
    assert b"CHECKSUM_FAILED" in world.books.page(BOOK, 20, NOW).body


async def test_the_fast_path_leaves_everything_that_needs_words_to_the_route() -> None:
    world = World()
    world.live()
    for path, query in (
        ("/api/l2/binance/BTCUSDT", b"depth=0"),
        ("/api/l2/binance/BTCUSDT", b"depth=51"),
        ("/api/l2/binance/BTCUSDT", b"depth=5&depth=6"),
        ("/api/l2/nope/BTCUSDT", b""),
        ("/api/l2/binance/xyz", b""),
        ("/api/l2/binance", b""),
        ("/api/l2/binance/", b""),
        ("/api/l2/binance/ETHUSDT", b""),
    ):
        assert world.books.hot_page(path, query, NOW) is None


def kept_by(world: World) -> tuple[int, int]:
    """Return how many addresses and pages are remembered."""
    return len(world.books._keys), len(world.books._pages)  # noqa: SLF001 -- the bound is the promise


async def test_nothing_is_remembered_of_what_callers_make_up() -> None:
    world = World()
    world.live()
    assert world.books.hot_page(PATH, b"", NOW) is not None
    before = kept_by(world)
    for i in range(100):
        world.books.hot_page(f"/api/l2/binance/A{i}USDT", b"", NOW)
        world.books.hot_page(f"/api/l2/{i}/BTCUSDT", b"", NOW)
        world.books.hot_page(PATH, b"depth=5&x=%d" % i, NOW)
        await world.ask(f"/api/l2/binance/{i}{'x' * 8300}")
        await world.ask(f"{PATH}?x={i}{'x' * 8300}")
    for odd in ("bTcuSDT", "btCUsdT", "Btc-UsDt", "BTC/usdt"):  # answered, and a caller has many of them
        assert world.books.hot_page(f"/api/l2/binance/{odd}", b"", NOW) is not None
    assert kept_by(world) == before


async def test_addresses_that_are_refused_as_too_long_leave_no_memory_taken() -> None:
    world = World()
    world.live()

    async def ask(numbers: Iterable[int]) -> int:
        """Return how many bytes are held afterwards."""
        for number in numbers:
            for target in (f"/api/l2/binance/{number}{'x' * 8300}", f"{PATH}?x={number}{'x' * 8300}"):
                assert (await world.ask(target)).status == 414
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = await ask(range(5))
        grown = await ask(range(5, 205)) - before
    finally:
        tracemalloc.stop()
    assert grown < 200 * 2 * 8300 // 20


@pytest.mark.parametrize("spelled", ["BTC-USDT", "BTCUSDT", "BTC/USDT", "BTC_USDT", "btcusdt", "btc-usdt"])
async def test_every_usual_spelling_of_a_book_is_hot(spelled: str) -> None:
    world = World()
    world.live()
    path = f"/api/l2/binance/{spelled}"
    assert world.books.hot_page(path, b"", NOW) is world.books.hot_page(path, b"", NOW) is not None
    assert kept_by(world) == (1, 1)


async def test_a_book_that_was_ended_is_left_to_the_route_although_its_address_is_remembered() -> None:
    world = World()
    world.live()
    assert world.books.hot_page(PATH, b"", NOW) is not None
    for topic in (L2_SUBSCRIPTIONS, L2_BOOK_TOPS, L2_BOOK_HEALTH):
        world.fold(topic, KEY, None)
    assert world.books.hot_page(PATH, b"", NOW) is None
    assert (await world.ask(PATH)).status == 404


async def test_pages_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.live()
    monkeypatch.setattr(books, "MAX_PAGE_BYTES", 20_000)
    for _ in range(2):
        for depth in range(1, 51):
            page = world.books.hot_page(PATH, b"depth=%d" % depth, NOW)
            assert page is not None
            kept = world.books._pages.values()  # noqa: SLF001 -- the bound is the promise
            assert sum(len(page.body) + books.PAGE_BYTES for page in kept) <= 20_000
            assert page in kept


async def test_a_book_whose_newer_tops_have_not_come_through_is_not_live() -> None:
    world = World()
    world.live()
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(ts=NOW, seq=99, told_seq=a_book_top().seq + 1))
    page = world.books.page(BOOK, 20, NOW)
    assert b'"state":"STALE"' in page.body
    assert b"its log is held up" in page.body
    world.fold(L2_BOOK_TOPS, KEY, a_book_top(seq=99))
    assert b'"state":"LIVE"' in world.books.page(BOOK, 20, NOW).body


async def test_a_cached_page_of_a_book_in_doubt_is_live_for_as_long_as_the_rule_says_and_no_longer() -> None:
    world = World()
    world.live()
    proven = a_book_top().received_ts
    last = proven + PATIENCE["showing"].unproven_ns
    world.fold(L2_BOOK_HEALTH, KEY, a_book_health(ts=last - 10**9, in_doubt=True))
    pages = [world.books.page(BOOK, 20, now) for now in (last - 10**9, last, last + 1)]
    assert [b'"state":"LIVE"' in page.body for page in pages] == [True, True, False]
    assert pages[0] is pages[1]


async def test_a_clock_that_stepped_back_makes_no_book_fresh_not_even_one_of_the_cache() -> None:
    world = World()
    world.live()
    assert b'"state":"LIVE"' in world.books.page(BOOK, 20, NOW).body
    for back_s in (60, 3600):
        assert b"a clock is wrong" in world.books.page(BOOK, 20, NOW - back_s * 10**9).body
