"""The formats of recordings: what a line of each means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator  # noqa: TC003 -- msgspec resolves field types at run time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path  # noqa: TC003 -- the same
from typing import Final, Literal

import msgspec

from libs.common.time_units import NS_PER_MS, NS_PER_S
from simulator.recording_lines import RecordingError, lines

SNIFF_LINES: Final = 1000  # within these a file must show which venue it is of
MOST_CONNECTIONS: Final = 65_536  # of one recording: one in 10 s for a week


class Frame(msgspec.Struct, frozen=True, gc=False):
    """A WebSocket message as it was received."""

    ts: int  # ns UTC, the recorder's clock
    conn: str  # which of the recorder's connections
    url: str  # what that connection was opened with
    text: str


class RestReply(msgspec.Struct, frozen=True, gc=False):
    """The body of an answer to ``GET url``."""

    ts: int
    url: str
    text: str


class Format(msgspec.Struct, frozen=True):
    """One format: how it is recognised by its first line, and how a file of it is read."""

    name: str
    starts: Callable[[str], bool]
    read: Callable[[Path], Iterator[Frame | RestReply]]
    absolute: bool = True  # its times are those of receipt
    several_files: bool = False  # one recording may be several files


def seconds_to_ns(text: str) -> int:
    """Return ns for decimal seconds, without the rounding of a float.

    Raises
    ------
    ValueError
        If `text` is not digits, optionally with up to nine decimals.
    """
    if _SECONDS.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no time; write seconds like 1618678132.830970")
    whole, _, fraction = text.partition(".")
    return int(whole) * NS_PER_S + int(fraction.ljust(9, "0"))


_SECONDS: Final = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?")
_HFT_LINE: Final = re.compile(r"([0-9]{16,19}) ([{\[].*[}\]])")
_DEPTH_UPDATE: Final = '"e":"depthUpdate"'
_SPELLING: Final = re.compile(r'"s":"([A-Z0-9_]{1,40})"')
_CRYPTOFEED_LINE: Final = re.compile(r"(?:(\S+) (<->|<-|->) )?([0-9]+(?:\.[0-9]+)?)(?:: (.*))?", re.DOTALL)
_CRYPTOFEED_START: Final = re.compile(r"\w+://\S+ (?:<->|<-|->) [0-9]|[0-9]+\.[0-9]+: |configuration: ")


def _whole(text: str) -> bool:
    """Return whether a frame that opens as JSON also closes."""
    return not text.startswith(("{", "[")) or text.endswith(("}", "]"))


def _read_hftbacktest(path: Path) -> Iterator[Frame | RestReply]:
    stream, rest = _binance_market(path)
    for number, line in lines(path):
        match = _HFT_LINE.fullmatch(line)
        if match is None:
            raise RecordingError(path, number, "a line is '<local time, ns> <JSON>', and the JSON is whole")
        ts, text = int(match[1]), match[2]
        if '"lastUpdateId":' in text and '"stream":' not in text:
            yield RestReply(ts, rest, text)
        else:
            yield Frame(ts, "recorder", stream, text)


def _binance_market(path: Path) -> tuple[str, str]:
    """Return stream and snapshot address, which each market's own fields tell; the recorder noted neither."""
    for _, line in islice(lines(path), SNIFF_LINES):
        if symbol := _symbol_of_depth(line):
            if '"ps":' in line:
                return (
                    "wss://dstream.binance.com/stream",
                    f"https://dapi.binance.com/dapi/v1/depth?symbol={symbol}",
                )
            if '"pu":' in line:
                return (
                    "wss://fstream.binance.com/stream",
                    f"https://fapi.binance.com/fapi/v1/depth?symbol={symbol}",
                )
            return (
                "wss://stream.binance.com:9443/stream",
                f"https://api.binance.com/api/v3/depth?symbol={symbol}",
            )
    raise RecordingError(
        path, None, f"one of the first {SNIFF_LINES} lines is a depthUpdate, to know the market"
    )


def _symbol_of_depth(line: str) -> str | None:
    """Return how the venue spells the symbol of the first depthUpdate in a line; None where it has none.

    In two searches, each of which looks at a character once: one pattern of both would look at all that
    follows for every depthUpdate without a symbol.
    """
    begin = line.find(_DEPTH_UPDATE)
    match = _SPELLING.search(line, begin + len(_DEPTH_UPDATE)) if begin >= 0 else None
    return match[1] if match else None


