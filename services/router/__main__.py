"""``python -m services.router``: choose policies and learn from their rewards."""

from __future__ import annotations

import os

# Several threads sum in another order and give other last bits; and the matrices are small.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from libs.common import processor  # noqa: E402 -- the libraries of linear algebra read it when loaded
from services.router.app import wiring  # noqa: E402
from services.router.settings import RouterSettings  # noqa: E402

if __name__ == "__main__":
    settings = RouterSettings()
    processor.run(wiring(settings), settings)
