"""``python -m services.context``: ask public sources for what the router's contexts need."""

from __future__ import annotations

import uvloop

from libs.common.startup import begin
from services.context.app import App
from services.context.settings import ContextSettings


def main() -> None:
    """Run until stopped."""
    settings = begin(ContextSettings, "context")

    async def run() -> None:
        await App(settings).run()

    uvloop.run(run())


if __name__ == "__main__":
    main()
