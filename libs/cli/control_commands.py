"""`bookrunner skip`, `halt`, `resume` and `limits`: what changes a running system."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from libs.cli import controls
from libs.cli.screen import screen
from libs.cli.skip import place_of, skip
from libs.cli.work import run_on_kafka, settings_here
from libs.common.events import HaltTrading, ResumeTrading, SetLimits


def skip_command(
    *,
    service: Annotated[str, typer.Argument(help="That stands before the message: router.")],
    place: Annotated[str, typer.Argument(help="Its place, as `doctor` says: venues.scores.v1/3/120.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the log later.")],
    all_before: Annotated[
        bool, typer.Option("--all-before", help="Also all that stand before it unhandled.")
    ] = False,
) -> None:
    """Let a service go on without a message that it cannot handle."""
    named = place_of(place)
    settings = settings_here()
    screen().print(
        run_on_kafka(settings, skip(settings, service, named, reason, all_before=all_before)), soft_wrap=True
    )


def halt_command(
    *,
    scope: Annotated[str, typer.Argument(help="all, symbol:BTC-USDT, policy:p_sma or venue:okx.")] = "all",
    reason: Annotated[str, typer.Option(help="Why, for whoever resumes it.")],
) -> None:
    """Send no order of a scope from now on, and cancel what is open of it."""
    name = controls.identifier(time.time_ns(), "halt")
    command = HaltTrading(command_id=name, scope=scope, reason=reason, by=controls.BY)
    _control(command)


def resume_command(
    *,
    scope: Annotated[str, typer.Argument(help="The scope that was halted.")] = "all",
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")] = "resumed",
) -> None:
    """End the halt of a scope; halts of other scopes stand."""
    name = controls.identifier(time.time_ns(), "resume")
    command = ResumeTrading(command_id=name, scope=scope, reason=reason, by=controls.BY)
    _control(command)


def limits_command(
    *,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="NAME=VALUE, like daily_loss=.03; 0 is off. Repeatable.")
    ] = None,
    scope: Annotated[str, typer.Option(help="Whose limits are set: all, or symbol:BTC-USDT.")] = "all",
) -> None:
    """Show every trading limit with its use, and what is halted; or set some."""
    if changes:
        name = controls.identifier(time.time_ns(), "limits")
        limits = controls.limits_named(changes)
        _control(SetLimits(command_id=name, scope=scope, limits=limits, by=controls.BY))
    settings = settings_here()
    run_on_kafka(settings, controls.show_limits(settings, screen()))


def _control(command: controls.ControlCommand) -> None:
    settings = settings_here()
    answer = run_on_kafka(settings, controls.control(settings, command))
    screen().print(controls.halts_table(answer.halts))


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("skip")(skip_command)
    app.command("halt")(halt_command)
    app.command("resume")(resume_command)
    app.command("limits")(limits_command)
