"""What the processes of a running system must not import: each module here costs every one of them memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

NUMBERS: Final = ("numpy", "scipy")
TOOLS: Final = ("numpy.f2py", "numpy.testing", "unittest", "pydoc", "charset_normalizer")
PAGES: Final = ("fastapi", "uvicorn", "starlette")
STREAMS: Final = ("faust", "mode")
TERMINAL: Final = ("rich", "prompt_toolkit", "supervisor")
CLIENTS: Final = ("aiohttp", "websockets")

NOT_IMPORTED: Final = {
    "services.l2": (*NUMBERS, *TOOLS, *PAGES, *STREAMS, *TERMINAL),
    "services.venues": (*NUMBERS, *TOOLS, *PAGES, *TERMINAL),
    "services.router": ("scipy.special", "scipy.linalg", *TOOLS, *PAGES, *STREAMS, *TERMINAL, *CLIENTS),
    "services.portfolio": ("scipy", *TOOLS, *PAGES, *STREAMS, *TERMINAL, *CLIENTS),
    "services.execution": ("scipy", *TOOLS, *PAGES, *STREAMS, *TERMINAL, *CLIENTS),
    "services.gateway": (*NUMBERS, *TOOLS, *STREAMS, *TERMINAL, *CLIENTS),
    "simulator": ("scipy", *TOOLS, *PAGES, *STREAMS, *TERMINAL, "aiokafka"),
    "broker": (*NUMBERS, *TOOLS, *PAGES, *STREAMS, *TERMINAL, *CLIENTS, "aiokafka", "msgspec"),
    "libs.cli.supervision": (*NUMBERS, *TOOLS, *PAGES, *STREAMS, *CLIENTS, "pydantic", "aiokafka", "msgspec"),
}


def imported_by(module: str) -> frozenset[str]:
    """Return the modules of a process that has begun to be `module`."""
    script = f"import json, sys, {module}; sys.stdout.write(json.dumps(list(sys.modules)))"
    return frozenset(json.loads(subprocess.check_output([sys.executable, "-c", script])))


@pytest.mark.parametrize("process", NOT_IMPORTED)
def test_a_process_imports_nothing_that_it_does_not_need(process: str) -> None:
    entry = process if process == "libs.cli.supervision" else f"{process}.__main__"
    assert imported_by(entry).isdisjoint(NOT_IMPORTED[process])
