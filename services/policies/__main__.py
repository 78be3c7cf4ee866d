"""``python -m services.policies``: host users' policies, and register those from outside."""

from __future__ import annotations

import uvloop

from libs.common.settings import PermanentError
from libs.common.startup import begin, end
from services.policies.app import App
from services.policies.settings import PoliciesSettings


def main() -> None:
    """Run until stopped."""
    settings = begin(PoliciesSettings, "policies")

    async def run() -> None:
        await App(settings).run()

    try:
        uvloop.run(run())
    except PermanentError as error:
        end("policies", str(error))


if __name__ == "__main__":
    main()
