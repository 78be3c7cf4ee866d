"""A market on Kafka that goes on, hosts of policies as processes of their own, and hostile policies."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.kafka import Publisher, create_topics, follow
from libs.common.settings import ServiceSettings
from libs.common.time_units import MINUTE_NS, NS_PER_MS
from libs.common.topics import (
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    book_key,
    candle_key,
)
from libs.common.views import View
from tests.execution_market import a_book_health, a_book_top, a_candle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from libs.common.kafka import Record, Undecodable

SYMBOL = "BTC-USDT"
KEY = book_key("binance", SYMBOL)
HEAD = """
import os, sys, time
from bookrunner import Policy, Signal
"""
TAIL = """
POLICY = Policy(signal=signal, summary="does what the test says", on_tops={on_tops}, valid_s=60.0)
"""
GOOD = "def signal(market):\n    return Signal(market.features.obi, f'{market.ts}')\n"


def _asks(call: str, arguments: str) -> str:
    """Return a policy that makes a system call of which Python knows nothing."""
    names, x86_64, aarch64 = "UTIMENSAT, IOCTL, PRCTL, TIMER", (280, 16, 157, 222), (88, 29, 167, 107)
    numbers = f"{names} = {x86_64} if os.uname().machine == 'x86_64' else {aarch64}"
    return (
        f"import ctypes\n{numbers}\nFILE, ONE = __file__.encode(), ctypes.byref(ctypes.c_long(1))\n"
        f"def signal(m):\n    if ctypes.CDLL(None, use_errno=True).syscall({arguments}) < 0:\n"
        f"        raise OSError(ctypes.get_errno(), '{call}')\n"
    )


# What each policy does, and a part of what its quarantine says.
HOSTILE: dict[str, tuple[str, str]] = {
    "raises": ("def signal(m): raise ValueError('no price')", "ValueError: no price"),
    "nan": ("def signal(m): return Signal(float('nan'), '')", "is nan: a number from -1 to 1"),
    "infinite": ("def signal(m): return Signal(float('inf'), '')", "is inf: a number from -1 to 1"),
    "two": ("def signal(m): return Signal(2.0, '')", "is 2.0: a number from -1 to 1"),
    "wrong_type": ("def signal(m): return [1.0]", "it returned a list: Signal(value, reason)"),
    "text_value": ("def signal(m): return Signal('1', '')", "is a str: a number is right"),
    "nothing": ("def signal(m): pass", "it returned a NoneType"),
    "sleeps": ("def signal(m): time.sleep(3600)", "did not answer within 1 s"),
    "loops": ("def signal(m):\n    while True:\n        pass", "did not answer within 1 s"),
    "takes_2_gb": ("def signal(m): return Signal(0.0, str(len(bytearray(2 << 30))))", "MemoryError"),
    "forks": ("def signal(m): os.fork(); return Signal(0.0, '')", "PermissionError"),
    "starts_a_program": (
        "import subprocess\ndef signal(m): subprocess.Popen(['sleep', '3600'])",
        "PermissionError",
    ),
    "multiprocesses": (
        "import multiprocessing\ndef signal(m): multiprocessing.Process(target=print).start()",
        "PermissionError",
    ),
    "exits_at_once": ("def signal(m): os._exit(3)", "its process exited with status 3"),
    "exits": ("def signal(m): sys.exit(4)", "SystemExit: 4"),
    "ends_by_signal": ("def signal(m): os.kill(os.getpid(), 9)", "its process was ended by SIGKILL"),
    "floods_its_output": ("def signal(m):\n    while True:\n        print('x' * 1000)", "File too large"),
    "floods_its_channel": (
        "def signal(m):\n    for _ in range(10**6):\n        os.write(3, b'x' * 100)",
        "bytes: 8192 at most is right",
    ),
    "answers_unasked": (
        (
            "import struct\ndef signal(m):\n    for _ in range(10**6):\n"
            "        os.write(3, struct.pack('!I', 1) + b'x')\n"
        ),
        "to its channel",
    ),
    "keeps_a_thread": (
        (
            "import threading\ndef spin():\n    while True:\n        pass\n"
            "def signal(m): threading.Thread(target=spin, daemon=True).start(); return Signal(0.0, '')"
        ),
        "can't start new thread",
    ),
    "recurs": ("def signal(m): return signal(m)", "RecursionError"),
    "overflows_its_stack": (
        "sys.setrecursionlimit(10**9)\ndef signal(m): return eval('signal(m)', {'signal': signal, 'm': m})",
        "",
    ),
    "catches_everything": (
        (
            "def signal(m):\n    while True:\n        try:\n            while True: time.sleep(0.01)\n"
            "        except BaseException: pass"
        ),
        "did not answer within 1 s",
    ),
    "breaks_modules": (
        (
            "import numpy, msgspec\ndef signal(m):\n"
            "    msgspec.msgpack.encode = numpy.tanh = None\n    sys.modules.clear()\n    1 / 0"
        ),
        "object is not callable",
    ),
    "reads_the_host": (
        "def signal(m): return Signal(0.0, open(f'/proc/{os.getppid()}/environ').read())",
        "PermissionError",
    ),
    "reads_the_environment": ("def signal(m): return Signal(0.0, os.environ['TOLD_TO_NOBODY'])", "KeyError"),
    "reads_passwords": ("def signal(m): return Signal(0.0, open('/etc/passwd').read())", "PermissionError"),
    "writes": ("def signal(m): open('/tmp/written_by_a_policy', 'w')", "PermissionError"),
    "connects": (
        "import socket\ndef signal(m): socket.create_connection(('127.0.0.1', 1))",
        "PermissionError",
    ),
    "kills_its_parent": ("def signal(m): os.kill(os.getppid(), 9)", "PermissionError"),
    "limits_its_parent": (
        "import resource\ndef signal(m): resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (9, 9))",
        "PermissionError",
    ),
    "slows_its_parent": (
        "def signal(m): os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
        "PermissionError",
    ),
    "lets_the_kernel_signal_its_parent": (
        "import fcntl\ndef signal(m): fcntl.fcntl(3, fcntl.F_SETOWN, os.getppid())",
        "PermissionError",
    ),
    "cuts_its_tether": (
        (
            "import ctypes\ndef signal(m):\n"
            "    if ctypes.CDLL(None, use_errno=True).prctl(1, 0, 0, 0, 0) < 0:\n"
            "        raise OSError(ctypes.get_errno(), 'prctl')"
        ),
        "PermissionError: [Errno 1] prctl",
    ),
    "lets_all_write_its_file": (_asks("fchmodat2", "452, -100, FILE, 0o777, 0"), "] fchmodat2"),
    "changes_times_of_files": (_asks("utimensat", "UTIMENSAT, -100, FILE, None, 0"), "PermissionError"),
    "marks_its_file": (_asks("ioctl", "IOCTL, os.open(FILE, 0), 0x40086602, ONE"), "PermissionError"),
    "notes_something_on_its_file": (
        "def signal(m): os.setxattr(__file__, 'user.a', b'b')",
        "PermissionError",
    ),
    "locks_a_file": (
        "import fcntl\ndef signal(m): fcntl.flock(os.open(__file__, 0), fcntl.LOCK_EX)",
        "PermissionError",
    ),
    "holds_up_who_writes_its_file": (
        "import fcntl\ndef signal(m): fcntl.fcntl(os.open(__file__, 0), fcntl.F_SETLEASE, fcntl.F_RDLCK)",
        "PermissionError",
    ),
    "fills_the_disk": ("def signal(m): os.posix_fallocate(1, 0, 1 << 15)", "PermissionError"),
    "takes_pipes": ("def signal(m): os.pipe()", "PermissionError"),
    "nests": (
        (
            "import struct\nDEEP = bytes([0x82, 0xA4]) + b'type' + bytes([0xA9]) + b'Signalled' + b'\\xa1z'\n"
            "DEEP += bytes([0x91]) * 8000 + bytes([0xC0])\n"
            "def signal(m):\n    os.write(3, struct.pack('!I', len(DEEP)) + DEEP)\n    time.sleep(9)"
        ),
        "it wrote to its channel what is no answer: maximum recursion depth",
    ),
    "bends_its_own_process": (
        (
            "import libs.policies.child as child\nchild.described_fault = lambda said: ''\nsignal = None\n"
            "def Policy(**said):\n    import bookrunner\n"
            "    return bookrunner.Policy(**{**said, 'valid_s': float('nan')})"
        ),
        "its valid_s is nan: over 0 and at most",
    ),
    "ends_by_a_signal_without_a_name": ("def signal(m): os.kill(os.getpid(), 40)", "was ended by signal 40"),
    "keeps_a_core_to_itself": (_asks("prctl", "PRCTL, 62, 1, 0, 0, 0"), "PermissionError: [Errno 1] prctl"),
    "takes_timers": (_asks("timer_create", "TIMER, 0, None, ONE"), "PermissionError"),
    "leaves_its_session": ("def signal(m): os.setsid()", "PermissionError"),
    "fails_at_import": ("import no_such_module\nsignal = None", "ModuleNotFoundError"),
    "is_no_python": ("def signal(m:", "SyntaxError"),
    "hangs_at_import": ("while True: pass\nsignal = None", "did not answer within 1 s"),
    "crashes": ("import ctypes\ndef signal(m): ctypes.string_at(0)", "its process was ended by SIGSEGV"),
}


def write(folder: Path, name: str, code: str, *, on_tops: bool = False) -> None:
    """Let the file of a policy be another one, at once."""
    draft = folder / f"{name}.draft"
    draft.write_text(HEAD + code + TAIL.format(on_tops=on_tops))
    draft.replace(folder / f"{name}.py")


class Seen:
    """What is on the registry and the signals, and every record there was."""

    def __init__(self) -> None:
        self.registry: View[PolicyRegistered] = View(POLICIES_REGISTRY)
        self.signals: View[PolicySignalled] = View(POLICIES_SIGNALS)
        self.records: list[Record] = []
        self.arrived_ns: list[int] = []  # of each record, when it was read

    def entry(self, policy_id: str) -> PolicyRegistered | None:
        return self.registry.items.get(policy_id.encode())

    def is_in(self, policy_id: str, state: PolicyState) -> bool:
        entry = self.entry(policy_id)
        return entry is not None and entry.state is state

    def signals_of(self, policy_id: str) -> list[PolicySignalled]:
        told = [each.event for each in self.records if isinstance(each.event, PolicySignalled)]
        return [each for each in told if each.policy_id == policy_id]


class World:
    """A book and minutes of a venue that go on, and what hosts say."""

    def __init__(self, kafka: str) -> None:
        self.settings = ServiceSettings(kafka_bootstrap_servers=kafka)
        self.seen = Seen()
        self.publisher = Publisher(self.settings, compress=False)
        self._minute = time.time_ns() // MINUTE_NS * MINUTE_NS - 10 * MINUTE_NS
        self._seq = 1

    async def minute(self) -> None:
        """Close another minute."""
        self._minute += MINUTE_NS
        candle = a_candle("1m", self._minute, 30_000.0 + self._seq)
        await self.publisher.send(L2_CANDLES, candle_key(candle), candle, time.time_ns())

    async def keep_on(self) -> None:
        """Tell the book again and again, each time another."""
        epoch = time.time_ns() // NS_PER_MS
        while True:
            now = time.time_ns()
            self._seq += 1
            top = a_book_top(epoch=epoch, seq=self._seq, received_ts=now, venue_ts=now)
            health = a_book_health(epoch=epoch, seq=self._seq, ts=now, since_ts=now)
            await self.publisher.send(L2_BOOK_TOPS, KEY, top, now)
            await self.publisher.send(L2_BOOK_HEALTH, KEY, health, now)
            await asyncio.sleep(0.2)

    async def listen(self) -> None:
        async def refuse(undecodable: Undecodable) -> None:
            raise AssertionError(undecodable)

        seen = self.seen
        async for records in follow(self.settings, [seen.registry, seen.signals], on_undecodable=refuse):
            seen.records += records
            seen.arrived_ns += [time.time_ns()] * len(records)


@asynccontextmanager
async def world(kafka: str) -> AsyncIterator[World]:
    """Let a market go on, and listen."""
    found = World(kafka)
    topics = (L2_BOOK_TOPS, L2_BOOK_HEALTH, L2_CANDLES, L2_CANDLES_DAILY, POLICIES_REGISTRY, POLICIES_SIGNALS)
    await create_topics(found.settings, topics)
    async with found.publisher:
        for _ in range(5):
            await found.minute()
        tasks = [asyncio.create_task(work) for work in (found.keep_on(), found.listen())]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


class Host:
    """A process that hosts policies."""

    def __init__(self, kafka: str, folder: Path, log: Path, **environment: str) -> None:
        self._log = log
        self._environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "POLICIES_DIR": str(folder),
            "TOLD_TO_NOBODY": "a secret of the host",
            "POLICIES_STARTS_PER_S": "20",  # tests host many at once
            **environment,
        }

    def start(self) -> Self:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "services.policies"]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        return self

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def descendants(self) -> list[int]:
        """Return the host's zygote and the processes of policies."""
        return descendants(self.process.pid)


@contextmanager
def host(kafka: str, folder: Path, **environment: str) -> Iterator[Host]:
    """Run a host; at the end none is left."""
    found = Host(kafka, folder, folder / "host.log", **environment).start()
    try:
        yield found
    finally:
        found.kill()


def descendants(pid: int) -> list[int]:
    """Return all processes under one, by what the kernel says of each one's parent."""
    parents: dict[int, int] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            parents[int(place.name)] = int(fields[1])
    found = [pid]
    for each in found:  # grows
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def alive(pids: list[int]) -> list[int]:
    """Return those that still run; one that only waits to be waited for does not."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.append(pid)
    return found
