"""Whether Parquet can be read and written: what does so is an extra that `make run` does not install."""

from __future__ import annotations

import importlib.util

from libs.cli.errors import CommandError


def has_parquet() -> bool:
    """Tell whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def lack_of_parquet(what: str) -> str:
    """Return what is said where it is not, and how to get it."""
    return f"{what} needs pyarrow, which `make run` does not install: run `make setup HISTORY=1`"


def check_parquet(what: str) -> None:
    """Check before the work that Parquet can be read and written.

    Raises
    ------
    CommandError
        If pyarrow is not installed.
    """
    if not has_parquet():
        raise CommandError(lack_of_parquet(what))
