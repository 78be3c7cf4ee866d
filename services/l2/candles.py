"""Candles of one minute and one day, from live trades and from the venue's history.

A minute is built from the stream only if the stream was whole throughout it. The minutes in which the
stream began, broke or paused are taken whole from the venue once they have closed; `missing_since` says
from when. For a venue's half candle does not say up to which trade it counts, so joining it to live trades
would count some twice or never. A day is the sum of its minutes, each counted once.

Time is the venue's clock throughout, so a replayed recording gives the candles of its own day; `VenueClock`
carries it on between messages. A minute closes `GRACE_NS` after its end; a trade that comes later still
cannot change what was said. A minute without trades in a whole stream is a
flat candle of volume 0 at the last price, so that a reader tells "no trade" from "no data".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.events import Candle
from libs.common.time_units import MINUTE_NS
from services.l2.policy import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.events import Interval
    from services.l2.feeds.venue_messages import VenueTrade

DAY_NS: Final = 1440 * MINUTE_NS
MINUTES_A_DAY: Final = 1440
GRACE_NS: Final = 2_000_000_000  # trades arrive late by less than this, or the venue has bigger troubles
MAX_OPEN_MINUTES: Final = 60  # a clock that jumps further is no continuous stream
DAYS_KEPT: Final = 3
LEAP_NS: Final = 10_000_000_000  # between two messages, beyond what passed: nobody's jitter


class VenueClock:
    """The venue's time between its messages: its last stamp plus what passed since.

    A stamp that leaps counts only once the next one follows it, so a single false one moves nothing.
    """

    def __init__(self) -> None:
        self._ahead: int | None = None
        self._leapt_to: int | None = None  # a stamp that no other has confirmed

    def observe(self, venue_ts: int, received_ts: int) -> bool:
        """Take the time of a message (ns) and when it was received; return whether time went on evenly."""
        ahead = venue_ts - received_ts
        if self._ahead is None or abs(ahead - self._ahead) <= LEAP_NS:
            self._ahead, self._leapt_to = ahead, None
            return True
        if self._leapt_to is not None and venue_ts >= self._leapt_to:
            self._ahead, self._leapt_to = ahead, None
        else:
            self._leapt_to = venue_ts
        return False

    def at(self, now: int) -> int | None:
        """Return the venue's time at `now` (ns), None before it has told any."""
        return None if self._ahead is None else now + self._ahead

    def until(self, venue_ts: int) -> int:
        """Return when (ns) the venue's time will be that, `NEVER` before it has told any."""
        return NEVER if self._ahead is None else venue_ts - self._ahead


@dataclass(slots=True)
class _Bar:
    """Trades or minutes summed up; prices of the earliest and latest whatever the order of arrival."""

    first_ts: int
    last_ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int

    @classmethod
    def of_trade(cls, trade: VenueTrade) -> _Bar:
        ts, price = trade.venue_ts, trade.price
        return cls(ts, ts, price, price, price, price, trade.size, 1)

    @classmethod
    def of_candle(cls, candle: Candle) -> _Bar:
        ts = candle.open_ts
        return cls(ts, ts, candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades)

    @classmethod
    def flat(cls, ts: int, price: float) -> _Bar:
        return cls(ts, ts, price, price, price, price, 0.0, 0)

    def copy(self) -> _Bar:
        """Return another one like this; `dataclasses.replace` takes several times as long."""
        return _Bar(
            self.first_ts,
            self.last_ts,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.trades,
        )

    def add(self, other: _Bar) -> None:
        if other.first_ts < self.first_ts:
            self.first_ts, self.open = other.first_ts, other.open
        if other.last_ts >= self.last_ts:
            self.last_ts, self.close = other.last_ts, other.close
        self.high = max(self.high, other.high)
        self.low = min(self.low, other.low)
        self.volume += other.volume
        self.trades += other.trades


@dataclass(slots=True)
class _Day:
    """What is known of one day; minutes without trades are counted, but have no price to add."""

    minutes: set[int] = field(default_factory=set)  # open_ts of those counted
    bar: _Bar | None = None

    def add(self, bar: _Bar) -> None:
        if self.bar is None:
            self.bar = bar.copy()
        else:
            self.bar.add(bar)