def _read_cryptofeed(path: Path) -> Iterator[Frame | RestReply]:
    conn = path.name.removesuffix(".zst").removesuffix(".gz").removesuffix(".0")
    opened = ""
    for number, line in lines(path):
        if line.startswith("configuration: "):
            continue
        match = _CRYPTOFEED_LINE.fullmatch(line)
        if match is None or not _whole(match[4] or ""):
            raise RecordingError(
                path,
                number,
                "a line is '<url> <-> ts', '<url> <- ts: sent', '<url> -> ts: reply' or '<ts>: frame'",
            )
        url, arrow, time, text = match.groups()
        ts = _time(path, number, time)
        if arrow == "<->":
            opened = url
        elif arrow == "->":
            yield RestReply(ts, url, text or "")
        elif arrow is None:
            if not opened:
                raise RecordingError(
                    path, number, "a '<url> <-> ts' line says the address before the first frame"
                )
            yield Frame(ts, conn, opened, text or "")


def _time(path: Path, number: int, text: str) -> int:
    try:
        return seconds_to_ns(text)
    except ValueError as error:
        raise RecordingError(path, number, str(error)) from error


class _Line(msgspec.Struct):
    t: Literal["header", "http", "connect", "send", "recv"]
    conn: str = ""
    ts: msgspec.Raw = msgspec.Raw(b"0")  # raw, because a float would round the nanoseconds
    url: str = ""
    addr: str = ""
    data: str = ""


_decode_line: Final = msgspec.json.Decoder(_Line).decode


def _read_bookrunner(path: Path) -> Iterator[Frame | RestReply]:
    opened: dict[str, str] = {}
    for number, text in lines(path):
        try:
            line = _decode_line(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise RecordingError(
                path, number, f'a line is JSON like {{"t":"recv","conn":"1","ts":1.5,"data":"..."}}; {error}'
            ) from error
        if line.t == "header":
            continue
        ts = _time(path, number, bytes(line.ts).decode())
        match line.t:
            case "connect":
                opened[line.conn] = line.url or line.addr
                if len(opened) > MOST_CONNECTIONS:
                    raise RecordingError(path, number, f"there are at most {MOST_CONNECTIONS} connections")
            case "http":
                yield RestReply(ts, line.url or line.addr, line.data)
            case "recv":
                if line.conn not in opened:
                    raise RecordingError(
                        path, number, f"a connect line of {line.conn!r} comes before its frames"
                    )
                yield Frame(ts, line.conn, opened[line.conn], line.data)
            case "send":
                pass


# How the frames of a venue show whose they are, and where they carry a time.
_BARE_VENUES: Final = (
    (re.compile(r'"channel":"(?:book|status|heartbeat)"|"method":"subscribe"'), "wss://ws.kraken.com/v2"),
    (re.compile(r'"topic":"orderbook\.|"op":"subscribe"'), "wss://stream.bybit.com/v5/public/spot"),
    (re.compile(r'"arg":\{"channel":"'), "wss://ws.okx.com:8443/ws/v5/public"),
)
_RFC3339: Final = re.compile(r'"(?:timestamp|time_out)":"([0-9T:.+-]+Z)"')
_MILLISECONDS: Final = re.compile(r'"ts":"?([0-9]{13})\b')
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _read_bare(path: Path) -> Iterator[Frame | RestReply]:
    url = next((found for _, line in islice(lines(path), SNIFF_LINES) if (found := _bare_venue(line))), None)
    if url is None:
        raise RecordingError(
            path, None, "the frames are of Kraken v2, Bybit or OKX; those of others need a header"
        )
    times = (_venue_time(path, number, line) for number, line in lines(path))
    last = next((time for time in times if time is not None), 0)
    for number, line in lines(path):
        if not _whole(line):
            raise RecordingError(path, number, "a line is one whole JSON frame")
        last = max(last, _venue_time(path, number, line) or 0)
        yield Frame(last, "recorder", url, line)


def _bare_venue(line: str) -> str | None:
    return next((url for pattern, url in _BARE_VENUES if pattern.search(line)), None)


def _venue_time(path: Path, number: int, line: str) -> int | None:
    if match := _MILLISECONDS.search(line):
        return int(match[1]) * NS_PER_MS
    if match := _RFC3339.search(line):
        try:
            return (datetime.fromisoformat(match[1]) - _EPOCH) // timedelta(microseconds=1) * 1000
        except ValueError as error:
            raise RecordingError(path, number, f"a venue's time is RFC 3339; {error}") from error
    return None


FORMATS: Final = (
    Format("hftbacktest", lambda line: _HFT_LINE.match(line) is not None, _read_hftbacktest),
    Format(
        "cryptofeed",
        lambda line: _CRYPTOFEED_START.match(line) is not None,
        _read_cryptofeed,
        several_files=True,
    ),
    Format("bookrunner", lambda line: line.startswith('{"t":"'), _read_bookrunner),
    Format("bare", lambda line: line.startswith(("{", "[")), _read_bare, absolute=False),
)
