"""Typed refusals of commands; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.events import CommandRejected

if TYPE_CHECKING:
    from libs.common.events import Command, Refusal


def refused(command: Command, key: str, refusal: Refusal, detail: str, now: int) -> CommandRejected:
    """Return the refusal of a command; nothing was done."""
    return CommandRejected(
        command_id=command.command_id,
        command=type(command).__name__,
        key=key,
        refusal=refusal,
        detail=detail,
        ts=now,
    )
