"""``python -m services.portfolio``: keep positions, measure risk, optimise portfolios."""

from __future__ import annotations

import os

# Before NumPy is imported: more threads than one only take cores from the other services.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from libs.common.startup import begin  # noqa: E402 -- after the threads are said
from services.portfolio.app import run  # noqa: E402 -- as above
from services.portfolio.settings import PortfolioSettings  # noqa: E402 -- as above

if __name__ == "__main__":
    run(begin(PortfolioSettings, "portfolio"))
