"""Made-up files of history, without a fault or with planted ones, and the market that they are of."""

from __future__ import annotations

import gzip
import json
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.random import Generator, Philox

from libs.history.faults import FaultKind, FaultReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from libs.history.formats import Format

BEGIN_US = 1_735_700_000_000_000  # 2025-01-01
TICK = 0.01
Side = dict[int, float]


def made_up_number(seed: int) -> Generator:
    return Generator(Philox(key=seed))


class Planted(NamedTuple):
    kind: FaultKind
    row: int


class Message(NamedTuple):
    snapshot: bool
    at: int  # us
    u: int
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


@dataclass
class MadeUpBook:
    """A book of which every message is known, and what the book is after each."""

    rng: Generator
    levels: int = 30
    mid: int = 6_000_000
    now: int = BEGIN_US
    u: int = 1000
    bids: Side = field(default_factory=dict)
    asks: Side = field(default_factory=dict)

    def __post_init__(self) -> None:
        for distance in range(1, self.levels + 1):
            self.bids[self.mid - distance] = self._size()
            self.asks[self.mid + distance] = self._size()

    def _size(self) -> float:
        return round(float(self.rng.integers(1, 10**6)) * 1e-5, 5)

    def _step(self) -> None:
        self.now += int(self.rng.integers(1, 200)) * 1000
        self.u += 1

    def snapshot(self) -> Message:
        self._step()
        return Message(True, self.now, self.u, priced(self.bids, -1), priced(self.asks, 1))  # noqa: FBT003

    def delta(self) -> Message:
        """Change some levels; the mid moves, and what it meets goes."""
        self._step()
        self.mid += int(self.rng.integers(-2, 3))
        changed: tuple[Side, Side] = ({}, {})
        for held, new, sign in ((self.bids, changed[0], -1), (self.asks, changed[1], 1)):
            new.update({tick: 0.0 for tick in held if sign * (tick - self.mid) <= 0})
            far = sorted(held, key=lambda tick: abs(tick - self.mid))[self.levels :]
            new.update(dict.fromkeys(far, 0.0))
            for _ in range(int(self.rng.integers(0, 6))):
                tick = self.mid + sign * int(self.rng.integers(1, self.levels))
                gone = tick in held and self.rng.random() < 0.4 and len(held) > self.levels // 2
                new[tick] = 0.0 if gone else self._size()
            if not new:
                new[self.mid + sign] = self._size()
        for held, new in zip((self.bids, self.asks), changed, strict=True):
            held.update(new)
            for tick in [tick for tick, size in held.items() if not size]:
                del held[tick]
        return Message(False, self.now, self.u, priced(changed[0], -1), priced(changed[1], 1))  # noqa: FBT003

    def crossing(self) -> Message:
        """Say that a bid stands at the best ask; the book itself stays what it was."""
        self._step()
        return Message(False, self.now, self.u, ((min(self.asks) * TICK, 1.5),), ())  # noqa: FBT003

    def orphan(self) -> Message:
        """Delete what is not there."""
        self._step()
        return Message(False, self.now, self.u, (((min(self.bids) - 77) * TICK, 0.0),), ())  # noqa: FBT003

    @property
    def shown(self) -> tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]]:
        return priced(self.bids, -1), priced(self.asks, 1)


def priced(side: Side, sign: int) -> tuple[tuple[float, float], ...]:
    return tuple((round(tick * TICK, 2), side[tick]) for tick in sorted(side, key=lambda tick: sign * tick))


BOOK_KINDS = (
    FaultKind.GAP,
    FaultKind.CROSSED,
    FaultKind.ORPHAN,
    FaultKind.ORDER,
    FaultKind.DUPLICATE,
    FaultKind.UNREADABLE,
)
UNREADABLE_CELLS = ("abc", "", "nan", "-1.5", "inf", "1,2", "\x00", "1e999")


class BookFile:
    """Writes a made-up book as text, faults planted where they are asked for."""

    def __init__(self, seed: int) -> None:
        self.rng = made_up_number(seed)
        self.book = MadeUpBook(self.rng)
        self.lines: list[str] = []
        self.planted: list[Planted] = []
        self.truth: dict[int, object] = {}  # the book after the message of that time, us

    def write(self, faults: int, kinds: tuple[FaultKind, ...] = BOOK_KINDS) -> None:
        self.say(self.book.snapshot())
        for number in range(faults):
            self.healthy(3)
            if self.plant(kinds[number % len(kinds)]):
                self.healthy(3)
                self.say(self.book.snapshot())
        self.healthy(5)

    def healthy(self, count: int) -> None:
        for _ in range(count):
            self.say(self.book.delta())

    def say(self, message: Message) -> None:
        self.truth[message.at] = self.book.shown
        self.lines += self.rendered(message)

    def fault(self, kind: FaultKind, row: int) -> None:
        self.planted.append(Planted(kind, row))

    @property
    def next_row(self) -> int:
        return len(self.lines) + 1

    def rendered(self, message: Message) -> list[str]:
        raise NotImplementedError

    def plant(self, kind: FaultKind) -> bool:
        """Write a fault; return whether the book is unknown after it."""
        raise NotImplementedError


