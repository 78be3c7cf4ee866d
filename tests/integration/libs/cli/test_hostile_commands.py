"""No command lets a text of an exchange, of Kafka or of a caller act on the terminal that it is shown on."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest

from libs.cli.commands import app
from libs.common.events import BookHealth
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_HEALTH, TOPICS, book_key
from tests.hostile_events import hostile
from tests.hostile_texts import HOSTILE_TEXTS, obeyed
from tests.integration.libs.cli.command import publishing, run
from tests.unit.libs.cli.builders import a_health, a_keyframe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from libs.common.kafka import Publisher
    from tests.integration.libs.cli.command import Ended

pytestmark = pytest.mark.timeout(600)

ALL: Final = " ".join(text for name, text in HOSTILE_TEXTS.items() if name not in {"surrogate", "null"})
ARGUMENT: Final = "[/x]\x1b[31mred\x9b1m\u202e\nbookrunner: forged"
EXECUTION: Final = "7d444840-9dc0-41d1-b245-5ffdce74fad2"
COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
POLICY: Final = f"""
from bookrunner import Policy, Signal
POLICY = Policy(signal=lambda market: Signal(value=0.5, reason={ALL!r}), summary={ALL[:300]!r})
"""
MOVED: Final = ("ask", "moved")
SHOWING: Final = {
    "tail",
    "venues",
    "executions",
    "portfolio",
    "ask",
    "policy",
}  # what they are given, as a whole

# Each command as often as it takes to see what it shows: of records, of answers, of its own arguments.
COMMANDS: Final = (
    ("topics",),
    *(("tail", topic, "--from", "beginning", "--no-follow") for topic in ("book-health", "records", "dead-")),
    ("tail", "book-health", "--from", "beginning", "--no-follow", "--json"),
    ("tail", ARGUMENT),
    ("tail", "book-health", "--from", ARGUMENT),
    ("book", "binance", "BTC-USDT", "--once"),
    ("book", "kraken", "BTC-USD", "--once"),  # there is none; those there are are listed
    ("book", ARGUMENT, ARGUMENT),
    ("venues", "--once"),
    ("venues", ARGUMENT, "--once"),
    ("executions", "--once"),
    ("verify", EXECUTION[:8]),
    ("verify", ARGUMENT),
    ("verify", ARGUMENT, "--in", "{folder}/" + ARGUMENT),
    ("record", "binance", "BTC-USDT", "--out", "{folder}/out.jsonl", "--seconds", "2"),
    ("record", ARGUMENT, "BTC-USDT", "--out", "{folder}/out.jsonl"),
    ("record", "binance", "BTC-USDT", "--out", "{folder}/" + ARGUMENT + "/none/out.jsonl"),
    ("portfolio",),
    ("report",),
    ("report", "--from", ARGUMENT),
    ("report", "--html", "{folder}/" + ARGUMENT + "/none/report.html"),
    ("frontier", "--plot", "{folder}/frontier.png", "--symbols", ARGUMENT),
    ("router", "--scope", ALL),
    ("router", "--scope", ARGUMENT),
    ("ask", "l2"),
    ("ask", "bad"),
    MOVED,
    ("ask", "l2", ARGUMENT),
    ("doctor",),
    ("alerts", "test"),
    ("alerts", ARGUMENT),
    ("skip", "router", "venues.scores.v1/3/120", "--reason", ARGUMENT),
    ("skip", ARGUMENT, ARGUMENT, "--reason", ARGUMENT),
    ("halt", ARGUMENT, "--reason", ARGUMENT),
    ("resume", ARGUMENT, "--reason", ARGUMENT),
    ("limits",),
    ("limits", "--set", ARGUMENT, "--scope", ARGUMENT),
    ("policy", "list"),
    ("policy", "list", ARGUMENT),
    ("policy", "new", ARGUMENT, "--folder", "{folder}"),
    ("policy", "new", "mine", "--folder", "{folder}/" + ARGUMENT),
    ("policy", "check", ARGUMENT, "--folder", "{folder}"),
    ("policy", "check", "hostile", "--folder", "{folder}"),
    ("policy", "run", ARGUMENT, "--folder", "{folder}"),
    ("backtest", "--recording", ARGUMENT, "--symbols", "BTC-USDT"),
    ("backtest", "--simulator", "1", "--from", ARGUMENT),
    ("backtest", f"--{ARGUMENT}"),
    ("acls", "--users", "{role}" + ARGUMENT),
    ("history", "export", "--all", "--out", "{folder}/history"),
    ("history", "export", ARGUMENT, "--out", "{folder}/history", "--from", ARGUMENT),
    ("history", "import", "{folder}/" + ARGUMENT, "--out", "{folder}/imported", "--format", ARGUMENT),
    ("history", "import", "{folder}/" + ARGUMENT, "--out", "{folder}/imported"),
    (ARGUMENT,),
    ("tail", f"--{ARGUMENT}"),
)


def test_every_command_is_among_them() -> None:
    assert {command[0] for command in COMMANDS} >= {each.name for each in app.registered_commands}
    for group in app.registered_groups:
        named = {command[1] for command in COMMANDS if command[0] == group.name}
        assert group.typer_instance is not None
        assert named >= {each.name for each in group.typer_instance.registered_commands}


async def publish_hostile_records(publisher: Publisher) -> None:
    """Publish a message of every type, each text of it hostile, and bytes that are no message."""
    now = time.time_ns()
    for topic in TOPICS.values():
        for kind in topic.events:
            keys = [ALL, EXECUTION] if topic.name.startswith("execution") else [ALL]
            for key in keys:
                await publisher.send_and_wait(topic, key.encode(), hostile(kind, ALL), now)
    book = book_key("binance", "BTC-USDT")
    await publisher.send_and_wait(L2_BOOK_DELTAS, book, a_keyframe(1, received_ts=now), now)
    health = a_health(ts=now)
    told = BookHealth(**{name: getattr(health, name) for name in health.__struct_fields__} | {"reason": ALL})
    await publisher.send_and_wait(L2_BOOK_HEALTH, book, told, now)
    await publisher.dead_letter(ALL.encode(), ALL.encode(), ALL, ALL)


@asynccontextmanager
async def somebody() -> AsyncIterator[str]:
    """Answer every request as a gateway, a simulator or an exchange of the worst kind would."""
    body = json.dumps(
        [{"venue": ALL, "symbol": ALL, "state": ALL, "reason": ALL}], ensure_ascii=False
    ).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            status, more = b"200 \xc2\x9b31mOK", b""
            if b"/api/bad" in asked or b"/depth" in asked or b"Upgrade" in asked:
                status = b"400 \xc2\x9b31mNo"
            if b"/api/moved" in asked:
                status, more = b"302 Found", b"Location: http://evil.example/\x9b31m[/x]\r\n"
            length = b"Content-Length: %d\r\n\r\n" % len(body)
            writer.write(
                b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n" + more + length + body
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield str(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def a_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "hostile.py").write_text(POLICY, encoding="utf-8")
    return folder


async def test_no_command_lets_a_text_act(fresh_kafka: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    async with publishing(fresh_kafka) as publisher:
        await publish_hostile_records(publisher)
    async with somebody() as port:
        folder = str(a_folder(tmp_path_factory))
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": fresh_kafka,
            "GATEWAY_PORT": port,
            "SIMULATOR_PORT": port,
            "SIMULATOR_URL": f"http://127.0.0.1:{port}",
            "ALERT_WEBHOOK_URL": f"http://127.0.0.1:{port}/api/bad",
            "RUN_DIR": folder,
        }
        for command in COMMANDS:
            arguments = [argument.replace("{folder}", folder) for argument in command]
            of_records = not any(ARGUMENT in each for each in arguments)
            colours = {} if not of_records else {"FORCE_COLOR": "1"}
            ended = await run(*arguments, **settings, **colours)
            _is_harmless(command, ended)
            if of_records and command[0] in SHOWING and command != MOVED:
                assert re.search(r"\\x1b|\\u001b", ended.out + ended.err), f"{command!r} shows nothing of it"
            if command == MOVED:
                assert "redirected to http://evil.example/" in ended.err
                assert "not followed" in ended.err


def _is_harmless(command: tuple[str, ...], ended: Ended) -> None:
    told = f"{command!r} ended with {ended!r}"[:3000]
    assert ended.code in {0, 1, 2}, told
    assert "Traceback" not in ended.err, told
    for text in (ended.out, ended.err):
        bare = COLOURS.sub("", text).replace("\r", "" if "record" in command else "\r")
        assert obeyed(bare) == "", told
        assert "\x1b[31mred" not in text, told
        for line in bare.splitlines():
            assert not line.startswith(("12:03:04", '{"ts":', "bookrunner: forged")), told
