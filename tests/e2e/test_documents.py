"""The documents' commands and snippets, executed against a `make run` of their own.

A block ```` ```sh ```` is run as it stands, in the order of its page, in one shell a page. Words after ``sh``
say what else becomes of a block:

- ``until-stopped``: each line is a process that runs until a signal; it must get to work, and end with 0;
- ``stopped`` and ``restored``: run while the system is stopped, and after it was started again;
- ``exit-status``: a check that may find something, which its status says;
- ``starts``: the whole system or its tests; `test_make_run` runs the first, and nothing here could;
- ``elsewhere``: needs a token, another Kafka or a partition that stands; tests of those set them up;
- ``compose``: needs a Docker engine, and is run by a test of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from tests.e2e.test_make_run import Run, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
KINDS: Final = {"", "until-stopped", "stopped", "restored", "exit-status", "starts", "compose", "elsewhere"}
_BLOCK: Final = re.compile(r"^```(\w*) ?([\w-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^(?:curl|make|bookrunner|\.venv/|docker|tar|rm|grep|python)\b", re.MULTILINE)
# curl that fails on a refusal, waits where the machine is slow, and counts the JSON it brings.
_PRELUDE: Final = """
set -euo pipefail
curl() {
  local answer
  answer=$(command curl --silent --show-error --fail-with-body --retry 20 --retry-delay 2 "$@") ||
    { echo "refused: curl $*: $answer" >&2; return 1; }
  case "$*" in
    */metrics*) ;;
    *) jq type <<<"$answer" >/dev/null || { echo "no JSON: curl $*: $answer" >&2; return 1; }
       echo "$*" >>"$JSON_ANSWERS" ;;
  esac
  printf '%s\\n' "$answer"
}
"""

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not all(map(shutil.which, ("make", "jq", "curl", "bash", "tar"))),
        reason="make, jq, curl, bash or tar is missing",
    ),
]


class Block(NamedTuple):
    page: str
    language: str
    kind: str
    text: str


def blocks(language: str, kind: str | None = None) -> list[Block]:
    found = [
        Block(str(page.relative_to(ROOT)), *match.groups())
        for page in PAGES
        for match in _BLOCK.finditer(page.read_text())
    ]
    return [block for block in found if block.language == language and kind in (None, block.kind)]


class System(Run):
    """A `make run` with logs in JSON, and the shell in which the documents' commands are executed on it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "run")
        self.arguments += ["LOG_FORMAT=json", "SIMULATOR_OUTAGES=0"]
        self.given = dict(argument.split("=", 1) for argument in self.arguments)
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.answers = folder / "answers"
        self.answers.touch()

    def here(self, text: str) -> str:
        """Return a document's text with this system's addresses and paths."""
        for told, ours in (
            ("localhost:5000", f"localhost:{self.port}"),
            ("localhost:5100", f"localhost:{self.given['SIMULATOR_PORT']}"),
            ("127.0.0.1:19092", self.kafka),
            (".venv/bin/", f"{Path(sys.executable).parent}/"),
            ("bookrunner.log", str(self.log)),
            ("-C .run ", f"-C {self.folder} "),
            (".run/", f"{self.folder}/"),
        ):
            text = text.replace(told, ours)
        return text

    @property
    def kafka(self) -> str:
        return f"127.0.0.1:{self.given['KAFKA_PORT']}"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "GATEWAY_PORT": str(self.port),
            "SIMULATOR_URL": f"http://localhost:{self.given['SIMULATOR_PORT']}",
            "JSON_ANSWERS": str(self.answers),
        }

    def shell(self, page: str, texts: list[str]) -> str:
        """Run a page's blocks one after the other, and return what they print."""
        told = [f"echo '## block {n} of {page}' >&2\n{self.here(text)}" for n, text in enumerate(texts, 1)]
        done = subprocess.run(
            ["bash", "-c", "\n".join([_PRELUDE, *told])],
            cwd=self.scratch,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stderr[-3000:]}\n{done.stdout[-2000:]}"
        return done.stdout

    def newest(self) -> str:
        """Return the id of the newest execution."""
        return str(self.get("/api/exec/records?limit=1")[0]["executionId"])


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = System(tmp_path_factory.mktemp("documents"))
    with running:
        wait_for("ready", running.ready, 240)
        wait_for(
            "every service's metrics",
            lambda: len(list((running.folder / "metrics").glob("*.json"))) == 8,
            120,
        )
        wait_for("a risk budget", lambda: running.get("/api/portfolio/risk"), 120)
        wait_for("scores", lambda: running.get("/api/venues/registry"), 120)
        yield running
        running.interrupt()


