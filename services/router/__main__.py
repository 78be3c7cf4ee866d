"""``python -m services.router``: choose policies and learn from their rewards."""

from __future__ import annotations

from libs.common import processor
from services.router.app import wiring
from services.router.settings import RouterSettings

if __name__ == "__main__":
    settings = RouterSettings()
    processor.run(wiring(settings), settings)
