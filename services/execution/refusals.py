"""Why this service refuses a command; pure."""

from __future__ import annotations

from typing import TypeAlias

from libs.common.command_rules import rejected
from libs.common.events import (
    CancelExecution,
    CommandRejected,
    Fault,
    PlanAndExecute,
    Refusal,
    SimulateExecution,
    SubmitPaperOrder,
    VerifyExecution,
)

Request: TypeAlias = PlanAndExecute | SimulateExecution | SubmitPaperOrder | CancelExecution | VerifyExecution


def invalid(command: Request, now: int, field: str, wrong: str, detail: str = "") -> CommandRejected:
    """Refuse a command for what is wrong with one of its fields."""
    fault = Fault(field=field, message=wrong)
    return rejected(command, command.symbol, Refusal.INVALID, now, fault, detail=detail)


def unknown(command: Request, now: int, field: str, detail: str) -> CommandRejected:
    """Refuse a command whose field names what does not exist."""
    fault = Fault(field=field, message=detail.rstrip("."))
    return rejected(command, command.symbol, Refusal.UNKNOWN, now, fault, detail=detail)


def unlisted(command: Request, now: int) -> CommandRejected:
    """Refuse a command for a symbol that nobody lists."""
    return unknown(command, now, "symbol", f"No venue lists {command.symbol}.")


def unavailable(command: Request, now: int, detail: str) -> CommandRejected:
    """Refuse a command for what it needs and is not there now."""
    return rejected(command, command.symbol, Refusal.UNAVAILABLE, now, detail=detail)
