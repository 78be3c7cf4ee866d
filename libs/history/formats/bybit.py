"""Bybit's historical order books: ``2024-01-01_BTCUSDT_ob500.data.zip`` and its like, a JSON message a line.

Lines are those of the venue's own stream: a snapshot of 500 (or 200) levels a side, then deltas whose update
id ``u`` rises by one, so a loss is proven; the server deletes each level that leaves the window, so a delete
of a level that is not there proves one too. `venue_ts` is the time of the matching engine (``cts``, where a
line has it), `received_ts` that at which the system made the message (``ts``): the archive says nothing of a
socket, and has no latency in it. Nothing in a line tells spot from linear contracts: a path with a folder
``linear`` or ``contract`` makes the venue ``bybit-linear``, any other is spot.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec
import numpy as np

from libs.common.instruments import UnknownSymbolError, canonical_symbol
from libs.common.time_units import NS_PER_MS
from libs.history.faults import FaultKind
from libs.history.formats.continuity import UNTIL_SNAPSHOT, Follower, Messages
from libs.history.formats.format import UnreadableSourceError
from libs.history.formats.lines import head_of, lines_of
from libs.history.formats.sequence import AHEAD, holes, out_of_order
from libs.history.formats.stamps import are_times
from libs.history.formats.table import is_amount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from libs.history.columns import BookColumns, Bools, Columns, Ints
    from libs.history.faults import FaultReport
    from libs.history.formats.lines import Lines

_NAME: Final = re.compile(r".*_ob\d+\.data(\.zip|\.gz)?")
_HEAD: Final = re.compile(rb'\{.{0,60}"topic": ?"orderbook\.')
_LINEAR: Final = frozenset({"linear", "contract"})
_SNAPSHOT_STEP: Final = 1 << 48  # above any update id: ids begin anew with each snapshot


_Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=_SNAPSHOT_STEP)]


class _Data(msgspec.Struct, gc=False):
    s: str
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]
    u: _Whole


class _Line(msgspec.Struct, gc=False):
    topic: str
    type: Literal["snapshot", "delta"]
    ts: _Whole
    data: _Data
    cts: _Whole | None = None


_DECODER: Final = msgspec.json.Decoder(_Line, strict=False)  # numbers are text


class BybitBooks:
    """``ob500`` and ``ob200``."""

    name = "bybit-book"

    def fits(self, path: Path) -> bool:
        """Return whether a file is called so, or begins with a message of a book."""
        return _NAME.fullmatch(path.name) is not None or _HEAD.match(head_of(path)) is not None

    def columns(self, paths: Sequence[Path], faults: FaultReport) -> Iterator[Columns]:
        """Yield stretches of books."""
        followers: dict[tuple[str, str], Follower] = {}
        for path in sorted(paths):
            yield from _Book(path, followers, faults).read()


class _Book:
    """One file; changes in place."""

    def __init__(self, path: Path, followers: dict[tuple[str, str], Follower], faults: FaultReport) -> None:
        self._path, self._followers, self._faults = path, followers, faults
        self._follower: Follower | None = None
        self._spelled = ""
        self._key = 0  # of the last message that stands in the line: snapshots so far, and update id
        self._snapshots = 0
        self._ts = 0  # ms
        self._last: tuple[int, int] | None = None

    def read(self) -> Iterator[BookColumns]:
        """Yield the book in stretches."""
        for lines in lines_of(self._path, AHEAD):
            self._faults.read_bytes += len(lines.data)
            rows, messages = self._decoded(lines)
            if messages:
                yield self._follow(np.array(rows, np.int64), messages, lines.sure)

    def _decoded(self, lines: Lines) -> tuple[list[int], list[_Line]]:
        try:
            messages = _DECODER.decode_lines(lines.data)
        except msgspec.DecodeError:
            return self._one_by_one(lines)
        if len(messages) != lines.data.count(b"\n") + (not lines.data.endswith(b"\n")):
            return self._one_by_one(lines)
        return list(range(lines.first + 1, lines.first + 1 + len(messages))), messages

    def _one_by_one(self, lines: Lines) -> tuple[list[int], list[_Line]]:
        """Decode lines of which at least one is none; tell of those."""
        rows, messages = [], []
        for row, line in enumerate(lines.data.removesuffix(b"\n").split(b"\n"), start=lines.first + 1):
            try:
                message = _DECODER.decode(line)
            except msgspec.DecodeError as error:
                if row <= lines.sure:
                    what = f"no message of a book ({str(error)[:100]}); {UNTIL_SNAPSHOT}"
                    self._faults.note(FaultKind.UNREADABLE, self._path.name, row, None, what)
                continue
            rows.append(row)
            messages.append(message)
        return rows, messages

    def _follow(self, rows: Ints, lines: list[_Line], last: int) -> BookColumns:
        """Return the book after the messages up to row `last`; those behind it are only looked at."""
        sure = rows <= last
        follower = self._of(lines)
        snapshot = np.array([line.type == "snapshot" for line in lines])
        u = np.array([line.data.u for line in lines])
        ts = np.array([line.ts for line in lines])
        cts = np.array([line.cts or line.ts for line in lines])
        bids = np.array([len(line.data.b) for line in lines])
        counts = bids + [len(line.data.a) for line in lines]
        first = np.append(0, np.cumsum(counts))
        flat = np.fromiter(
            chain.from_iterable(
                [level for line in lines for side in (line.data.b, line.data.a) for level in side]
            ),
            np.float64,
            2 * int(first[-1]),
        )
        price, size = flat[::2].copy(), flat[1::2].copy()
        is_bid = np.arange(len(price)) < np.repeat(first[:-1] + bids, counts)
        bad = np.append(0, np.cumsum(~(is_amount(price, positive=True) & is_amount(size))))
        wrong = (bad[first[1:]] > bad[first[:-1]]) | ~are_times(ts, NS_PER_MS) | ~are_times(cts, NS_PER_MS)
        self._note(
            FaultKind.UNREADABLE,
            rows,
            ts,
            wrong & sure,
            f"a time, price or size that cannot be; {UNTIL_SNAPSHOT}",
        )
        broken, again = self._chained(rows, ts, u, snapshot, wrong, sure)
        kept = sure & ~again
        levels = np.repeat(kept, counts)
        return follower.follow(
            Messages(
                row=rows[kept],
                snapshot=snapshot[kept],
                broken=broken[kept],
                venue_ts=cts[kept] * NS_PER_MS,
                received_ts=ts[kept] * NS_PER_MS,
                venue_seq=u[kept],
                first=np.append(0, np.cumsum(counts[kept])),
                is_bid=is_bid[levels],
                price=price[levels],
                size=size[levels],
            )
        )

    def _chained(
        self, rows: Ints, ts: Ints, u: Ints, snapshot: Bools, wrong: Bools, sure: Bools
    ) -> tuple[Bools, Bools]:
        """Return which messages break the chain of ids, and which come twice; tell of them."""
        at = np.flatnonzero(~wrong)
        key = (self._snapshots + np.cumsum(snapshot)) * _SNAPSHOT_STEP + u
        self._snapshots += int(snapshot[sure].sum())
        late = out_of_order(key[at], self._key) | out_of_order(ts[at], self._ts)
        again = np.zeros(len(u), bool)
        line = at[~late]
        again[line] = np.diff(key[line], prepend=self._key) == 0
        line = line[~again[line]]
        broken = wrong.copy()
        broken[at[late]] = True
        step = np.diff(key[line], prepend=self._key)
        broken[line] |= (step != 1) & ~snapshot[line]
        what = f"before its time or id; {UNTIL_SNAPSHOT}"
        self._note(FaultKind.ORDER, rows, ts, _at(at[late], len(u)) & sure, what)
        what = "its update id is that of the message before; left out"
        self._note(FaultKind.DUPLICATE, rows, ts, again & sure, what)
        line = line[sure[line]]
        if len(line):
            self._tell_holes(rows, ts, key, snapshot, line, key[at[late]])
            self._key, self._ts = int(key[line[-1]]), int(ts[line[-1]])
            self._last = (self._key, int(rows[line[-1]]))
        return broken, again

    def _tell_holes(self, rows: Ints, ts: Ints, key: Ints, snapshot: Bools, line: Ints, strays: Ints) -> None:
        for hole in holes(key[line], rows[line], 1, strays, self._last):
            here = line[hole.at]
            if not snapshot[here]:
                what = f"{hole.missing} update ids are missing before it; {UNTIL_SNAPSHOT}"
                self._note(FaultKind.GAP, rows, ts, _at(line[hole.at : hole.at + 1], len(rows)), what)

    def _of(self, lines: list[_Line]) -> Follower:
        names = {line.data.s for line in lines}
        if len(names | ({self._spelled} if self._spelled else set())) > 1:
            raise UnreadableSourceError(
                f"{self._path.name} holds several markets ({', '.join(sorted(names))[:80]}); one a file"
                " can be read"
            )
        if self._follower is None:
            self._spelled = next(iter(names))
            venue = "bybit-linear" if _LINEAR & set(self._path.parts) else "bybit"
            try:
                market = (venue, canonical_symbol(self._spelled))
            except UnknownSymbolError as error:
                raise UnreadableSourceError(f"{self._path.name}: {error}") from None
            if market not in self._followers:
                self._followers[market] = Follower(*market, self._faults, tells_each=True)
            self._follower = self._followers[market]
            self._follower.begin(self._path.name)
        return self._follower

    def _note(self, kind: FaultKind, rows: Ints, ts: Ints, which: Bools, what: str) -> None:
        for row, at in zip(rows[which].tolist(), ts[which].tolist(), strict=True):
            self._faults.note(kind, self._path.name, row, at * NS_PER_MS, what)


def _at(indices: Ints, count: int) -> Bools:
    found = np.zeros(count, bool)
    found[indices] = True
    return found
