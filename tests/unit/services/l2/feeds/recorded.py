"""The recordings that the feeds are proven on, read by the simulator's reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulator.recordings import open_recording

if TYPE_CHECKING:
    from simulator.recordings import Recording

DATA = Path(__file__).resolve().parents[5].parent / "shared" / "data"

needs_recordings = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}")


def recording(name: str) -> Recording:
    return open_recording(DATA / name)
