from __future__ import annotations

import subprocess
import sys

import pytest
import scipy.special

from services.router import special


@pytest.mark.parametrize("name", ["ndtr", "stdtr", "stdtrit"])
def test_the_special_functions_are_those_of_scipy(name: str) -> None:
    assert getattr(special, name) is getattr(scipy.special, name)


ALL_OF_SCIPY = ("scipy.special", "scipy.optimize")


@pytest.mark.parametrize(
    "order", [("services.router.special", *ALL_OF_SCIPY), (*ALL_OF_SCIPY, "services.router.special")]
)
def test_who_needs_all_of_scipy_gets_all_of_it_before_and_after(order: tuple[str, ...]) -> None:
    imports = "; ".join(f"import {module}" for module in order)
    script = (
        f"{imports}; from scipy.special import _ufuncs, softmax; "
        "assert scipy.special.ndtr is services.router.special.ndtr; "
        "assert scipy.special._ufuncs.ndtr is _ufuncs.ndtr; "
        "assert scipy.optimize.nnls([[1.0]], [2.0])[0] == [2.0]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
