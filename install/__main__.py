"""
``python3 -m install LAYER...``: have .venv hold what the layers need: ``run``, ``plots``, ``dev``.

For ``run`` it brings the jars of Kafka and the libraries of the page, too. Runs on a bare Python, says what
takes long, and says nothing where all is there. With --named a .venv of another Python is made anew: the
person at the terminal named this one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from install.environment import ROOT, SUPPORTED, VENV, Broken, alone, make, python_of, state_of, trouble
from install.failures import NotInstalledError
from install.page_files import lacking
from install.pins import LAYERS

_USAGE = 2


def main(arguments: list[str]) -> int:
    """Return 0 once all is there; else say in one line why not."""
    named = "--named" in arguments
    layers = [argument for argument in arguments if argument != "--named"]
    if not layers or not set(layers) <= LAYERS.keys():
        sys.stderr.write(f"usage: python3 -m install [--named] {'|'.join(LAYERS)}...\n")
        return _USAGE
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        sys.stderr.write(f"Python 3.11 to 3.14 is needed; {sys.executable} is {sys.version.split()[0]}\n")
        return 1
    try:
        with alone():
            wrong = trouble(sys.version_info[:2] if named else None)
            if wrong is None and state_of().has(layers) and not ("run" in layers and lacking()):
                return 0
            if wrong is not None or not state_of().has_packages(["run"]):
                _refuse_under_a_running_system()
            if wrong is not None:
                make(None if wrong is Broken.ABSENT else wrong)
            # what follows needs pip, which .venv has for certain; the lock stays held
            os.execv(python_of(), [python_of(), "-m", "install.packages", *layers])  # noqa: S606 -- .venv's own
    except NotInstalledError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _refuse_under_a_running_system() -> None:
    """Change nothing that a system of this checkout runs on.

    Raises
    ------
    NotInstalledError
        If one runs, or programs of one whose supervisor was killed.
    """
    from libs.cli.run_folder import DEFAULT, RunFolder  # noqa: PLC0415 -- not where nothing changes
    from libs.cli.running import folders  # noqa: PLC0415 -- see above

    own = RunFolder(Path(os.environ.get("RUN_DIR") or DEFAULT))
    for folder in (own, *folders()):
        if (addresses := folder.addresses()) is not None:
            ours = addresses.checkout == str(ROOT)
        else:  # another version wrote them, as before a `git pull`
            ours = folder is own or folder.root.is_relative_to(ROOT)
        if ours and (folder.supervisor() is not None or folder.running()):
            raise NotInstalledError(
                f"a bookrunner runs from {VENV}, which would have to change: {folder.command('stop')} ends it"
            )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports SIGINT
