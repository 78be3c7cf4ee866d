"""What the host, its zygote and a policy's child say to each other: frames of MessagePack; pure."""

from __future__ import annotations

import signal
import struct
from typing import Final, TypeAlias

import msgspec

from libs.policies.described import Described  # noqa: TC001 -- this module's annotations are read at run time

DUMP: Final = signal.SIGUSR1  # on which a child writes its stacks to its output
LENGTH: Final = struct.Struct("!I")
MOST_ANSWER: Final = 8 * 1024  # bytes of one answer of a child
MOST_REASON: Final = 500  # characters
MOST_FAULT: Final = 4_000  # bytes of what a policy did, with a traceback
ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Load(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Run the source of a policy, or import it, and say what it is."""

    nonce: int
    path: str  # where the source stands, for tracebacks; its folder may be imported from
    source: bytes  # empty: import `module`
    module: str = ""
    attribute: str = "POLICY"
    clock_s: int = 0  # by how much its clock is moved; only when it is checked
    watched: bool = False  # it may open no file but code when it is asked; only when it is checked


class Evaluate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Say what the policy wants of a market."""

    nonce: int
    market: msgspec.Raw  # a `Market`, without the policy's parameters


class Loaded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The policy can be asked."""

    nonce: int
    policy: Described


class Signalled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What it wants."""

    nonce: int
    value: float
    reason: str


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """It raised, or returned what is no signal."""

    nonce: int
    fault: str  # what it did in one line, and under it the traceback


Request: TypeAlias = Load | Evaluate
Answer: TypeAlias = Loaded | Signalled | Failed


class Fork(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the zygote, with the child's channel and output file: fork a child."""

    token: int
    memory_bytes: int  # beyond what a child has at its start
    folders: tuple[str, ...]  # that it may read beside Python's own


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the zygote: send a signal to a child, if it still lives."""

    pid: int
    number: int


class Forked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the zygote."""

    token: int
    pid: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """From the zygote: a child is gone, and waited for."""

    pid: int
    status: int  # as of waitpid


def framed(message: msgspec.Struct) -> bytes:
    """Return a message behind its length."""
    raw = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(raw)) + raw


def shortened(text: str, most: int = MOST_FAULT) -> str:
    """Return a text whose first line stays and whose end counts, in `most` bytes of UTF-8 at most."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= most:
        return raw.decode()
    first = raw.partition(b"\n")[0][: most // 4]
    return b"\n[...]\n".join([first, raw[-(most - len(first) - 8) :]]).decode("utf-8", "ignore")
