"""``python -m services.venues``: measure venues, and choose among them."""

from __future__ import annotations

import asyncio
import logging

import uvloop

from libs.common.startup import begin
from services.venues.app import create_worker, prepare
from services.venues.settings import VenuesSettings


def main() -> None:
    """Run until stopped."""
    settings = begin(VenuesSettings, "venues")
    for name in (
        "faust",
        "mode",
        "services.venues.tables",
    ):  # a table is one of Faust's services, and says so
        logging.getLogger(name).setLevel(logging.WARNING)
    # They warn of a timer that is late and of a full buffer: a moment in which the machine is busy.
    for name in ("mode.timers", "faust.transport.producer"):
        logging.getLogger(name).setLevel(logging.ERROR)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # before Faust makes its loop
    asyncio.run(prepare(settings))
    asyncio.set_event_loop(asyncio.new_event_loop())
    create_worker(settings).execute_from_commandline()


if __name__ == "__main__":
    main()
