"""``python -m backtest``: what `bookrunner backtest` hands over to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import typer
from typer.exceptions import TyperException

from libs.cli.errors import INTERRUPTED, USAGE, CommandError
from libs.cli.screen import complain
from libs.history.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME: Final = "bookrunner backtest"


def app_of() -> typer.Typer:
    """Return the command; what it needs takes a second to import, in which Ctrl-C ends it, too."""
    from backtest.command.options import backtest_command  # noqa: PLC0415 -- as said above

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(backtest_command)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 for a failure, 2 for a wrong command line, 130 after Ctrl-C."""
    try:
        said = app_of()(arguments, prog_name=NAME, standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as error:
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except CommandError as error:
        return _failed(str(error), error.exit_code)
    except HistoryError as error:  # of a file that was opened in the middle of a run
        return _failed(str(error), 1)
    except OSError as error:
        where = f"{error.filename} cannot be read or written" if error.filename else "the run failed"
        return _failed(f"{where}: {error.strerror or error}", 1)
    except TyperException as error:
        text = str(getattr(error, "format_message", error.__str__)())
        return _failed(f"{text} (see `{NAME} --help`)", USAGE)
    if said is True:  # the run is partial
        return INTERRUPTED
    return said if isinstance(said, int) else 0  # of an Exit, as of Ctrl-C, typer returns the code


def _failed(text: str, code: int) -> int:
    complain(NAME, text)
    return code


if __name__ == "__main__":
    sys.exit(main())
