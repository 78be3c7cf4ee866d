"""What each process of `make run` must not import: every heavy package costs 0.1 to 0.5 s of each start."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

# Heavy packages, and the processes whose work needs them from the start.
USERS: Final[dict[str, set[str]]] = {
    "aiohttp.client": {"services.l2", "services.venues", "simulator"},  # venues: of faust's making
    "aiohttp.web": {"simulator"},
    "cvxpy": set(),
    "fastapi": {"services.gateway"},
    "faust": {"services.venues"},
    "jgo": set(),
    "matplotlib": set(),
    "numpy": {
        "services.venues",
        "services.router",
        "services.portfolio",
        "services.execution",
        "simulator",
    },
    "numpy.testing": {"services.router"},  # of scipy's making
    "pandas": set(),
    "requests": set(),
    "rich": set(),
    "scipy.optimize": set(),
    "scipy.special": {"services.router"},
    "typer": set(),
    "uvicorn": {"services.gateway"},
    "websockets": {"services.l2"},
}
PROCESSES: Final = (
    "broker",
    "simulator",
    "services.l2",
    "services.venues",
    "services.router",
    "services.portfolio",
    "services.execution",
    "services.gateway",
)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_imports_no_heavy_package_that_its_work_does_not_need(process: str) -> None:
    program = f"import json, sys, {process}.__main__; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    imported = set(json.loads(answer.stdout))
    assert {name for name in USERS if name in imported} == {
        name for name, users in USERS.items() if process in users
    }
