"""``python -m services.l2``: keep verified order books."""

from __future__ import annotations

import uvloop

from libs.common.startup import begin
from services.l2.app import App
from services.l2.settings import L2Settings


def main() -> None:
    """Run until stopped."""
    settings = begin(L2Settings, "l2")

    async def run() -> None:
        await App(settings).run()

    uvloop.run(run())


if __name__ == "__main__":
    main()
