"""The recorder shell: raw frames of a venue, and its snapshots by REST, into a file that replay accepts."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from libs.cli.record import RecordingExistsError, RecordingWriter
from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.common.printable import indented_lines, printable
from libs.common.time_units import NS_PER_S
from libs.common.venues import venue_of
from services.l2.connection import fetch, open_http, run_socket
from services.l2.feeds import FEEDS
from services.l2.feeds.feed import BadFrameError
from services.l2.feeds.venue_messages import Refused, Unread, VenueDelta
from services.l2.messages import (
    HTTP_OK,
    BytesArrived,
    Fetch,
    FrameReceived,
    OpenSocket,
    ReplyArriving,
    ReplyReceived,
    SocketClosed,
    SocketOpened,
)
from services.l2.refusals import refusal_of
from services.l2.settings import L2Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.venue_http import VenueHttp
    from services.l2.feeds.feed import Feed
    from services.l2.messages import L2Message

QUIET_S: Final = 5.0  # a stream that is silent for so long does not hold up its snapshot
RETRY_S: Final = 2.0  # between connections, and between snapshots that were refused
PROGRESS_S: Final = 1.0
FLUSH_S: Final = 5.0
MEGABYTE: Final = 1_000_000


class RecorderError(Exception):
    """The recording cannot begin or go on; the text says why."""


class BookRecorder:
    """Records one symbol, connection after connection, with its snapshots where the venue has REST."""

    def __init__(
        self,
        feed: Feed,
        symbol: str,
        settings: L2Settings,
        writer: RecordingWriter,
        http: VenueHttp,
    ) -> None:
        self._feed = feed
        self._symbol = symbol
        self._stream_base, self._rest_base = settings.bases(feed.venue)
        self._max_frame_bytes = settings.max_frame_bytes
        self._writer = writer
        self._http = http
        self._connection = 0
        self._spoken = asyncio.Event()  # a delta came over this connection
        self._ended = ""
        self._retry_after_s = RETRY_S  # before a snapshot is asked for again
        self._reconnect_after_s = RETRY_S
        self.trouble = ""  # the last thing that went wrong, for the progress line

    async def run(self) -> None:
        """Record until cancelled.

        Raises
        ------
        RecorderError
            If the first connection cannot be opened, or the venue refuses the subscription.
        """
        while True:
            self._connection += 1
            self._spoken.clear()
            url = self._feed.stream_url(self._stream_base, self._symbol)
            ping = self._feed.ping() if self._feed.ping_interval_s is not None else None
            order = OpenSocket(
                self._symbol,
                self._connection,
                url,
                self._feed.subscribe(self._symbol),
                ping,
                self._feed.ping_interval_s or 0.0,
            )
            snapshots = asyncio.create_task(self._snapshot()) if self._feed.snapshot_by_rest else None
            try:
                await run_socket(order, self._on_socket, self._max_frame_bytes)
            finally:
                if snapshots is not None:
                    snapshots.cancel()
                    with suppress(asyncio.CancelledError):
                        await snapshots
            if self._writer.frames == 0:
                raise RecorderError(f"{url}: {self._ended}")
            self.trouble = f"{self._symbol} reconnects after {self._ended}"
            await asyncio.sleep(self._reconnect_after_s)

    @property
    def _name(self) -> str:
        return f"{self._feed.venue}.{self._symbol}.{self._connection}"

    async def _on_socket(self, message: L2Message) -> None:
        now = time.time_ns()
        match message:
            case SocketOpened():
                url = self._feed.stream_url(self._stream_base, self._symbol)
                self._writer.connected(self._name, now, url)
                for text in self._feed.subscribe(self._symbol):
                    self._writer.sent(self._name, now, url, text)
            case FrameReceived(raw=raw):
                self._writer.received(self._name, now, self._text(raw))
                self._look_at(raw)
            case SocketClosed(reason=reason, status=status, retry_after_s=retry_after_s):
                refusal = refusal_of(status, retry_after_s, of_socket=True)
                self._ended = refusal.reason if refusal else reason
                self._reconnect_after_s = refusal.pause_ns / NS_PER_S if refusal else RETRY_S
            case BytesArrived():
                pass  # the frame is recorded when it is whole
            case _:
                raise AssertionError(f"a socket does not report {message}")

    def _look_at(self, raw: bytes) -> None:
        try:
            said = self._feed.parse(raw, self._symbol)
        except BadFrameError as error:
            self._unreadable(str(error))
            return
        for item in said:
            if isinstance(item, VenueDelta):
                self._spoken.set()
            elif isinstance(item, Unread):
                self._unreadable(item.reason)
            elif isinstance(item, Refused):
                raise RecorderError(f"{self._feed.venue} refuses {self._symbol}: {item.reason}")

    def _unreadable(self, why: str) -> None:
        self.trouble = f"{self._symbol} sent an unreadable frame, which is recorded: {why}"

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.trouble = (
                f"{self._symbol} sent a frame that is no text; its bytes are escaped in the recording"
            )
            return raw.decode("utf-8", "backslashreplace")

    async def _snapshot(self) -> None:
        """Fetch the snapshot once the stream has spoken, so that the two join; ask again until it comes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._spoken.wait(), QUIET_S)
        taken = asyncio.Event()
        url = self._feed.snapshot_url(self._rest_base, self._symbol)

        async def on_reply(message: L2Message) -> None:
            if isinstance(message, ReplyArriving):
                return
            if not isinstance(message, ReplyReceived):
                raise TypeError(f"a request does not report {message}")
            if message.status == HTTP_OK:
                self._writer.replied(f"{self._name}.http", time.time_ns(), url, self._text(message.body))
                taken.set()
                return
            said = message.body[:120].decode("utf-8", "replace")
            self.trouble = f"{self._symbol} has no snapshot yet: HTTP {message.status} {said}"
            refusal = refusal_of(message.status, message.retry_after_s, of_socket=False)
            self._retry_after_s = refusal.pause_ns / NS_PER_S if refusal else message.retry_after_s or RETRY_S

        while not taken.is_set():
            await fetch(Fetch(self._symbol, self._connection, "snapshot", url), on_reply, self._http)
            if not taken.is_set():
                await asyncio.sleep(self._retry_after_s)


