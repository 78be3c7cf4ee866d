"""``python -m libs.policies.zygote FD``: have everything imported, and fork the policies' children.

A fork shares the imported pages, so that a child costs a few MB and some milliseconds. This process runs no
policy and knows no secret: its environment is what the host gives it. It ends with the host, and its children
with it.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

import bookrunner  # noqa: F401 -- so that no child needs to import it
from broker.tether import die_with_parent
from libs.policies.child import run
from libs.policies.wire import LENGTH, Ended, Fork, Forked, Kill, framed

if TYPE_CHECKING:
    from types import FrameType

_orders: Final[msgspec.msgpack.Decoder[Fork | Kill]] = msgspec.msgpack.Decoder(Fork | Kill)
GROUP_NICE: Final = 5  # of all policies: a quarter of the CPUs is theirs where another session wants all
_FILES: Final = 2  # with each Fork: the child's channel, and its output


class Zygote:
    """Does what its host orders, one after the other."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._unread = bytearray()
        self._files: list[int] = []

    def serve(self, woken: int) -> None:
        """Serve until the host closes the control socket; then kill what still runs."""
        while True:
            control = self._control.fileno()
            readable, _, _ = select.select([control, woken], [], [])
            if woken in readable:
                os.read(woken, 4096)
            self._reap()
            if control in readable and not self._receive():
                break
        for pid in self._children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _receive(self) -> bool:
        raw, files, _, _ = socket.recv_fds(self._control, 1 << 16, 64)
        self._unread += raw
        self._files += files
        while len(self._unread) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                break
            order = _orders.decode(self._unread[LENGTH.size : end])
            del self._unread[:end]
            self._obey(order)
        return bool(raw)

    def _obey(self, order: Fork | Kill) -> None:
        if isinstance(order, Kill):
            if order.pid in self._children:  # else it is waited for, and its number may be another's
                os.kill(order.pid, order.number)
            return
        channel, output = self._files[:_FILES]
        del self._files[:_FILES]
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                run(channel, output, order, own)
            finally:
                os._exit(1)  # a child never goes on as a zygote
        os.close(channel)
        os.close(output)
        self._children.add(pid)
        self._control.sendall(framed(Forked(token=order.token, pid=pid)))

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            self._children.discard(pid)
            self._control.sendall(framed(Ended(pid=pid, status=status)))


def _share_one_turn() -> None:
    """Let all policies be one session, and a nice one.

    Where the kernel groups processes by session (CONFIG_SCHED_AUTOGROUP), each session has the same share of
    the CPUs, and `nice` counts within it alone: as many sessions as policies would starve all others.

    References
    ----------
    sched(7), "The autogroup feature".
    """
    os.setsid()
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(GROUP_NICE))


def main() -> None:
    """Run until the host is gone."""
    die_with_parent(signal.SIGKILL)
    _share_one_turn()
    control = socket.socket(fileno=int(sys.argv[1]))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """Let the pipe tell of it."""

    signal.signal(signal.SIGCHLD, ignore)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the host's to follow
    signal.set_wakeup_fd(writing)
    gc.collect()
    gc.freeze()  # so that no collection in a child copies the pages
    with suppress(BrokenPipeError, ConnectionResetError):
        Zygote(control).serve(reading)


if __name__ == "__main__":
    main()
