"""The process of one policy, as its host sees it: asked one thing at a time, watched, and ended.

Whatever the policy does, its host is told one of three things within the deadline: an answer, what it raised,
or how it broke the sandbox's rules; after either of the last two nothing more is asked of it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from libs.common.printable import printable_lines
from libs.policies.described import described_fault
from libs.policies.wire import (
    DUMP,
    LENGTH,
    MOST_ANSWER,
    MOST_FAULT,
    MOST_REASON,
    Evaluate,
    Failed,
    Load,
    Loaded,
    Signalled,
    framed,
    shortened,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import BinaryIO

    from libs.policies.described import Described
    from libs.policies.loading import Source
    from libs.policies.wire import Answer, Request

DUMP_S: Final = 0.2  # how long a process that is late has to write where it is
CLOSED_S: Final = 0.5  # between the end of a process's channel and the word of its death
END_S: Final = 10.0  # how long a killed process may take to be gone
MOST_STARVED: Final = 10  # deadlines that may pass in all while a process waits for a CPU
TAIL: Final = 4096  # bytes of output that are told at most
LEAST_TAIL: Final = 800  # bytes of it that are told beside a long traceback

_answers: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Loaded | Signalled | Failed)


class BrokenPolicyError(Exception):
    """A policy broke a rule; the first line says how, the others where, or what the process wrote last."""

    @property
    def fault(self) -> str:
        """Both."""
        return str(self)


class PolicyProcess:
    """One child of the zygote; `broken` is done, with what it did, once it can be asked nothing more.

    Parameters
    ----------
    output
        What the process writes its output to; it is cut after each answer.
    kill
        Sends a signal to the process with this number, if it still lives.
    """

    def __init__(self, pid: int, output: BinaryIO, kill: Callable[[int, int], None]) -> None:
        self.pid = pid
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._output = output
        self._kill = kill
        self._channel = _Channel(self._break, self._closed)
        self._ending = False

    async def connect(self, channel: socket.socket) -> None:
        """Take the host's end of the process's channel."""
        await asyncio.get_running_loop().connect_accepted_socket(lambda: self._channel, channel)

    async def load(
        self, source: Source, deadline_s: float, *, clock_s: int = 0, watched: bool = False
    ) -> Described:
        """Let it load a policy, and return what the policy says of itself.

        Parameters
        ----------
        clock_s
            By how much its clock is moved.
        watched
            Whether it may open no file but code when it is asked.

        Raises
        ------
        BrokenPolicyError
            If it raised, took longer, or did what no policy may do.
        """
        load = Load(
            nonce=secrets.randbits(63),
            path=str(source.path),
            source=b"" if source.module else source.text,
            module=source.module,
            attribute=source.attribute,
            clock_s=clock_s,
            watched=watched,
        )
        answer = await self._ask(load, deadline_s, "while it was loaded")
        if not isinstance(answer, Loaded):
            raise self._break("it did not say what it is")
        if wrong := described_fault(answer.policy):  # its process looked, too, and may have been bent
            raise self._break(wrong)
        return answer.policy

    async def evaluate(self, market: bytes, deadline_s: float) -> tuple[float, str]:
        """Return value and reason of its signal on an encoded `Market` without parameters.

        Raises
        ------
        BrokenPolicyError
            See `load`; also if the value is not within -1 and 1.
        """
        request = Evaluate(nonce=secrets.randbits(63), market=msgspec.Raw(market))
        answer = await self._ask(request, deadline_s, "when it was asked for a signal")
        if not isinstance(answer, Signalled):
            raise self._break("it answered something else than a signal")
        if not -1.0 <= answer.value <= 1.0:  # a NaN is in no range
            raise self._break(f"the value of its signal is {answer.value}: a number from -1 to 1 is right")
        return answer.value, answer.reason[:MOST_REASON]

    async def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self._ending = True
        self._kill(self.pid, signal.SIGKILL)
        async with asyncio.timeout(END_S):
            await self._gone.wait()

    def died(self, status: int) -> None:
        """Take note that it is gone; `status` as of waitpid."""
        code = os.waitstatus_to_exitcode(status)
        how = f"was ended by {_name_of(-code)}" if code < 0 else f"exited with status {code}"
        self._break(f"its process {how}")
        self._gone.set()
        self._channel.close()
        self._output.close()

    def peak_bytes(self) -> int:
        """Return the most memory that it has had resident, pages shared with others included; 0: unknown."""
        with suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return 0

    async def _ask(self, request: Request, deadline_s: float, when: str) -> Answer:
        if self.broken.done():
            raise BrokenPolicyError(self.broken.result())
        waiting = self._channel.ask(framed(request))
        raw = await self._within(waiting, deadline_s, when)
        try:
            answer = _answers.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._break(f"it wrote to its channel what is no answer: {error}") from error
        if answer.nonce != request.nonce:
            raise self._break("it wrote an answer to its channel that nobody had asked for")
        if isinstance(answer, Failed):
            raise self._break(answer.fault)
        self._cut_output()
        return answer

    async def _within(self, waiting: asyncio.Future[bytes], deadline_s: float, when: str) -> bytes:
        """Return the answer; what it waits for a CPU does not count, up to `MOST_STARVED` deadlines."""
        begun_s, before_s = monotonic(), self._starved_s()
        while True:
            elapsed_s = monotonic() - begun_s
            left_s = deadline_s - (elapsed_s - (self._starved_s() - before_s))
            if left_s <= 0 or elapsed_s > MOST_STARVED * deadline_s:
                break
            either: set[asyncio.Future[Any]] = {waiting, self.broken}
            await asyncio.wait(either, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            if self.broken.done():
                raise BrokenPolicyError(self.broken.result())
        self._kill(self.pid, DUMP)
        await asyncio.wait([self.broken], timeout=DUMP_S)
        raise self._break(f"it did not answer within {deadline_s:g} s {when}")

    def _starved_s(self) -> float:
        """Return for how long it was ready to run and had no CPU, where the kernel tells."""
        try:
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError):
            return 0.0

    def _closed(self) -> None:
        """Let the word of its death say more, if it comes."""
        loop = asyncio.get_running_loop()
        loop.call_later(CLOSED_S, lambda: self._break("it closed its channel"))

    def _break(self, what: str) -> BrokenPolicyError:
        """Kill the process, if it is the first time; return what it did first."""
        if not self.broken.done():
            written = "" if self._ending else self._tail()
            what = shortened(what, MOST_FAULT - min(len(written.encode()), LEAST_TAIL))
            if written:
                what += "\nits output ended so:\n"
                what += written.encode()[-(MOST_FAULT - len(what.encode())) :].decode("utf-8", "ignore")
            fault = what
            self.broken.set_result(printable_lines(fault))
            self._kill(self.pid, signal.SIGKILL)
        return BrokenPolicyError(self.broken.result())

    def _tail(self) -> str:
        size = os.fstat(self._output.fileno()).st_size
        raw = os.pread(self._output.fileno(), TAIL, max(0, size - TAIL))
        return raw.decode("utf-8", "replace").strip()

    def _cut_output(self) -> None:
        if os.fstat(self._output.fileno()).st_size:
            os.ftruncate(self._output.fileno(), 0)


def _name_of(number: int) -> str:
    """Return the name of a signal; most of the real-time ones have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Channel(asyncio.Protocol):
    """Bytes from the process: one answer to each request, and nothing else."""

    def __init__(self, on_fault: Callable[[str], object], on_close: Callable[[], None]) -> None:
        self._on_fault = on_fault
        self._on_close = on_close
        self._unread = bytearray()
        self._waiting: asyncio.Future[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def ask(self, raw: bytes) -> asyncio.Future[bytes]:
        assert self._transport is not None  # noqa: S101 -- it is connected before anything is asked
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's has none of asyncio's types

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if self._waiting is None or self._waiting.done():
            self._refuse("it wrote to its channel though nothing was asked")
        elif len(self._unread) >= LENGTH.size:
            length = LENGTH.unpack_from(self._unread)[0]
            end = LENGTH.size + length
            if length > MOST_ANSWER:
                self._refuse(f"it answered {length} bytes: {MOST_ANSWER} at most is right")
            elif len(self._unread) > end:
                self._refuse("it wrote more to its channel than one answer")
            elif len(self._unread) == end:
                self._waiting.set_result(bytes(self._unread[LENGTH.size :]))
                self._unread.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._on_close()

    def _refuse(self, what: str) -> None:
        self.close()
        self._unread.clear()
        self._on_fault(what)
