from __future__ import annotations

import itertools

import msgspec

from libs.common.policy import Market
from libs.common.time_units import MINUTE_NS
from libs.policies.generated_markets import CUTS, KINDS, cases


def test_the_same_seed_gives_the_same_markets_and_another_others() -> None:
    first, again, other = (msgspec.msgpack.encode([c.market for c in cases(seed=s)]) for s in (1, 1, 2))
    assert first == again != other
    assert msgspec.msgpack.decode(first, type=list[Market]) == [case.market for case in cases()]


def test_of_a_kind_the_later_market_goes_on_where_the_earlier_one_ends() -> None:
    found = cases()
    assert len(found) == len(KINDS) * len(CUTS)
    holes = found[len(CUTS) : 2 * len(CUTS)]
    for first, second in (*itertools.pairwise(found[: len(CUTS)]), *itertools.pairwise(holes)):
        assert second.market.ts > first.market.ts
        begin_ts = second.market.minutes[0].open_ts
        earlier = [candle for candle in first.market.minutes if candle.open_ts >= begin_ts]
        assert earlier
        assert list(second.market.minutes[: len(earlier)]) == earlier


def test_nothing_in_a_market_is_later_than_its_moment_and_books_are_sound() -> None:
    for name, market in cases():
        assert all(candle.open_ts + MINUTE_NS <= market.ts for candle in market.minutes), name
        assert all(candle.low <= min(candle.open, candle.close) for candle in market.minutes), name
        assert all(candle.high >= max(candle.open, candle.close) for candle in market.minutes), name
        for book in market.books.values():
            prices = [price for price, _ in book.asks]
            assert prices == sorted(prices), name
            assert book.bids[0][0] < book.features.mid < book.asks[0][0], name
            assert book.bids[0][0] <= book.features.microprice <= book.asks[0][0], name
            assert -1 <= book.features.obi <= 1, name