class TardisFile(BookFile):
    head = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
    exchange = "bybit-spot"

    def rendered(self, message: Message) -> list[str]:
        said = "true" if message.snapshot else "false"
        return [
            f"{self.exchange},BTCUSDT,{message.at - 700},{message.at},{said},{side},{price:.2f},{size:.5f}"
            for side, levels in (("bid", message.bids), ("ask", message.asks))
            for price, size in levels
        ]

    def plant(self, kind: FaultKind) -> bool:
        if kind is FaultKind.DUPLICATE:
            self.lines.append(self.lines[-1])
            self.fault(kind, len(self.lines))
            return False
        if kind is FaultKind.GAP:
            for _ in range(3):
                self.book.delta()  # nobody hears of it
            self.fault(kind, self.next_row)
            self.say(self.book.snapshot())
            return False
        self.fault(kind, self.next_row)
        if kind is FaultKind.CROSSED:
            self.lines += self.rendered(self.book.crossing())
        elif kind is FaultKind.ORPHAN:
            self.lines += self.rendered(self.book.orphan())
        elif kind is FaultKind.ORDER:
            message = self.book.delta()
            self.lines += self.rendered(message._replace(at=message.at - 3_600_000_000))
        else:
            self._unreadable()
        return True

    def _unreadable(self) -> None:
        rows = self.rendered(self.book.delta())
        at = int(self.rng.integers(0, len(rows)))
        cells = rows[at].split(",")
        which = int(self.rng.integers(2, 8))
        values = (*UNREADABLE_CELLS, "12345") if which in {2, 3} else UNREADABLE_CELLS
        cells[which] = values[int(self.rng.integers(0, len(values)))]
        rows[at] = ",".join(cells)
        self.planted[-1] = Planted(FaultKind.UNREADABLE, self.next_row + at)
        self.lines += rows


