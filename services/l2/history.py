"""One book's candles: built from its trades, and asked of the venue where the stream was not whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeGuard

from libs.common.time_units import DAY_NS, MINUTE_NS, NS_PER_MS, NS_PER_S
from libs.common.topic import REPEATED_MS
from services.l2.candles import GRACE_NS, CandleBuilder, VenueClock
from services.l2.feeds.feed import BadFrameError
from services.l2.messages import HTTP_OK, DeadLetter, Fetch
from services.l2.policy import NEVER
from services.l2.stamps import MOST_AHEAD_NS, plausible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from libs.common.events import Candle, Interval
    from services.l2.feeds.feed import Feed
    from services.l2.feeds.venue_messages import VenueTrade
    from services.l2.messages import Output, ReplyReceived
    from services.l2.rate_limits import VenueBudget

RUNNING_NS: Final = NS_PER_S  # an open candle is told at most so often
REPEAT_NS: Final = REPEATED_MS * NS_PER_MS  # and again while nothing is traded
PUBLISH_LAG_NS: Final = 3 * NS_PER_S  # a venue's closed minute may take this long to show in its history
RETRY_MIN_NS: Final = 30 * NS_PER_S
RETRY_MAX_NS: Final = 600 * NS_PER_S
LENGTH_NS: Final[Mapping[Interval, int]] = {"1m": MINUTE_NS, "1d": DAY_NS}


class History:
    """Candles of one book; changed in place.

    Parameters
    ----------
    days, minutes
        How far back the 1d and the 1m candles of the venue are fetched once, at the first LIVE.
    repeats
        Whether an open candle is told again while nothing is traded.
    """

    def __init__(
        self, feed: Feed, symbol: str, rest_base: str, days: int, minutes: int, *, repeats: bool = True
    ) -> None:
        self._feed = feed
        self._symbol = symbol
        self._key = f"{feed.venue}:{symbol}"
        self._rest_base = rest_base
        self._reach: dict[Interval, int] = {"1d": days * DAY_NS, "1m": minutes * MINUTE_NS}
        self._since: dict[Interval, int] = {}  # pages still to fetch, by interval
        self._known: dict[Interval, set[int]] | None = None  # starts of what the log holds; None: unread
        self._primed = False  # whether the first pages were asked for
        self._clock = VenueClock()
        self._builder = CandleBuilder(feed.venue, symbol)
        self._whole = False  # whether the stream is whole from here on
        self._request = 0
        self._pending: Interval | None = None
        self._retry_ns = RETRY_MIN_NS
        self._retry_at = 0
        self._running_at = 0
        self._traded = False
        self._again_ns = REPEAT_NS - RUNNING_NS if repeats else NEVER

    def wait_like(self, before: History, by_ns: int) -> None:
        """Ask the venue no sooner than the history before would have, whose clock was set by so many ns."""
        self._request = before._request  # answers to what was asked before are told apart
        self._retry_ns, self._retry_at = before._retry_ns, before._retry_at + by_ns

    def recall(self, candles: Iterable[Candle]) -> None:
        """Take up what the log holds: the venue is asked only for what is missing there, and not before."""
        known = [candle for candle in candles if candle.closed]
        self._known = {
            interval: {candle.open_ts for candle in known if candle.interval == interval}
            for interval in LENGTH_NS
        }
        self._builder.recall(known)

    def resume(self) -> None:
        """Count on a whole stream from here on: the book is LIVE."""
        self._whole = True

    def interrupt(self) -> None:
        """Something of the stream is missing."""
        self._whole = False
        self._builder.interrupt()

    def distrust(self, since_ts: int | None) -> None:
        """Leave the minutes since then (ns) to the venue's history: trades of them are missing."""
        self._builder.interrupt(since_ts)

    def on_trade(self, trade: VenueTrade, now: int) -> None:
        """Count a trade; where the venue's time leaps, its history has to supply the minute."""
        if not self._clock.observe(trade.venue_ts, now):
            self._builder.interrupt()
            return
        self._builder.add(trade)
        self._traded = True

    def on_tick(self, now: int, budget: VenueBudget) -> list[Output]:
        """Close what is over, tell what is open, and ask the venue for what only it knows."""
        venue_now = self._clock.at(now)
        if venue_now is None or not self._whole:
            return []
        if not self._builder.begun:
            self._builder.begin(venue_now)
        self._plan(venue_now)
        out: list[Output] = [*self._builder.close_until(venue_now)]
        if now >= self._running_at + (0 if self._traded else self._again_ns):
            self._traded, self._running_at = False, now + RUNNING_NS
            out += self._builder.running()
        return out + self._fetch(now, budget)

    def next_due(self, now: int) -> int:
        """Return when `on_tick` has something to do, `now` (ns) if it has already."""
        closes_at = self._builder.closes_at
        if not self._whole or self._clock.at(now) is None:
            return NEVER
        if closes_at is None or (self._known is not None and not self._primed):
            return now
        running_at = self._running_at + (0 if self._traded else self._again_ns)
        due = min(self._clock.until(closes_at), running_at)
        if self._since and self._pending is None:
            due = min(due, self._retry_at)
        missing = self._builder.missing_since
        if missing is not None and self._primed and "1m" not in self._since and self._pending != "1m":
            due = min(due, self._clock.until(_told_by(missing)))
        return due

    def on_reply(self, reply: ReplyReceived, now: int) -> list[Output]:
        """Publish the news of a page, and go on with the next one."""
        interval = self._pending
        if reply.request != self._request or interval is None:
            return []
        self._pending = None
        if reply.status != HTTP_OK:
            self._retry(now)
            return []
        try:
            page = self._feed.parse_candles(reply.body, self._symbol, interval)
        except BadFrameError as error:
            self._retry(now)
            return [DeadLetter(self._key, reply.body, f"unreadable candles: {error}")]
        self._retry_ns = RETRY_MIN_NS
        page = tuple(candle for candle in page if plausible(candle.open_ts, now, MOST_AHEAD_NS))
        self._turn(interval, page, now)
        missing = self._builder.missing_since
        news = self._builder.backfill(page)
        last_page, venue_now = "1m" not in self._since, self._clock.at(now)
        if last_page and missing == self._builder.missing_since and self._closed(missing, venue_now):
            self._retry(now)  # a quiet market, or a late venue: it has nothing of the missing minutes yet
        return [*news]

    def _plan(self, venue_now: int) -> None:
        """Note which candles are to be fetched: the reach once, then the minutes the stream missed."""
        if self._known is None:
            return
        if not self._primed:
            self._primed = True
            for interval, reach in self._reach.items():
                since = _first_missing(self._known[interval], venue_now - reach, LENGTH_NS[interval])
                if since + LENGTH_NS[interval] <= venue_now:
                    self._since[interval] = since
            self._known = {}
        missing = self._builder.missing_since
        if "1m" not in self._since and self._pending != "1m" and self._closed(missing, venue_now):
            self._since["1m"] = missing

    def _fetch(self, now: int, budget: VenueBudget) -> list[Output]:
        if self._pending is not None or not self._since or now < self._retry_at:
            return []
        if again := budget.take_page(now):
            self._retry_at = again
            return []
        interval = next(iter(self._since))
        url = self._feed.candles_url(self._rest_base, self._symbol, interval, self._since[interval])
        if url is None:
            del self._since[interval]
            return []
        self._request -= 1  # below zero, so that no snapshot's number is met
        self._pending = interval
        return [Fetch(self._key, self._request, "candles-1d" if interval == "1d" else "candles-1m", url)]

    def _turn(self, interval: Interval, page: tuple[Candle, ...], now: int) -> None:
        """Ask next for what follows the page, unless it reaches the present or brings nothing new."""
        since = self._since.pop(interval, None)
        if since is None or not page or page[-1].open_ts <= since:
            return
        last, venue_now = page[-1].open_ts, self._clock.at(now)
        if venue_now is None or last + LENGTH_NS[interval] <= venue_now:
            self._since[interval] = last  # told as open, for it ends the page; the next page tells it closed

    @staticmethod
    def _closed(missing: int | None, venue_now: int | None) -> TypeGuard[int]:
        """Tell whether the venue's history should have the minute that is missing."""
        if missing is None or venue_now is None:
            return False
        return venue_now >= _told_by(missing)

    def _retry(self, now: int) -> None:
        self._retry_at = now + self._retry_ns
        self._retry_ns = min(RETRY_MAX_NS, 2 * self._retry_ns)


def _told_by(minute: int) -> int:
    """Return the venue's time (ns) by which its history should have a minute."""
    return minute - minute % MINUTE_NS + MINUTE_NS + GRACE_NS + PUBLISH_LAG_NS


def _first_missing(known: set[int], since: int, length: int) -> int:
    """Return `since` if nothing is known, else the first start at or after it that is not known."""
    if not known:
        return since
    start = -(-since // length) * length
    while start in known:
        start += length
    return start
