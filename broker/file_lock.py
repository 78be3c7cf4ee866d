"""Locks that say who holds them: an flock on a file, which is free again however its holder ended."""

import fcntl
import os
import time
from pathlib import Path

GLANCE_S = 1.0  # who looks whether a lock is held holds it for a moment
_RETRY_S = 0.05


class HeldError(Exception):
    """Somebody else holds the lock; the text is what that one wrote into the file."""


def take(path: Path, handover_s: float) -> int:
    """
    Return the descriptor of an open file whose lock is ours until the last copy of it is closed.

    Parameters
    ----------
    handover_s
        How long the former holder may take to be gone, seconds; who only looks holds it for a moment too.

    Raises
    ------
    HeldError
        If it is still held then.
    OSError
        If the file cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + handover_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)  # what the former holder wrote is not true of this one
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(_RETRY_S)
                continue
            owner = os.pread(descriptor, 1000, 0).decode(errors="replace") or "unknown"
            os.close(descriptor)
            raise HeldError(owner) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def sign(descriptor: int, text: str) -> None:
    """Write who holds the lock; until then its file is empty."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def holder(path: Path) -> str | None:
    """Return what the holder wrote; None if nobody holds the lock, or there is no such file.

    Who has just taken the lock is given a moment to write; who does not holds it as "".
    """
    deadline = time.monotonic() + GLANCE_S
    while (text := _look(path)) == "" and time.monotonic() < deadline:
        time.sleep(_RETRY_S)
    return text


def _look(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 1000, 0).decode(errors="replace")
    else:
        return None
    finally:
        os.close(descriptor)
