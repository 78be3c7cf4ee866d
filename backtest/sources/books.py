"""Days of history as a `Source`: books, trades and candles, told as l2 would have told them.

Every message comes at its `received_ts`. In one of two ways:

- as asked (the default): a book is brought up to date when somebody looks at it, and each second; what is
  told then is its top and its health. Nobody sees anything else than of a book that is told all the time,
  but for tops that nobody looked at.
- always: each delta and keyframe is on its topic, and each top comes on l2's beat, as on Kafka.

Trades and candles are always told. Of healths see `kept_book`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from backtest.bus import SOURCE
from backtest.profile import l2_settings
from backtest.source import Fidelity, Provenance
from backtest.sources.kept_book import KeptBook
from backtest.sources.kept_candles import KeptCandles, known_candles
from backtest.telling import show_books
from libs.common.cloudevents import rfc3339
from libs.common.events import Event
from libs.common.time_units import NS_PER_MS, NS_PER_US
from libs.common.topics import L2_TRADES, book_key, candle_key
from libs.common.venues import VENUES
from libs.history.errors import HistoryError
from libs.history.reader import book_folders, read_book, read_trades, span_of
from services.l2.app import policy_of
from services.l2.posting import posted, topics_of
from services.l2.publication import next_beat
from services.l2.rate_limits import VenueBudget
from simulator.profiles import VENUES as PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backtest.bus import Bus
    from backtest.sources.kept_book import Said
    from libs.common.events import Trade
    from libs.history.layout import BookFolder
    from services.l2.messages import Output


class _Kept(NamedTuple):
    """One book of the run."""

    key: bytes
    partition: int
    book: KeptBook
    trades: deque[Trade]  # told, and not yet in the book's flow


class Books:
    """A folder of history as a `Source`.

    Parameters
    ----------
    symbols
        Of these the books are told; None: of all that there are.
    begin_ts, end_ts
        ns UTC; by default those of the first and the last message of a book, after which no run goes on.
    always
        Whether all is told all the time.

    Raises
    ------
    HistoryError
        If there is no such folder or book, or a file cannot be read.
    """

    fidelity = Fidelity.BOOKS

    def __init__(
        self,
        root: Path,
        *,
        symbols: Sequence[str] | None = None,
        begin_ts: int | None = None,
        end_ts: int | None = None,
        always: bool = False,
    ) -> None:
        self._root, self._always = root, always
        self._policy = policy_of(l2_settings(feed="replay"))
        spans = _spans(root, symbols)
        self._folders = tuple(spans)
        first, last = min(first for first, _ in spans.values()), max(last for _, last in spans.values())
        self._begin = first if begin_ts is None else begin_ts
        over_ts = -(-last // NS_PER_US) * NS_PER_US  # which a command can name, to make the run again
        self._end = over_ts if end_ts is None else min(end_ts, over_ts)
        if self._begin >= last or (end_ts is not None and end_ts <= first):
            raise HistoryError(
                f"{root} has books from {rfc3339(first)} to {rfc3339(last)},"
                " and nothing of the time asked for"
            )
        if self._begin >= self._end:
            raise HistoryError(f"{root}: the run would end before it begins; give an end after its beginning")
        self._spans = spans
        self._kept: list[_Kept] = []

    @property
    def provenance(self) -> Provenance:
        """What it is."""
        begin, end = self._begin, self._end
        notes = [
            "Books and trades are as their history has them, and own orders change nothing in the market.",
            "Whose history was not kept is missing: symbols that were delisted, and venues that closed.",
        ]
        for folder, (first, last) in self._spans.items():
            if first > begin or last < end:
                notes.append(
                    f"{folder.venue} {folder.symbol} is kept only from {rfc3339(first)} to {rfc3339(last)}."
                )
        if not self._always:
            notes.append("Books were told when somebody looked, and each second.")
        return Provenance(
            self.fidelity,
            synthetic=False,
            books=tuple((folder.venue, folder.symbol) for folder in self._folders),
            begin_ts=begin,
            end_ts=end,
            notes=tuple(notes),
        )

    def start(self, bus: Bus) -> None:
        """Show the candles of the time before, and schedule the first of everything."""
        self._bus = bus
        for folder in self._folders:
            self._begin_book(folder)
        if self._always:
            for kept in self._kept:
                self._step(kept)
        else:
            bus.before_looking(self.freshen)
            self._look(None)

    def freshen(self, ts: int, partition: int | None, old_ns: int) -> None:
        """Show the tops and healths of a partition's books as of a moment (ns UTC), healths once a second."""
        del old_ns
        asked = [kept for kept in self._kept if partition is None or partition == kept.partition]
        show_books(self._bus, [event for kept in asked for event in self._advance(kept, ts).owed])

    def _begin_book(self, folder: BookFolder) -> None:
        root, bus, begin, end = self._root, self._bus, self._begin, self._end
        key = book_key(*folder)
        budget = VenueBudget.of(folder.venue)
        if (profile := PROFILES.get(folder.venue)) is not None:  # else the venues service assumes a time
            budget.on_reply(int(2 * profile.latency_ms * NS_PER_MS))
        messages = read_book(root, folder, begin, end + 1)
        book = KeptBook(*folder, messages, policy=self._policy, budget=budget, now=begin)
        kept = _Kept(key, bus.place(key), book, deque())
        self._kept.append(kept)
        candles = KeptCandles(root, folder, begin, end)
        known = list(known_candles(root, folder, begin, self._policy))
        candles.recall(known)
        for candle in known:
            for topic in topics_of(candle):
                bus.show(topic, candle_key(candle), candle)
        trades = read_trades(root, folder, begin, end + 1)
        if (trade := next(trades, None)) is not None:
            bus.at(trade.received_ts, self._trade, _Trades(trade, trades, kept, candles), SOURCE)
        if (ts := candles.next_ts) is not None:
            bus.at(ts, self._candle, candles, SOURCE)

    def _advance(self, kept: _Kept, ts: int) -> Said:
        """Take a book up to a moment, with the trades that it had heard of by then."""
        while kept.trades and kept.trades[0].received_ts <= ts:
            trade = kept.trades.popleft()
            kept.book.flow.add(trade.side, trade.size, trade.received_ts)
        return kept.book.advance(ts)

    def _step(self, kept: _Kept) -> None:
        """Tell all that a book has by now, and come again when there is more."""
        now = self._bus.now
        said = self._advance(kept, now)
        for event in (*said.messages, *said.owed):
            self._tell(event, now)
        self._bus.at(kept.book.next_ts(now), self._step, kept, SOURCE)

    def _look(self, _: None) -> None:
        """Bring all books up to date, and come again at the next heartbeat."""
        self._bus.look()
        self._bus.at(next_beat(self._bus.now, self._policy.heartbeat_ns), self._look, rank=SOURCE)

    def _tell(self, event: Output, now: int) -> None:
        if isinstance(event, Event):
            topics, key, _ = posted(event, now)
            for topic in topics:
                self._bus.publish(topic, key, event)

    def _trade(self, following: _Trades) -> None:
        """Tell a trade, and come again with the next one."""
        trade = following.trade
        self._bus.publish(L2_TRADES, following.kept.key, trade)
        following.kept.trades.append(trade)
        following.candles.add(trade)
        if (after := next(following.trades, None)) is not None:
            self._bus.at(after.received_ts, self._trade, following._replace(trade=after), SOURCE)

    def _candle(self, candles: KeptCandles) -> None:
        """Tell what candles are over, and come again when the next one is."""
        for candle in candles.take(self._bus.now):
            for topic in topics_of(candle):
                self._bus.publish(topic, candle_key(candle), candle)
        if (ts := candles.next_ts) is not None:
            self._bus.at(ts, self._candle, candles, SOURCE)


class _Trades(NamedTuple):
    """A book's next trade, and those after it."""

    trade: Trade
    trades: Iterator[Trade]
    kept: _Kept
    candles: KeptCandles


def _spans(root: Path, symbols: Sequence[str] | None) -> dict[BookFolder, tuple[int, int]]:
    """Return the books that are to be told, each with the times of its first and last message."""
    found = {}
    folders = book_folders(root)
    for folder in folders:
        wanted = symbols is None or folder.symbol in symbols
        if wanted and folder.venue in VENUES and (span := span_of(root, folder)) is not None:
            found[folder] = span
    if not found:
        have = ", ".join(f"{folder.venue} {folder.symbol}" for folder in folders) or "nothing"
        raise HistoryError(f"{root} has no book of those asked for, at a venue of the table; it has {have}")
    return found
