"""SciPy's compiled special functions, without the 190 modules that `scipy.special` imports beside them.

Those are tests, a Fortran parser and other array libraries: 14 MiB and a third of a second of a start. The
functions are the same objects, so results are equal to the last bit.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE: Final = "scipy.special"


def _compiled() -> ModuleType:
    """Return the module of the compiled functions, imported with nothing in its package's place."""
    scipy = find_spec("scipy")
    if _PACKAGE in sys.modules or scipy is None or scipy.origin is None:
        return importlib.import_module(f"{_PACKAGE}._ufuncs")
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(Path(scipy.origin).with_name("special"))]
    sys.modules[_PACKAGE] = package
    try:
        return importlib.import_module(f"{_PACKAGE}._ufuncs")
    finally:
        del sys.modules[_PACKAGE]  # whoever needs all of it imports all of it


_ufuncs: Final = _compiled()
ndtr: Final[Callable[..., Any]] = _ufuncs.ndtr
stdtr: Final[Callable[..., Any]] = _ufuncs.stdtr
stdtrit: Final[Callable[..., Any]] = _ufuncs.stdtrit
