"""`bookrunner policy`: write a policy of your own, check it, host it, and see what becomes of all of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from libs.cli.errors import FAILED, CommandError, UsageError
from libs.cli.policy_list import described, show_policies, what_is_registered
from libs.cli.policy_template import name_fault, policy_source, source_of_test
from libs.cli.screen import screen
from libs.cli.work import run_on_kafka, settings_here

FOLDER: Final = "POLICIES_DIR"
DEFAULT: Final = Path("policies")

Folder: TypeAlias = Annotated[
    Path | None, typer.Option(help=f"Where policies stand; default: {FOLDER}, else ./{DEFAULT}.")
]

app = typer.Typer(help="Policies of your own: write, check, host and list them.", no_args_is_help=True)


@app.command("new")
def new_command(
    *,
    name: Annotated[str, typer.Argument(help="Like my_momentum.")],
    folder: Folder = None,
) -> None:
    """Write a small policy that trades, and its test."""
    if fault := name_fault(name):
        raise UsageError(f"{name!r} cannot be a policy: {fault}")
    there = folder_of(folder)
    files = {there / f"{name}.py": policy_source(name), there / f"test_{name}.py": source_of_test(name)}
    if taken := [file for file in files if file.exists() or file.is_symlink()]:
        raise CommandError(f"{taken[0]} is there already: take another name, or remove it")
    try:
        there.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            with file.open("x", encoding="utf-8") as writing:
                writing.write(text)
    except OSError as error:
        raise CommandError(
            f"{there} cannot be written ({error.strerror}): name another --folder, or correct its permissions"
        ) from error
    where = "" if folder is None else f" --folder {folder}"
    console = screen()
    for file in files:
        console.print(f"written: {file}", soft_wrap=True)
    console.print(f"next:    bookrunner policy check {name}{where}", soft_wrap=True)
    console.print(f"         bookrunner policy run{where}", soft_wrap=True)


@app.command("check")
def check_command(
    *,
    name: Annotated[str, typer.Argument(help="The policy's: its file without .py.")],
    folder: Folder = None,
) -> None:
    """Find out whether a policy keeps its contract, on made markets in the sandbox that hosts it."""
    from libs.cli.policy_check import check  # noqa: PLC0415 -- the sandbox is needed here alone

    if not check(_file_of(folder_of(folder), name), name, screen()):
        raise typer.Exit(FAILED)


@app.command("list")
def list_command(
    *,
    name: Annotated[str | None, typer.Argument(help="All that is told of this one, with its fault.")] = None,
) -> None:
    """List the registered policies: version, source, host, state, and the last signal on each symbol."""
    settings = settings_here()
    registered = run_on_kafka(settings, what_is_registered(settings))
    if not registered.policies:
        raise CommandError("no policy is registered: is execution running? start it with `make run`")
    if name is None:
        show_policies(registered, screen(), time.time_ns())
        return
    if name.encode() not in registered.policies:
        there = ", ".join(key.decode("utf-8", "backslashreplace") for key in registered.policies)
        raise CommandError(f"no policy is called {name!r}; there are: {there}")
    screen().print(described(registered, name, time.time_ns()), soft_wrap=True)


@app.command("run")
def run_command(
    *,
    names: Annotated[list[str] | None, typer.Argument(help="Only these; else all of the folder.")] = None,
    folder: Folder = None,
) -> None:
    """Host policies here on the running system until Ctrl-C, and say what becomes of them."""
    from libs.cli.policy_run import run  # noqa: PLC0415 -- needed here alone

    there = folder_of(folder).absolute()
    files = [_file_of(there, name) for name in names or ()]
    settings = settings_here()
    settings.export()
    code = run_on_kafka(settings, run(settings, there, files, screen()))
    if code:
        raise typer.Exit(code)


def folder_of(named: Path | None) -> Path:
    """Return the folder of policies: as named, else as the environment says, else the default."""
    return named or Path(os.environ.get(FOLDER) or DEFAULT)


def _file_of(folder: Path, name: str) -> Path:
    file = folder / f"{name.removesuffix('.py')}.py"
    if not file.is_file():
        there = sorted(each.stem for each in folder.glob("*.py") if not each.name.startswith(("_", "test_")))
        listed = f"; there are: {', '.join(there)}" if there else ""
        raise UsageError(
            f"there is no {file}{listed}: `bookrunner policy new` writes one, --folder names another place"
        )
    return file
