"""What ends a command early: one line on stderr and an exit code."""

from __future__ import annotations

from typing import Final

FAILED: Final = 1  # the world is not as it must be
USAGE: Final = 2  # the command line is not as it must be
INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell reports it


class CommandError(Exception):
    """A failure that the person at the terminal can mend; its text says how."""

    exit_code: int = FAILED


class UsageError(CommandError):
    """The command line names something that does not exist, or cannot be read."""

    exit_code = USAGE