class BybitFile(BookFile):
    head = None

    def rendered(self, message: Message) -> list[str]:
        data = {
            "s": "BTCUSDT",
            "b": [[f"{price:.2f}", f"{size:g}"] for price, size in message.bids],
            "a": [[f"{price:.2f}", f"{size:g}"] for price, size in message.asks],
            "u": message.u,
            "seq": 7 * message.u,
        }
        kind = "snapshot" if message.snapshot else "delta"
        ts = message.at // 1000
        return [
            json.dumps(
                {"topic": "orderbook.500.BTCUSDT", "type": kind, "ts": ts, "data": data, "cts": ts - 3}
            )
        ]

    def plant(self, kind: FaultKind) -> bool:
        self.fault(kind, self.next_row)
        if kind is FaultKind.DUPLICATE:
            self.lines.append(self.lines[-1])
            return False
        if kind is FaultKind.GAP:
            for _ in range(int(self.rng.integers(1, 4))):
                self.book.delta()
            self.lines += self.rendered(self.book.delta())
        elif kind is FaultKind.CROSSED:
            self.lines += self.rendered(self.book.crossing())
        elif kind is FaultKind.ORPHAN:
            self.lines += self.rendered(self.book.orphan())
        elif kind is FaultKind.ORDER:
            if self.rng.random() < 0.5:
                first, second = self.rendered(self.book.delta()), self.rendered(self.book.delta())
                self.lines += [*second, *first]  # swapped
                self.planted[-1] = Planted(kind, len(self.lines))
            else:
                message = self.book.delta()
                self.lines += self.rendered(message._replace(at=message.at - 10**9))
                self.planted[-1] = Planted(kind, len(self.lines))
        else:
            self.lines.append(self._unreadable(self.rendered(self.book.delta())[0]))
        return True

    def _unreadable(self, line: str) -> str:
        message = json.loads(line)
        bad = ("x", "-1", "nan", "", None)[int(self.rng.integers(0, 5))]
        match int(self.rng.integers(0, 4)):
            case 0:
                return line[: len(line) // 2]
            case 1:
                side = "b" if message["data"]["b"] else "a"
                message["data"][side][0][int(self.rng.integers(0, 2))] = bad
            case 2:
                message["ts"] = "yesterday"
            case _:
                del message["data"]["u"]
        return json.dumps(message)


class RowFile:
    """Rows of numbers that rise by one; a fault spoils one of them, or moves it."""

    head: str | None = None
    kinds: tuple[FaultKind, ...] = (
        FaultKind.GAP,
        FaultKind.ORDER,
        FaultKind.DUPLICATE,
        FaultKind.UNREADABLE,
    )
    cells: tuple[int, ...] = (0, 1, 2)  # which may be spoiled

    def __init__(self, seed: int) -> None:
        self.rng = made_up_number(seed)
        self.lines: list[str] = []
        self.planted: list[Planted] = []
        self.n = 0
        self.price = 60_000.0

    def write(self, faults: int) -> None:
        self.healthy(4)
        for number in range(faults):
            self.plant(self.kinds[number % len(self.kinds)])
            self.healthy(int(self.rng.integers(3, 9)))

    def healthy(self, count: int) -> None:
        self.lines += [self.row() for _ in range(count)]

    def row(self) -> str:
        """Return the next row."""
        self.n += 1
        self.price = round(self.price + float(self.rng.integers(-50, 51)) * 0.1, 2)
        return self.rendered(self.n)

    def rendered(self, n: int) -> str:
        raise NotImplementedError

    def plant(self, kind: FaultKind) -> None:
        match kind:
            case FaultKind.GAP:
                self.n += int(self.rng.integers(1, 5))
                self.lines.append(self.row())
            case FaultKind.ORDER:
                first, second = self.row(), self.row()
                self.lines += [second, first]
            case FaultKind.DUPLICATE:
                self.lines.append(self.lines[-1])
            case FaultKind.CROSSED:
                self.lines.append(self.crossed())
            case _:
                cells = self.row().split(",")
                which = self.cells[int(self.rng.integers(0, len(self.cells)))]
                cells[which] = UNREADABLE_CELLS[int(self.rng.integers(0, len(UNREADABLE_CELLS)))]
                self.lines.append(",".join(cells))
        self.planted.append(Planted(kind, len(self.lines)))

    def crossed(self) -> str:
        raise NotImplementedError


class TardisTradesFile(RowFile):
    head = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
    kinds = (FaultKind.ORDER, FaultKind.DUPLICATE, FaultKind.UNREADABLE)
    cells = (2, 3, 5, 6, 7)

    def rendered(self, n: int) -> str:
        at = BEGIN_US + n * 1_000
        side = "buy" if self.rng.random() < 0.5 else "sell"
        return f"binance,BTCUSDT,{at - 300},{at},{n},{side},{self.price},{self.rng.integers(1, 999) / 1e3}"


class KlinesFile(RowFile):
    head = (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
        "taker_buy_quote_volume,ignore"
    )
    cells = (0, 1, 2, 3, 4, 5, 8)

    def rendered(self, n: int) -> str:
        opened = BEGIN_US // 60_000_000 * 60_000 + n * 60_000
        p = self.price
        volume = f"{self.rng.integers(1, 99)}.25"
        return f"{opened},{p},{p + 9},{p - 8},{p + 1},{volume},{opened + 59_999},1.5,17,1.0,1.0,0"


class TradesFile(RowFile):
    cells = (0, 1, 2, 5, 6)

    def rendered(self, n: int) -> str:
        taken = "True" if self.rng.random() < 0.5 else "False"
        size = self.rng.integers(1, 999) / 1e3
        return f"{n},{self.price},{size},{2 * n},{2 * n + 1},{BEGIN_US + 50 * n},{taken},True"


class QuotesFile(RowFile):
    head = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time"
    kinds = (FaultKind.CROSSED, FaultKind.ORDER, FaultKind.DUPLICATE, FaultKind.UNREADABLE)
    cells = (0, 1, 2, 3, 4, 5, 6)

    def rendered(self, n: int) -> str:
        return self.quote(n, self.price, round(self.price + 0.1, 2))

    def quote(self, n: int, bid: float, ask: float) -> str:
        at = BEGIN_US // 1000 + 10 * n
        sizes = self.rng.integers(1, 9, 2)
        return f"{13 * n},{bid},{sizes[0]}.5,{ask},{sizes[1]}.25,{at},{at + 4}"

    def crossed(self) -> str:
        self.n += 1
        return self.quote(self.n, self.price + 3, self.price + 3)


def events_of(made: Format, path: Path, faults: FaultReport | None = None) -> Iterator[Any]:
    """Yield what a format makes of a file, one by one."""
    for columns in made.columns([path], faults or FaultReport()):
        yield from columns.events()


def save(path: Path, file: BookFile | RowFile) -> Path:
    """Write a file as its name's end says."""
    head = getattr(file, "head", None)
    text = "".join(line + "\n" for line in ([head] if head else []) + file.lines).encode("latin-1")
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text, 1, mtime=0))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(path.name.removesuffix(".zip"), text)
    else:
        path.write_bytes(text)
    return path
