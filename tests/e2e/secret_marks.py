"""Secrets that can be found again wherever they are, and what a running system shows of itself."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer

from libs.common.kafka_security import client_arguments, stop_consumer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from libs.common.settings import ServiceSettings

TOKEN: Final = "mark0token0q7Zr1VtY3nP5sX8bK2dF4gH6jL9mC0wE"  # noqa: S105 -- what must not be found
PASSWORD: Final = 'mark0password"\\=, x'  # noqa: S105 -- as above
PROPERTY: Final = "mark0property"
HOOKS: Final = "mark0hooks0q7Zr1VtY3nP5sX8bK2dF4g"  # what each body of the signals' webhook holds
WEBHOOK: Final = "http://127.0.0.1:9/mark0webhook/services"  # where nobody listens
MARKS: Final = {
    "ALERT_WEBHOOK_URL": "mark0webhook",
    "GATEWAY_TOKEN": "mark0token",
    "GATEWAY_WEBHOOK_SECRET": "mark0hooks",
    "KAFKA_SASL_PASSWORD": "mark0password",
    "KAFKA_EXTRA_PROPERTIES": PROPERTY,
}


def found_in(shown: bytes | str) -> set[str]:
    """Return whose values stand in what is shown."""
    raw = shown.encode() if isinstance(shown, str) else shown
    return {name for name, mark in MARKS.items() if mark.encode() in raw}


def descendants(pid: int) -> Iterator[int]:
    """Yield a process and all that come from it."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        for child in _said_by(pid, f"task/{thread.name}/children").split():
            yield from descendants(int(child))


def environments(pids: Iterable[int]) -> dict[str, set[str]]:
    """Return which secrets each program has in its environment, by what it runs."""
    found: dict[str, set[str]] = {}
    for pid in pids:
        if program := _program(arguments([pid]).decode().split("\0")):
            found[program] = found.get(program, set()) | found_in(_said_by(pid, "environ"))
    return found


def arguments(pids: Iterable[int]) -> bytes:
    """Return the arguments of processes, as everybody sees them."""
    return b"\n".join(_said_by(pid, "cmdline") for pid in pids)


def _program(arguments: list[str]) -> str:
    return arguments[arguments.index("-m") + 1] if "-m" in arguments else Path(arguments[0]).name


def _said_by(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return b""


def files_with_secrets(folder: Path) -> dict[str, set[str]]:
    """Return which secrets stand in which file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): found for path in files if (found := found_in(path.read_bytes()))}


def open_to_others(folder: Path) -> list[str]:
    """Return what below a folder, or the folder itself, others than its owner may use."""
    return [
        str(path)
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


def get(address: str, path: str, **headers: str) -> bytes:
    """Return head and body of an answer, whatever its status."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", f"/{path}", headers=headers)
        reply = connection.getresponse()
        return str(reply.headers).encode() + reply.read()
    finally:
        connection.close()


def metrics_of(folder: Path) -> bytes:
    """Return the metrics of every process that says in a folder where it serves them."""
    targets = [json.loads(file.read_text())[0]["targets"][0] for file in folder.glob("*.json")]
    assert targets
    return b"".join(get(target, "metrics") for target in targets)


async def topics_with_secrets(settings: ServiceSettings) -> dict[str, set[str]]:
    """Return which secrets stand in which topic; read as far as it goes now."""
    consumer = AIOKafkaConsumer(
        **client_arguments(settings), auto_offset_reset="earliest", max_poll_records=5000
    )
    await consumer.start()
    found: dict[str, set[str]] = {}
    try:
        await consumer.topics()
        topics = sorted(await consumer.topics())
        consumer.subscribe(topics)
        async with asyncio.timeout(120):
            while not (places := consumer.assignment()):
                await consumer.getmany(timeout_ms=100)
            ends = await consumer.end_offsets(places)
            while any([await consumer.position(place) < end for place, end in ends.items()]):
                for place, records in (await consumer.getmany(timeout_ms=500)).items():
                    for record in records:
                        shown = repr((record.key, record.value, record.headers))
                        if marks := found_in(shown):
                            found[place.topic] = found.get(place.topic, set()) | marks
    finally:
        await stop_consumer(consumer)
    assert len(topics) > 10
    return found


def without_kafka(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment that says nothing of a Kafka."""
    return {name: value for name, value in environment.items() if not name.startswith("KAFKA_")}


def own_environment() -> dict[str, str]:
    """Return that of the tests, without a Kafka."""
    return without_kafka(os.environ)
