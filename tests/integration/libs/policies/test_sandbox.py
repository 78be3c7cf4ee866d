from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from libs.policies.generated_markets import cases
from libs.policies.loading import Source
from libs.policies.process import BrokenPolicyError, PolicyProcess
from libs.policies.sandbox import Sandbox
from libs.policies.wire import MOST_REASON
from tests.e2e.system import until
from tests.policies_world import HEAD, TAIL, alive

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes by /proc")

MARKET = msgspec.msgpack.encode(cases()[0].market)
DEADLINE_S = 5.0  # of those that keep it


@asynccontextmanager
async def loaded(folder: Path, code: str) -> AsyncIterator[PolicyProcess]:
    path = folder / "mine.py"
    path.write_text(HEAD + code + TAIL.format(on_tops=False))
    async with Sandbox() as sandbox:
        process = await sandbox.start(folder)
        await process.load(Source(path=path, text=path.read_bytes()), 10.0)
        yield process
        await process.end()
        assert sandbox.pids == ()
    assert alive([process.pid]) == []


async def fault_of(process: PolicyProcess, deadline_s: float = DEADLINE_S) -> str:
    with pytest.raises(BrokenPolicyError) as found:
        await process.evaluate(MARKET, deadline_s)
    return found.value.fault


async def test_a_policy_sees_the_market_and_its_parameters_and_its_reason_is_cut(tmp_path: Path) -> None:
    code = "def signal(m): return Signal(0.5, f'{m.symbol} {m.closes(3).size} {m.parameters}' + 'é' * 999)\n"
    async with loaded(tmp_path, code) as process:
        value, reason = await process.evaluate(MARKET, DEADLINE_S)
        assert value == 0.5
        assert reason.startswith("BTC-USDT 3 {}é")
        assert len(reason) == MOST_REASON


async def test_a_policy_may_import_what_stands_beside_it_and_declare_types(tmp_path: Path) -> None:
    (tmp_path / "_shared.py").write_text("SIZE = 0.25\n")
    code = (
        "from dataclasses import dataclass\nfrom _shared import SIZE\n"
        "@dataclass\nclass Size:\n    value: float\n"
        "def signal(m):\n    import scipy.linalg, json\n    return Signal(Size(SIZE).value, json.dumps({}))\n"
    )
    async with loaded(tmp_path, code) as process:
        assert await process.evaluate(MARKET, DEADLINE_S) == (0.25, "{}")


async def test_its_last_output_is_told_and_what_it_wrote_before_is_not(tmp_path: Path) -> None:
    code = (
        "n = 0\ndef signal(m):\n    global n\n    n += 1\n    print('this is', n)\n"
        "    if n == 3: os._exit(5)\n    return Signal(0.0, '')\n"
    )
    async with loaded(tmp_path, code) as process:
        for _ in range(2):
            await process.evaluate(MARKET, DEADLINE_S)
        fault = await fault_of(process)
        assert fault == "its process exited with status 5\nits output ended so:\nthis is 3"
        assert await fault_of(process) == fault, "it is asked nothing more"


async def test_one_that_is_late_is_told_with_where_it_was(tmp_path: Path) -> None:
    code = "def inner():\n    while True:\n        pass\ndef signal(m):\n    inner()\n"
    async with loaded(tmp_path, code) as process:
        fault = await fault_of(process, 0.3)
        assert fault.startswith("it did not answer within 0.3 s when it was asked for a signal\n")
        assert "in inner" in fault


async def test_what_it_waits_for_a_cpu_is_not_its_own_time_but_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_s = time.monotonic()
    monkeypatch.setattr(PolicyProcess, "_starved_s", lambda _: time.monotonic() - begun_s)
    code = "n = 0\ndef signal(m):\n    global n\n    n += 1\n    time.sleep(n)\n    return Signal(0.0, '')\n"
    async with loaded(tmp_path, code) as process:
        assert await process.evaluate(MARKET, 0.2) == (0.0, "")
        assert "within 0.1 s" in await fault_of(process, 0.1)


