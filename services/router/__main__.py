"""``python -m services.router``: choose policies and learn from their rewards."""

from __future__ import annotations

import os

# Several threads sum in another order and give other last bits; and the matrices are small.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from libs.common import processor
from libs.common.startup import begin
from services.router.app import wiring
from services.router.arms import Arms
from services.router.monitoring import RouterMonitor
from services.router.settings import RouterSettings

if __name__ == "__main__":
    settings = begin(RouterSettings, "router")
    arms = Arms()
    processor.run(wiring(settings, arms), settings, RouterMonitor(settings.rules().policies, arms))
