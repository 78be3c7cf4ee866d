"""What a playlist of recordings holds, found by reading it once before it is played."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from simulator.recordings import RecordingError, open_recording
from simulator.replay_binance import BinanceReplay
from simulator.replay_binance_futures import BinanceCoinmReplay, BinanceUsdmReplay
from simulator.replay_bitstamp import BitstampReplay
from simulator.replay_bybit import BybitReplay
from simulator.replay_clock import Part, playlist
from simulator.replay_coinbase import CoinbaseReplay
from simulator.replay_coinbase_exchange import CoinbaseExchangeReplay
from simulator.replay_kraken_v1 import KrakenV1Replay
from simulator.replay_kraken_v2 import KrakenV2Replay
from simulator.replay_okx import OkxReplay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simulator.recordings import Record, Recording
    from simulator.replay_venue import Played, ReplayVenue

VENUES: Final[tuple[Callable[[], ReplayVenue], ...]] = (
    BinanceReplay,
    BinanceUsdmReplay,
    BinanceCoinmReplay,
    BitstampReplay,
    BybitReplay,
    CoinbaseReplay,
    CoinbaseExchangeReplay,
    KrakenV1Replay,
    KrakenV2Replay,
    OkxReplay,
)


MOST_ADDRESSES: Final = 1000  # remembered of a recording; it may hold a new one in each line


class Catalogue:
    """A playlist and the venues it is of, whose books are as of the last record played."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.venues: tuple[ReplayVenue, ...] = tuple(make() for make in VENUES)
        self.records = 0
        self.foreign: dict[str, int] = {}  # records of addresses that no venue here owns; of the first ones
        self._owners: dict[str, ReplayVenue | None] = {}
        self._recordings = tuple(recordings)
        self.parts = playlist([self._survey(recording) for recording in self._recordings])

    @property
    def duration(self) -> int:
        """Length of the playlist, ns."""
        return self.parts[-1].end

    def books(self) -> list[str]:
        """Return every book that can be replayed, as ``venue:SYMBOL``."""
        return [f"{venue.venue}:{symbol}" for venue in self.venues for symbol in venue.symbols()]

    def records_in_order(self) -> Iterator[tuple[int, Record]]:
        """Yield position in the playlist, ns, and record; a break between recordings empties the books."""
        for part, records in self.parts_in_order():
            for record in records:
                yield part.position(record.ts), record

    def parts_in_order(self) -> Iterator[tuple[Part, Iterator[Record]]]:
        """Yield each recording's part and records; a break before it empties the books."""
        for part, recording in zip(self.parts, self._recordings, strict=True):
            if not part.continues:
                for venue in self.venues:
                    venue.forget_books()
            yield part, recording.records()

    def owner(self, url: str) -> ReplayVenue | None:
        """Return the venue that a recorded address belongs to."""
        if url not in self._owners:
            if len(self._owners) >= MOST_ADDRESSES:
                self._owners.clear()
            try:
                self._owners[url] = next((venue for venue in self.venues if venue.owns(url)), None)
            except ValueError:  # no address at all, and so nobody's
                self._owners[url] = None
        return self._owners[url]

    def play(self, record: Record) -> tuple[ReplayVenue, Played] | None:
        """Bring the owner's books up to `record` and return whose it is.

        Raises
        ------
        msgspec.DecodeError
            If the frame is not what the venue documents.
        """
        venue = self.owner(record.url)
        return None if venue is None else (venue, venue.play(record))

    def _note_foreign(self, url: str) -> None:
        if url in self.foreign or len(self.foreign) < MOST_ADDRESSES:
            self.foreign[url] = self.foreign.get(url, 0) + 1

    def _survey(self, recording: Recording) -> Part:
        first: int | None = None
        last = 0
        for record in recording.records():
            first = record.ts if first is None else first
            last = record.ts
            self.records += 1
            venue = self.owner(record.url)
            if venue is None:
                self._note_foreign(record.url)
                continue
            try:
                venue.learn(record)
            except (msgspec.DecodeError, RecursionError) as error:
                raise RecordingError(
                    recording.paths[0],
                    None,
                    f"the record of {record.ts} ns is no message of {venue.venue}: {error}",
                ) from error
        if first is None:
            raise RecordingError(
                recording.paths[0], None, "holds no frame and no reply; there is nothing to replay"
            )
        return Part(first, last, absolute=recording.absolute)


def catalogue_of(paths: Sequence[str]) -> Catalogue:
    """Return the catalogue of the recordings at `paths`, played one after the other.

    Raises
    ------
    RecordingError
        If one cannot be read, or together they hold no book that a venue here can serve.
    """
    if not paths:
        raise RecordingError(Path(), None, "FEED names no recording; write replay:PATH or replay:PATH,PATH")
    catalogue = Catalogue([open_recording(Path(path)) for path in paths])
    if not catalogue.books():
        known = ", ".join(venue.venue for venue in catalogue.venues)
        seen = ", ".join(sorted(catalogue.foreign)[:3]) or "nothing else"
        raise RecordingError(
            Path(paths[0]),
            None,
            f"holds no book with its snapshot of {known}, which can be replayed; it has {seen}",
        )
    return catalogue