async def test_a_process_may_look_at_its_own_limits_and_signal_itself(tmp_path: Path) -> None:
    code = (
        "import resource, signal as signals\nsignals.signal(signals.SIGUSR2, lambda *_: None)\n"
        "def signal(m):\n    os.kill(os.getpid(), signals.SIGUSR2)\n"
        "    return Signal(0.0, str(resource.getrlimit(resource.RLIMIT_NOFILE)))\n"
    )
    async with loaded(tmp_path, code) as process:
        assert await process.evaluate(MARKET, DEADLINE_S) == (0.0, "(64, 64)")


async def test_a_forged_answer_is_found_by_what_was_asked(tmp_path: Path) -> None:
    code = (
        "from libs.policies.wire import Signalled, framed\n"
        "def signal(m):\n    os.write(3, framed(Signalled(nonce=1, value=1.0, reason='')))\n"
        "    time.sleep(9)\n"
    )
    async with loaded(tmp_path, code) as process:
        assert await fault_of(process) == "it wrote an answer to its channel that nobody had asked for"


async def test_what_is_no_answer_is_told(tmp_path: Path) -> None:
    code = "def signal(m):\n    os.write(3, bytes([0, 0, 0, 2, 1, 1]))\n    time.sleep(9)\n"
    async with loaded(tmp_path, code) as process:
        assert (await fault_of(process)).startswith("it wrote to its channel what is no answer: ")


async def test_one_that_speaks_though_nothing_was_asked_is_broken_at_once(tmp_path: Path) -> None:
    code = (
        "import signal as signals\nsignals.signal(signals.SIGALRM, lambda *_: os.write(3, b'x'))\n"
        "def signal(m):\n    signals.setitimer(signals.ITIMER_REAL, 0.2)\n    return Signal(0.0, '')\n"
    )
    async with loaded(tmp_path, code) as process:
        await process.evaluate(MARKET, DEADLINE_S)
        assert not process.broken.done()
        async with asyncio.timeout(20):
            assert await process.broken == "it wrote to its channel though nothing was asked"


async def test_one_that_closes_its_channel_is_broken(tmp_path: Path) -> None:
    async with loaded(tmp_path, "def signal(m):\n    os.close(3)\n    time.sleep(9)\n") as process:
        assert await fault_of(process) == "it closed its channel"


async def test_a_process_knows_nothing_of_the_hosts_environment_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "a secret")
    code = (
        "def signal(m):\n    kept = [n for n in range(64) if is_open(n)]\n"
        "    return Signal(0.0, f'{sorted(os.environ)} {kept} {os.getpriority(os.PRIO_PROCESS, 0)}')\n"
        "def is_open(n):\n    try:\n        return bool(os.fstat(n))\n"
        "    except OSError:\n        return False\n"
    )
    async with loaded(tmp_path, code) as process:
        _, reason = await process.evaluate(MARKET, DEADLINE_S)
        threads = "['MKL_NUM_THREADS', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS']"
        nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
        assert reason == f"{threads} [0, 1, 2, 3] {nice}"
        environment = await asyncio.to_thread(Path(f"/proc/{process.pid}/environ").read_bytes)
        assert b"a secret" not in environment


async def test_a_process_may_not_read_where_its_host_happens_to_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "key.txt").write_text("a secret")
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", [str(home), *sys.path])  # as `python -m` makes it
    (tmp_path / "policies").mkdir()
    code = f"def signal(m): return Signal(0.0, open({str(home / 'key.txt')!r}).read())\n"
    async with loaded(tmp_path / "policies", code) as process:
        assert (await fault_of(process)).startswith("PermissionError")


async def test_all_policies_share_one_session_and_each_is_a_group_of_its_own(tmp_path: Path) -> None:
    async with Sandbox() as sandbox:
        processes = [await sandbox.start(tmp_path) for _ in range(2)]
        pids = [process.pid for process in processes]

        async def apart() -> bool:
            return [os.getpgid(pid) for pid in pids] == pids

        await until("each has made itself a group after its fork", apart, 20)
        sessions = {os.getsid(pid) for pid in pids}
        assert len(sessions) == 1
        assert sessions.isdisjoint({os.getsid(0), *pids})
        for process in processes:
            await process.end()
