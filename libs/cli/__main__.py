"""``python -m libs.cli``, and the script `bookrunner`: its commands take a second to import.

In that second Ctrl-C ends it as it does later.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from libs.cli.errors import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0, 1 for a failure, 2 for a wrong command line, 130 after Ctrl-C."""
    sys.exit(_code(arguments))


def _code(arguments: Sequence[str] | None) -> int:
    try:
        from libs.cli.commands import run  # noqa: PLC0415 -- as said above

        return run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    main()
