"""Count what each process of a system asks of Kafka; Python imports this where its folder is on PYTHONPATH.

In REQUESTS_DIR each process has a file of 64-bit counts, by API key of the protocol; who watches reads it.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

KEYS = 128
MODULE = "aiokafka.conn"


class _Finder:
    """Finds aiokafka's connection as Python does, and has what it sends counted once it is loaded."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == MODULE else None
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_count(module: ModuleType) -> None:
                load(module)
                _count(module)

            spec.loader.exec_module = load_and_count  # type: ignore[method-assign]  # of this loader alone
        return spec


def _count(module: Any) -> None:
    with (Path(os.environ["REQUESTS_DIR"]) / str(os.getpid())).open("w+b") as file:
        file.truncate(8 * KEYS)
        counts = mmap.mmap(file.fileno(), 8 * KEYS)
    send = module.AIOKafkaConnection.send

    def counted(self: Any, request: Any, *args: Any, **more: Any) -> Any:
        key = request.API_KEY if hasattr(request, "API_KEY") else request.key  # Bookrunner's own
        (count,) = struct.unpack_from("<Q", counts, 8 * key)
        struct.pack_into("<Q", counts, 8 * key, count + 1)
        return send(self, request, *args, **more)

    module.AIOKafkaConnection.send = counted


sys.meta_path.insert(0, _Finder())
