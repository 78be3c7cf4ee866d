"""``python -m libs.cli.run``: check, take RUN_DIR, leave the addresses there, and become the supervisor.

Settings come from the environment, into which make puts the variables of its command line. What cannot run is
refused with `os.EX_CONFIG` and a sentence on stderr before anything is started; the lock of RUN_DIR decides
between two starts at once.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Never

from broker import tether
from broker.owned_folder import OWNER_ONLY
from broker.secret_variables import SECRETS
from libs.cli.preflight import RefusedError, RunSettings, books_of_recordings, check_machine, check_settings
from libs.cli.run_folder import Addresses, RunFolder, RunFolderError, host_and_port
from libs.cli.running import register
from libs.common.printable import indented_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[2]
ARGUMENTS: Final = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")  # in which make hands on those of its own


def environment(settings: RunSettings, folder: RunFolder) -> Mapping[str, str]:
    """Return what supervisord.conf and the programs need to know beyond what a person set."""
    return {
        "RUN_DIR": str(folder.root),
        "FEED": settings.feed,
        "GATEWAY_HOST": settings.gateway_host,
        "GATEWAY_PORT": str(settings.gateway_port),
        "KAFKA_PORT": str(settings.kafka_port),
        "KAFKA_BOOTSTRAP_SERVERS": host_and_port(settings.kafka_host, settings.kafka_port),
        "SIMULATOR_PORT": str(settings.simulator_port),
        "SIMULATOR_URL": f"http://{host_and_port(settings.simulator_host, settings.simulator_port)}",
        "SIMULATED": "true" if settings.simulated else "false",
        "AUTOPILOT": os.environ.get("AUTOPILOT") or "0",
        "LOG_FORMAT": os.environ.get("LOG_FORMAT") or "console",
        "METRICS_PORT": "0",
        "METRICS_TARGETS_DIR": str(folder.metrics),
        "PROCESSES_DIR": str(folder.processes),
        "POLICIES_DIR": str(settings.policies_folder or ""),
        "PYTHONUNBUFFERED": "1",
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
        "KAFKA_WAIT_S": os.environ.get("KAFKA_WAIT_S") or "600",  # the supervisor says what becomes of Kafka
        "PROGRAM_PYTHON": shlex.quote(sys.executable),
    }


def addresses_of(settings: RunSettings) -> Addresses:
    """Return what others need to find the system."""
    return Addresses(
        checkout=str(ROOT),
        feed=settings.feed,
        gateway_host=settings.gateway_host,
        gateway_port=settings.gateway_port,
        kafka_bootstrap_servers=host_and_port(settings.kafka_host, settings.kafka_port),
        simulator_host=settings.simulator_host,
        simulator_port=settings.simulator_port,
    )


def main() -> int:
    """Become the supervisor, or return the exit code of a refusal."""
    tether.die_with_parent(signal.SIGTERM)
    os.umask(OWNER_ONLY)  # of all that a running system writes
    for name in {*map(str.upper, RunSettings.model_fields), "LOG_FORMAT", "AUTOPILOT"} - {"GATEWAY_TOKEN"}:
        if not os.environ.get(name):  # `make run FEED=` means: as if it were not said
            os.environ.pop(name, None)
    said = " ".join(os.environ.pop(name, "") for name in ARGUMENTS)
    if shown := secrets_in(said):
        return _refuse(
            f"{shown} is an argument of make, which every user of this machine can read: export it, or write "
            f"it before make, as in {shown}=… make run"
        )
    try:
        settings = check_settings()
        books = books_of_recordings(settings)
        check_machine(settings)
        folder = RunFolder(settings.run_dir)
        lock = folder.acquire()
    except RefusedError as refused:
        return _refuse(*refused.sentences)
    except RunFolderError as error:
        return _refuse(str(error))
    os.environ.update(environment(settings, folder))
    if books and not settings.l2_books:
        os.environ["L2_BOOKS"] = books
    if settings.makes_token:
        os.environ["GATEWAY_TOKEN"] = folder.make_token()
    folder.write_addresses(addresses_of(settings))
    register(folder)
    return _become_supervisor(lock)


def secrets_in(arguments: str) -> str | None:
    """Return the first secret among the arguments of make; the wish for a token to be made is none."""
    for name in SECRETS:
        if re.search(rf"(?:^|\s){name}=(?!auto(?:\s|$)|\s|$)", arguments):
            return name
    return None


def _become_supervisor(lock: int) -> Never:
    os.set_inheritable(lock, True)  # noqa: FBT003 -- held for the supervisor's life; its children close it
    arguments = ["--configuration", str(ROOT / "supervisord.conf"), "--user", str(os.getuid())]
    os.execv(sys.executable, [sys.executable, "-m", "libs.cli.supervision", *arguments])  # noqa: S606 -- no shell


def _refuse(*sentences: str) -> int:
    for sentence in sentences:
        sys.stderr.write(f"make run: {indented_lines(sentence)}\n")
    return os.EX_CONFIG


if __name__ == "__main__":
    sys.exit(main())
