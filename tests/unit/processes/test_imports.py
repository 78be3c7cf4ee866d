"""What each process of `make run` must not import: heavy packages cost .1 to .5 s of a start, and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

READERS: Final = {
    "services.context",
    "services.l2",
    "services.venues",
    "services.router",
    "services.portfolio",
    "services.execution",
    "services.policies",
    "services.gateway",
}
# Heavy packages, and the processes whose work needs them from the start.
USERS: Final[dict[str, set[str]]] = {
    "aiohttp.client": {
        "services.context",
        "services.l2",
        "services.venues",
        "simulator",
    },  # venues: of faust's making
    "aiohttp.web": {"simulator"},
    "aiokafka": READERS,
    "charset_normalizer": set(),
    "cvxpy": set(),
    "fastapi": {"services.gateway"},
    "faust": {"services.venues"},
    "jgo": set(),
    "matplotlib": set(),
    "msgspec": {*READERS, "simulator"},
    "numpy": {
        "services.policies",
        "services.router",
        "services.portfolio",
        "services.execution",
        "simulator",
    },
    "numpy.f2py": set(),
    "numpy.testing": set(),
    "pandas": set(),
    "prompt_toolkit": set(),
    "pydoc": set(),
    "requests": set(),
    "rich": set(),
    "scipy": {"services.router"},
    "scipy.linalg": set(),
    "scipy.optimize": set(),
    "scipy.special": set(),
    "supervisor": {"libs.cli.supervision"},
    "typer": set(),
    "unittest": set(),
    "uvicorn": {"services.gateway"},
    "websockets": {"services.l2"},
}
PROCESSES: Final = ("broker", "simulator", *sorted(READERS), "libs.cli.supervision")


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_imports_no_heavy_package_that_its_work_does_not_need(process: str) -> None:
    module = process if process == "libs.cli.supervision" else f"{process}.__main__"
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    imported = set(json.loads(answer.stdout))
    assert {name for name in USERS if name in imported} == {
        name for name, users in USERS.items() if process in users
    }
