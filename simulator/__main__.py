"""Start the simulator: ``python -m simulator``."""

from __future__ import annotations

import argparse
import logging
import sys

import uvloop
from aiohttp import web

from libs.common.log import create_handler
from libs.common.startup import begin, end
from simulator.app import create_app, list_books
from simulator.recordings import RecordingError
from simulator.settings import SimulatorSettings

_SHUTDOWN_S = 3.0  # for clients that do not answer the close frame


def main() -> int:
    """Serve until interrupted; return the exit status."""
    parser = argparse.ArgumentParser(prog="simulator", description="Exchanges of a seeded market")
    parser.add_argument(
        "--list-books", action="store_true", help="print the venue:SYMBOL it would serve, and exit"
    )
    arguments = parser.parse_args()
    settings = begin(SimulatorSettings, "simulator")
    try:
        if arguments.list_books:
            sys.stdout.write(",".join(list_books(settings)) + "\n")
            return 0
        app = create_app(settings)
    except RecordingError as error:
        end("simulator", f"FEED={settings.feed}: {error}")
    return _serve(app, settings)


def _serve(app: web.Application, settings: SimulatorSettings) -> int:
    root = logging.getLogger()
    root.handlers[:] = [create_handler("simulator", settings.log_format, sys.stderr)]
    root.setLevel(settings.log_level)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    uvloop.install()
    try:
        web.run_app(
            app,
            host=settings.host,
            port=settings.port,
            shutdown_timeout=_SHUTDOWN_S,
            print=_say_ready,
        )
    except OSError as error:
        end(
            "simulator",
            f"nobody can listen on {settings.host}:{settings.port} ({error.strerror}): "
            "set SIMULATOR_PORT to a free port",
        )
    return 0


def _say_ready(message: str) -> None:
    logging.getLogger("simulator").info("listening", extra={"detail": message.splitlines()[0].strip("= ")})


if __name__ == "__main__":
    sys.exit(main())