def test_every_block_says_what_it_is_and_few_are_not_run() -> None:
    assert {block.kind for block in blocks("sh")} <= KINDS
    assert {block.kind for block in blocks("python")} <= {""}
    hidden = [block for block in blocks("") if _COMMAND.search(block.text)]
    assert hidden == [], "commands in a block that no test runs"
    for block in blocks("sh", "starts"):
        assert all(line.startswith("make ") for line in block.text.splitlines()), block
    assert len(blocks("sh", "starts")) <= 4
    backtests = {"README.md", "docs/backtesting.md"}  # run by tests/integration/backtest
    assert {block.page for block in blocks("sh", "elsewhere")} <= {
        "docs/security.md",
        "docs/operations.md",
        *backtests,
    }


@pytest.mark.parametrize("page", sorted({block.page for block in blocks("sh", "")}))
def test_a_pages_commands_do_what_it_says(system: System, page: str) -> None:
    system.shell(page, [block.text for block in blocks("sh", "") if block.page == page])


def test_the_commands_brought_json(system: System) -> None:
    asked = system.answers.read_text()
    for route in ("/api/l2", "/api/venues/registry", "router/choose", "exec/plan-and-execute", "/api/audit/"):
        assert route in asked


def test_the_readmes_grep_shows_an_execution_step_by_step(system: System) -> None:
    (block,) = (block for block in blocks("sh", "") if block.text.startswith("grep -h $ID"))
    shown = system.shell("README.md", [f"ID={system.newest()}", block.text])
    services = [json.loads(line)[1] for line in shown.splitlines()]
    assert services[0] == "gateway"
    assert {"gateway", "execution", "router"} <= set(services)


@pytest.mark.parametrize("block", blocks("sh", "exit-status"), ids=lambda block: block.page)
def test_a_check_says_what_it_found(system: System, block: Block) -> None:
    done = subprocess.run(
        ["bash", "-c", system.here(block.text)],
        cwd=system.scratch,
        env=system.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 1}
    assert done.stdout


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.page)
def test_a_python_snippet_prints_what_it_subscribes_to(system: System, block: Block) -> None:
    snippet = subprocess.Popen(
        [sys.executable, "-u", "-c", system.here(block.text)],
        cwd=system.scratch,
        stdout=subprocess.PIPE,
        text=True,
    )
    giving_up = threading.Timer(60, snippet.kill)
    giving_up.start()
    assert snippet.stdout is not None
    lines = [snippet.stdout.readline() for _ in range(5)]
    giving_up.cancel()
    snippet.send_signal(signal.SIGINT)
    snippet.communicate(timeout=30)
    assert all(re.search(r"-USDT \d+ Book(Delta|Snapshot) ", line) for line in lines), lines


def _at_work(log: Path) -> bool:
    return re.search("l2_started|partitions_owned|may choose it", log.read_text()) is not None


def test_further_processes_join_and_leave(system: System) -> None:
    commands = [line for block in blocks("sh", "until-stopped") for line in block.text.splitlines()]
    assert commands
    for number, command in enumerate(dict.fromkeys(commands)):
        log = system.scratch / f"process-{number}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {system.here(command)}"],
                cwd=system.scratch,
                env=system.environment,
                stdout=out,
                stderr=out,
            )
        try:
            wait_for(f"{command} works", partial(_at_work, log), 120)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()[-2000:]


def test_a_back_up_brings_back_what_was_there(system: System) -> None:
    kept = system.newest()
    backup, restore = (block.text for block in blocks("sh", "stopped"))
    system.interrupt()
    system.shell("operations.md", [backup, "echo later >" + str(system.folder / "kafka" / "later"), restore])
    assert not (system.folder / "kafka" / "later").exists()
    system.log.write_text("")
    system.__enter__()
    wait_for("ready again", system.ready, 240)
    assert system.newest() == kept
    verified = [block.text for block in blocks("sh", "restored")]
    assert "verified: " in system.shell("operations.md", verified)
