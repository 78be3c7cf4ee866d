"""Where policies run: a zygote, which has everything imported, and forks one confined process per policy."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from libs.policies.process import PolicyProcess
from libs.policies.wire import LENGTH, ONE_THREAD, Ended, Fork, Forked, Kill, framed

if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO

MIB: Final = 1024 * 1024
FORK_S: Final = 30.0  # after which a zygote that forked nothing, or did not end, does not work

_words: Final[msgspec.msgpack.Decoder[Forked | Ended]] = msgspec.msgpack.Decoder(Forked | Ended)


class ZygoteEndedError(Exception):
    """The process that forks the policies' processes ended, and they with it."""


class Sandbox:
    """Starts a process per policy; a context manager, at whose end none of them is left.

    `failed` is done when it can start no more.

    Parameters
    ----------
    memory_mib
        What a policy may take beyond Python, numpy and Bookrunner.
    hash_seed
        Of Python in those processes: the order of a set of texts follows from it.
    """

    def __init__(self, *, memory_mib: int = 512, hash_seed: int = 0) -> None:
        self._memory_bytes = memory_mib * MIB
        self._hash_seed = hash_seed
        self._tokens = count()
        self._forking: dict[int, tuple[asyncio.Future[PolicyProcess], BinaryIO]] = {}
        self._processes: dict[int, PolicyProcess] = {}
        self._unread = bytearray()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[None] = loop.create_future()
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)  # noqa: FBT003 -- as sockets have it
        with theirs:
            self._zygote = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "libs.policies.zygote", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=self._environment(),
            )
        loop.add_reader(self._control.fileno(), self._heard)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_hearing()
        self._control.close()  # on which the zygote kills its children, and ends
        self.failed.cancel()
        try:
            async with asyncio.timeout(FORK_S):
                await self._zygote.wait()
        finally:
            with suppress(ProcessLookupError):
                self._zygote.kill()
            self._forget(0)

    @property
    def pids(self) -> tuple[int, ...]:
        """The policies' processes that live now."""
        return tuple(self._processes)

    async def start(self, folder: Path | None = None) -> PolicyProcess:
        """Return a new process, without a policy yet.

        Parameters
        ----------
        folder
            What it may read beside Python, absolute: where the policy's file stands.

        Raises
        ------
        ZygoteEndedError
            If there is nobody to fork it.
        """
        if self.failed.done():
            raise ZygoteEndedError("the zygote has ended")
        token = next(self._tokens)
        forked: asyncio.Future[PolicyProcess] = asyncio.get_running_loop().create_future()
        ours, theirs = socket.socketpair()
        output = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 -- closed when the process is gone
        fcntl.fcntl(output, fcntl.F_SETFL, os.O_APPEND)  # it is cut while the process has it open
        folders = () if folder is None else (str(folder),)
        order = Fork(token=token, memory_bytes=self._memory_bytes, folders=folders)
        self._forking[token] = forked, output
        with theirs:
            socket.send_fds(self._control, [framed(order)], [theirs.fileno(), output.fileno()])
        async with asyncio.timeout(FORK_S):
            process = await forked
        await process.connect(ours)
        return process

    def _kill(self, pid: int, number: int) -> None:
        """Let the zygote send a signal to a process that it has not waited for."""
        if pid in self._processes and not self.failed.done():
            self._control.sendall(framed(Kill(pid=pid, number=number)))

    def _environment(self) -> dict[str, str]:
        """Return all that a policy may know of this process's environment."""
        own, here = str(Path(__file__).parents[2]), str(Path.cwd())
        places = dict.fromkeys([own, *(place for place in sys.path if place not in {"", here})])
        return {
            "PYTHONPATH": os.pathsep.join(places),
            "PYTHONSAFEPATH": "1",  # where this process happens to stand is nothing that policies may read
            "PYTHONHASHSEED": str(self._hash_seed),
            **ONE_THREAD,
        }

    def _stop_hearing(self) -> None:
        if self._control.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._control.fileno())

    def _heard(self) -> None:
        try:
            raw = self._control.recv(1 << 16)
        except ConnectionResetError:
            raw = b""
        if not raw:
            self._lost()
        self._unread += raw
        while len(self._unread) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                break
            word = _words.decode(self._unread[LENGTH.size : end])
            del self._unread[:end]
            self._note(word)

    def _note(self, word: Forked | Ended) -> None:
        if isinstance(word, Ended):
            if (process := self._processes.pop(word.pid, None)) is not None:
                process.died(word.status)
            return
        forked, output = self._forking.pop(word.token)
        process = self._processes[word.pid] = PolicyProcess(word.pid, output, self._kill)
        if forked.done():  # nobody waits for it any more
            self._kill(word.pid, signal.SIGKILL)
        else:
            forked.set_result(process)

    def _lost(self) -> None:
        self._stop_hearing()
        error = ZygoteEndedError("the zygote has ended, and with it all policies' processes")
        self.failed.set_exception(error)
        self.failed.exception()  # raised by who awaits it: unawaited, it needs no second complaint
        for forked, _ in self._forking.values():
            if not forked.done():
                forked.set_exception(error)
        self._forget(signal.SIGKILL)

    def _forget(self, status: int) -> None:
        while self._processes:
            self._processes.popitem()[1].died(status)
        while self._forking:
            self._forking.popitem()[1][1].close()
