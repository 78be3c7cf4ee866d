"""The recorded depth frames of Binance BTC-USDT spot as a `DepthStream`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from simulator.recordings import Frame, RestReply, open_recording
from tests.bench.depth_stream import DepthStream
from tests.recordings import BINANCE_SPOT

if TYPE_CHECKING:
    from collections.abc import Iterator


def recorded() -> DepthStream | None:
    """Return the frames that follow the recorded REST snapshot, or None where there is no recording."""
    if not all(path.is_file() for path in BINANCE_SPOT):
        return None
    snapshot: bytes | None = None
    waiting: list[Frame] = []
    for record in _records():
        if isinstance(record, RestReply):
            snapshot = snapshot or record.text.encode()
        elif '"depthUpdate"' in record.text:
            waiting.append(record)
    if snapshot is None:
        raise ValueError(f"{BINANCE_SPOT[0]} holds no REST snapshot")
    base: int = json.loads(snapshot)["lastUpdateId"]
    kept = [(frame, data) for frame in waiting if (data := _data(frame))["u"] > base]
    changes = sum(len(data["b"]) + len(data["a"]) for _, data in kept)
    return DepthStream(
        "recorded",
        "Binance BTC-USDT spot of 2024-08-09, depth frames of 100 ms at their recorded times",
        snapshot,
        tuple(frame.text.encode() for frame, _ in kept),
        tuple(frame.ts for frame, _ in kept),
        changes / len(kept),
    )


def _records() -> Iterator[Frame | RestReply]:
    for path in BINANCE_SPOT:
        yield from open_recording(path).records()


def _data(frame: Frame) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(frame.text)["data"]
    return data