class CandleBuilder:
    """Candles of one venue and symbol; changed in place by each call.

    Attributes
    ----------
    missing_since
        Start (ns) of the earliest minute that only the venue's history can supply; None if there is none.
    """

    def __init__(self, venue: str, symbol: str) -> None:
        self.missing_since: int | None = None
        self._venue = venue
        self._symbol = symbol
        self._whole_from: int | None = None  # first minute that the stream covers wholly; None: interrupted
        self._next: int | None = None  # the earliest open minute
        self._bars: dict[int, _Bar] = {}
        self._days: dict[int, _Day] = {}
        self._told_days: set[int] = set()  # starts of closed days that were told
        self._last: tuple[int, float] | None = (
            None  # time and price of the last trade before the open minutes
        )

    @property
    def begun(self) -> bool:
        """Whether trades are counted; False after `interrupt`, which a leap of time also causes."""
        return self._next is not None

    @property
    def closes_at(self) -> int | None:
        """The venue's time (ns) at which the earliest open minute closes; None while none is open."""
        return None if self._next is None else self._next + MINUTE_NS + GRACE_NS

    def begin(self, venue_now: int) -> None:
        """From here on the stream is whole: the next minute is the first that trades alone can build."""
        self.interrupt()
        joined = venue_now - venue_now % MINUTE_NS
        if self.missing_since is None:
            self.missing_since = joined
        self._whole_from = self._next = joined + MINUTE_NS
        self._supplied(self.missing_since)

    def interrupt(self, since_ts: int | None = None) -> None:
        """Drop the open minutes: trades may be missing, so the venue's history has to supply them.

        Where trades are known to be missing since a minute that was closed already (ns), its day is counted
        anew from there on, for what was counted cannot be taken out of a sum.
        """
        if self._next is not None and self.missing_since is None:
            self.missing_since = self._next
        self._recount(since_ts)
        self._whole_from = self._next = None
        self._bars.clear()

    def add(self, trade: VenueTrade) -> None:
        """Count a trade in the minute of its venue time."""
        if self._next is None or self._whole_from is None:
            return
        minute = trade.venue_ts - trade.venue_ts % MINUTE_NS
        if minute < self._whole_from:
            self._note(trade.venue_ts, trade.price)  # the venue's history will have it
        elif minute < self._next:
            return  # closed
        elif minute in self._bars:
            self._bars[minute].add(_Bar.of_trade(trade))
        elif len(self._bars) < MAX_OPEN_MINUTES:
            self._bars[minute] = _Bar.of_trade(trade)
        else:
            self.interrupt()

    def close_until(self, venue_now: int) -> tuple[Candle, ...]:
        """Return the candles that closed by `venue_now` (ns), oldest first.

        A jump over more than an hour interrupts: `begin` again when the stream is whole.
        """
        if self._next is None:
            return ()
        if venue_now - self._next > MAX_OPEN_MINUTES * MINUTE_NS:
            self.interrupt()
            return ()
        closed: list[Candle] = []
        while venue_now >= self._next + MINUTE_NS + GRACE_NS:
            minute, self._next = self._next, self._next + MINUTE_NS
            bar = self._bars.pop(minute, None)
            if bar is None and self._last is not None:
                bar = _Bar.flat(minute, self._last[1])
            if bar is not None:
                closed.append(self._candle("1m", minute, bar, closed=True))
            closed += self._count(minute, bar)
        return tuple(closed)

    def recall(self, candles: Iterable[Candle]) -> None:
        """Count closed candles that were told before; they are no news."""
        for candle in candles:
            if candle.interval == "1d":
                self._told_days.add(candle.open_ts)
            elif self._is_news(candle.open_ts):
                self._count(candle.open_ts, _Bar.of_candle(candle))

    def backfill(self, candles: Iterable[Candle]) -> tuple[Candle, ...]:
        """Take candles of one interval from the venue's history, oldest first; return those that are news.

        Open candles are left for a later reply, and so are minutes that the stream is building or has built.
        A minute absent between two others had no trade.
        """
        news: list[Candle] = []
        previous: int | None = None
        for candle in candles:
            if not candle.closed:
                continue
            if candle.interval == "1d":
                self._days.pop(candle.open_ts, None)
                if candle.open_ts not in self._told_days:
                    self._told_days.add(candle.open_ts)
                    news.append(candle)
                continue
            if previous is not None:
                for minute in range(previous + MINUTE_NS, candle.open_ts, MINUTE_NS)[-MINUTES_A_DAY:]:
                    if self._is_news(minute):
                        news += self._count(minute, None)
            previous = candle.open_ts
            if self._is_news(candle.open_ts):
                news += (candle, *self._count(candle.open_ts, _Bar.of_candle(candle)))
        if previous is not None:
            self._supplied(previous + MINUTE_NS)
        return tuple(news)

    def running(self) -> tuple[Candle, ...]:
        """Return the open candles: the newest minute with trades, and its day if all before is known."""
        if self._next is None or not self._bars:
            return ()
        newest = max(self._bars)
        minute = self._candle("1m", newest, self._bars[newest], closed=False)
        start = newest - newest % DAY_NS
        closed = self._days.get(start, _Day())
        still_open = (newest - max(self._next, start)) // MINUTE_NS + 1
        if len(closed.minutes) + still_open != (newest - start) // MINUTE_NS + 1:
            return (minute,)
        day = _Day(bar=closed.bar.copy() if closed.bar else None)
        for open_minute, bar in self._bars.items():
            if open_minute >= start:
                day.add(bar)
        return (minute,) if day.bar is None else (minute, self._candle("1d", start, day.bar, closed=False))

    def _count(self, minute: int, bar: _Bar | None) -> tuple[Candle, ...]:
        """Count a closed minute once in its day; return the day if that was its last missing minute."""
        start = minute - minute % DAY_NS
        day = self._days.setdefault(start, _Day())
        day.minutes.add(minute)
        if bar is not None and (bar.trades or bar.volume):  # not every venue tells how many trades
            day.add(bar)
            self._note(minute + MINUTE_NS - 1, bar.close)
        if len(day.minutes) < MINUTES_A_DAY:
            while len(self._days) > DAYS_KEPT:
                del self._days[min(self._days)]
            return ()
        total = day.bar
        if total is None and self._last is not None:
            total = _Bar.flat(start, self._last[1])
        if total is None:
            return ()
        self._told_days.add(start)
        return (self._candle("1d", start, total, closed=True),)

    def _recount(self, since_ts: int | None) -> None:
        if since_ts is None or self.missing_since is None:
            return
        minute = since_ts - since_ts % MINUTE_NS
        if (
            minute >= self.missing_since
            or minute not in self._days.get(minute - minute % DAY_NS, _Day()).minutes
        ):
            return
        first = min(self._days[minute - minute % DAY_NS].minutes)
        for start in [start for start in self._days if start >= first - first % DAY_NS]:
            del self._days[start]
        self.missing_since = min(self.missing_since, first)

    def _note(self, ts: int, price: float) -> None:
        if self._last is None or ts >= self._last[0]:
            self._last = (ts, price)

    def _is_news(self, minute: int) -> bool:
        streamed = self._whole_from is not None and minute >= self._whole_from
        day = self._days.get(minute - minute % DAY_NS)
        return not streamed and (day is None or minute not in day.minutes)

    def _supplied(self, until: int) -> None:
        """Note that the venue's history is known up to `until`."""
        if self.missing_since is None:
            return
        self.missing_since = max(self.missing_since, until)
        if self._whole_from is not None and self.missing_since >= self._whole_from:
            self.missing_since = None

    def _candle(self, interval: Interval, open_ts: int, bar: _Bar, *, closed: bool) -> Candle:
        return Candle(
            venue=self._venue,
            symbol=self._symbol,
            interval=interval,
            open_ts=open_ts,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume,
            trades=bar.trades,
            closed=closed,
        )