async def record(
    feed: Feed, symbols: Sequence[str], settings: L2Settings, writer: RecordingWriter, seconds: float | None
) -> None:
    """Record these symbols for so long, or until SIGINT or SIGTERM.

    Raises
    ------
    RecorderError
        See `BookRecorder.run`.
    OSError
        If the file can no longer be written.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_http() as http:
        recorders = [BookRecorder(feed, symbol, settings, writer, http) for symbol in symbols]
        stopped = asyncio.create_task(stop.wait())
        work = [asyncio.create_task(recorder.run()) for recorder in recorders]
        progress = asyncio.create_task(_report(writer, recorders))
        tasks = [*work, progress]
        try:
            done, _ = await asyncio.wait(
                [*tasks, stopped], timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {stopped}:
                task.result()
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)


async def _report(writer: RecordingWriter, recorders: Sequence[BookRecorder]) -> None:
    began = flushed = time.monotonic()
    while True:
        await asyncio.sleep(PROGRESS_S)
        now = time.monotonic()
        if now - flushed >= FLUSH_S:
            writer.flush()
            flushed = now
        troubles = "; ".join(recorder.trouble for recorder in recorders if recorder.trouble)
        line = _progress(writer, now - began) + (f"  ({printable(troubles)})" if troubles else "")
        terminal = sys.stderr.isatty()
        sys.stderr.write(f"\r{line}\x1b[K" if terminal else f"{line}\n")
        sys.stderr.flush()


def _progress(writer: RecordingWriter, elapsed_s: float) -> str:
    return f"{elapsed_s:.0f} s  {writer.frames:,} frames  {writer.text_bytes / MEGABYTE:.1f} MB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the recorder; return the exit code."""
    parser = argparse.ArgumentParser(prog="bookrunner record", description=__doc__)
    parser.add_argument("venue")
    parser.add_argument("symbols", nargs="+", metavar="symbol")
    parser.add_argument("--out", type=Path, required=True, help="file; .zst compresses")
    parser.add_argument("--seconds", type=float, help="how long; without it until Ctrl-C")
    parser.add_argument("--feed", choices=("live", "simulator"), help="default: FEED, else the simulator")
    parser.add_argument("--force", action="store_true", help="overwrite")
    chosen = parser.parse_args(arguments)
    if chosen.venue not in FEEDS:
        return _failed(f"{chosen.venue!r} has no feed yet; there are: {', '.join(sorted(FEEDS))}", 2)
    try:
        settings = L2Settings(**({"feed": chosen.feed} if chosen.feed else {}))
        symbols = list(dict.fromkeys(canonical_symbol(symbol) for symbol in chosen.symbols))
        if refusals := [why for symbol in symbols if (why := venue_of(chosen.venue).refusal(symbol))]:
            return _failed("; ".join(refusals), 2)
        writer = RecordingWriter(chosen.out, chosen.venue.upper(), overwrite=chosen.force)
    except RecordingExistsError as error:
        return _failed(f"{error}: choose another --out, or overwrite it with --force", 1)
    except OSError as error:
        return _failed(f"{chosen.out} cannot be written: {error.strerror or error}", 1)
    except (UnknownSymbolError, ValidationError) as error:
        return _failed(str(error), 2)
    began = time.monotonic()
    failure = ""
    try:
        asyncio.run(record(FEEDS[chosen.venue], symbols, settings, writer, chosen.seconds))
    except RecorderError as error:
        failure = str(error)
    except OSError as error:
        failure = f"{writer.part} cannot be written on: {error.strerror or error}"
    if writer.frames == 0:
        writer.discard()
        return _failed(failure or "no frame came, so nothing was recorded", 1)
    try:
        writer.close()
    except OSError as error:
        return _failed(str(error), 1)
    newline = "\n" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{newline}{writer.path}: {_progress(writer, time.monotonic() - began)}\n")
    return _failed(failure, 1) if failure else 0


def _failed(text: str, code: int) -> int:
    sys.stderr.write(f"bookrunner record: {indented_lines(text)}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
