"""Hot path: the bytes of a depth frame to decoded, applied, top of book, and MessagePack bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tests.bench.chunks import in_turn, on_cores
from tests.bench.depth_stream import seeded, touch_removed
from tests.bench.hot_paths import NaivePath, OrjsonPath, Path, PathError, PurePath, ServicePath
from tests.bench.recorded_stream import recorded
from tests.bench.report import Quartiles, Report, Result, quartiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.depth_stream import DepthStream

CHUNK: Final = 1000  # frames
WARM_UP: Final = 2  # chunks, not counted
BASELINE: Final = "naive: json + SortedDict + msgpack"
PURE: Final = "pure: feed + OrderBook + codec"
SERVICE: Final = "service: handle() + codec"
ORJSON: Final = "reference: orjson + float + lists + msgspec"


def run(report: Report) -> None:
    """Measure every stream that there is."""
    contenders: dict[str, Callable[[DepthStream], Path]] = {
        BASELINE: NaivePath,
        PURE: PurePath,
        SERVICE: ServicePath,
    }
    if OrjsonPath.installed:
        contenders[ORJSON] = OrjsonPath
    else:
        report.skip(f"hot_path {ORJSON}", "orjson is not installed")
    medians = {}
    for stream in (seeded(25_000), recorded(), touch_removed(10_000)):
        if stream is None:
            report.skip("hot_path recorded", "the Binance spot recording is absent")
        else:
            medians[stream.name] = _measure(report, stream, contenders)
    for name in (PURE, SERVICE):
        worst = medians["touch removed"][name] / medians["seeded"][name]
        report.say(
            f"  the bad case costs {name.partition(':')[0]} {worst:.1f} times the seeded median (aim: 10)"
        )


def _measure(
    report: Report, stream: DepthStream, contenders: dict[str, Callable[[DepthStream], Path]]
) -> dict[str, float]:
    report.say(f"hot_path {stream.name}: {stream.about}")
    paths = {name: make(stream) for name, make in contenders.items()}
    said: dict[str, bytes] = {}

    def chunk_of(name: str) -> Callable[[int], None]:
        path = paths[name]

        def take(chunk: int) -> None:
            part = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
            said[name] = path.run(stream.frames[part], stream.received_ts[part])

        return take

    last = -(-len(stream.frames) // CHUNK)
    with on_cores(1) as pinning:
        taken = in_turn({name: chunk_of(name) for name in paths}, range(last))
    _check(stream, paths, said)
    whole = range(WARM_UP, len(stream.frames) // CHUNK)
    per_frame = {name: [taken[name][at] / CHUNK / 1000 for at in whole] for name in paths}
    for name, us in per_frame.items():
        found = quartiles(us)
        report.add(
            Result(
                bench="hot_path",
                case=stream.name,
                contender=name,
                figures={
                    "CPU us/frame": found.median,
                    "quartiles": _range(found),
                    "frames/s": round(1e6 / found.median),
                },
                ratio=quartiles([ours / naive for ours, naive in zip(us, per_frame[BASELINE], strict=True)]),
                baseline="naive",
                assumptions={
                    "stream": stream.about,
                    "frames": len(stream.frames),
                    "bytes_per_frame": round(stream.mean_bytes, 1),
                    "levels_changed_per_frame": round(stream.levels_changed, 2),
                    "top_read_per_frame": "10 a side; the service: every delta, and 50 a side each 100 ms",
                    "frames_per_chunk": CHUNK,
                    "clock": "CPU time of the thread",
                    "warm_up_frames": WARM_UP * CHUNK,
                    "process": pinning,
                },
            )
        )
    faster = quartiles(
        [naive / ours for ours, naive in zip(per_frame[PURE], per_frame[BASELINE], strict=True)]
    )
    report.say(f"  naive takes {faster.text()} times as long as pure")
    return {name: quartiles(us).median for name, us in per_frame.items()}


def _check(stream: DepthStream, paths: dict[str, Path], said: dict[str, bytes]) -> None:
    """Refuse to print a time of a contender whose book or message is wrong."""
    truth = stream.final or paths[BASELINE].book()
    for name, path in paths.items():
        if path.book() != truth:
            raise PathError(f"{stream.name}: the book of '{name}' is not the stream's")
    tops = {name: msgspec.msgpack.decode(message) for name, message in said.items() if name != SERVICE}
    for name, top in tops.items():
        if top != tops[BASELINE]:
            raise PathError(f"{stream.name}: '{name}' says {top}, not {tops[BASELINE]}")


def _range(found: Quartiles) -> str:
    return f"{found.lower:.1f} to {found.upper:.1f}"
