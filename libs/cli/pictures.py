"""Whether pictures can be drawn: what draws them is a fifth as large as all that running needs."""

from __future__ import annotations

import importlib.util

from libs.cli.errors import CommandError


def check_drawing() -> None:
    """
    Check before the work that a picture can be drawn after it.

    Raises
    ------
    CommandError
        If matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise CommandError(
            "drawing needs matplotlib, which `make run` does not install: run `make setup PLOTS=1`"
        )
