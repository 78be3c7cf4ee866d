"""Whatever a record holds, its line in `tail` is one line that does nothing, and its JSON means the same."""

from __future__ import annotations

import ast
import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.live import Live
from rich.table import Table

from libs.cli.screen import Screen, Text, complain
from libs.cli.tail import json_line, text_line
from libs.common.codec import encode
from libs.common.topics import TOPICS, Topic
from tests.hostile_events import hostile
from tests.hostile_texts import HOSTILE_TEXTS, obeyed

ROOT = Path(__file__).parents[4]
ALL = " ".join(text for name, text in HOSTILE_TEXTS.items() if name != "surrogate")  # is in no UTF-8
PACKAGES = ("broker", "install", "libs", "services", "simulator")
SOURCES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Record(NamedTuple):
    """What a consumer gives."""

    value: bytes | None
    key: bytes | None = ALL.encode()
    headers: tuple[tuple[str, bytes], ...] = ((ALL, ALL.encode()),)
    topic: str = ""
    partition: int = 0
    offset: int = 7
    timestamp: int = 1_700_000_000_000


RECORDS = [
    *((topic, Record(encode(hostile(kind, ALL)))) for topic in TOPICS.values() for kind in topic.events),
    *((topic, Record(ALL.encode())) for topic in TOPICS.values()),  # undecodable, or a dead letter
    *((topic, Record(None)) for topic in TOPICS.values() if topic.events),
]


@pytest.mark.parametrize(("topic", "record"), RECORDS)
def test_a_record_of_any_topic_is_one_line(topic: Topic, record: Any) -> None:
    line = text_line(topic, record)
    assert obeyed(str(line)) == ""
    assert "\n" not in str(line)
    shown = on_screen(line)
    assert obeyed(COLOURS.sub("", shown)) == ""
    assert not any(text in shown for text in HOSTILE_TEXTS.values() if "\x1b" in text)


@pytest.mark.parametrize(("topic", "record"), RECORDS)
def test_a_record_of_any_topic_is_one_line_of_json(topic: Topic, record: Any) -> None:
    line = json_line(topic, record)
    assert obeyed(line) == ""
    assert "\n" not in line
    read = json.loads(line)
    assert read["key"] == ALL
    assert read["headers"] == {ALL: ALL}


def on_screen(shown: Any) -> str:
    stream = io.StringIO()
    Screen(file=stream, force_terminal=True, color_system="standard", width=100).print(shown)
    return stream.getvalue()


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_nothing_acts_wherever_a_text_stands_on_the_screen(name: str) -> None:
    text = HOSTILE_TEXTS[name]
    table = Table(title=text, caption=text)
    table.add_column(text)
    table.add_column("styled")
    table.add_row(text, Text(text, "red"))
    table.add_row(Text.assemble(text, (text, "green")), Text(" ").join([Text(text), Text(text)]))
    for shown in (text, Text(text, "bold"), Text("a").append(text, "red"), table):
        out = on_screen(shown)
        assert obeyed(COLOURS.sub("", out)) == ""
        assert text.isprintable() or text not in out
    assert len(on_screen(Text(text[:20], no_wrap=True)).splitlines()) == 1


@pytest.mark.parametrize("name", ["markup", "style", "rich link", "emoji code"])
def test_markup_is_text(name: str) -> None:
    text = HOSTILE_TEXTS[name]
    table = Table()
    table.add_column("what", no_wrap=True)
    table.add_row(text)
    assert text in on_screen(text)
    assert text in on_screen(table)


def test_what_is_drawn_live_does_not_act_either() -> None:
    stream = io.StringIO()
    screen = Screen(file=stream, force_terminal=True, color_system="standard", width=100)
    table = Table()
    table.add_column("what")
    table.add_row(ALL)
    with Live(console=screen, auto_refresh=False) as live:
        live.update(table, refresh=True)
    assert not any(text in stream.getvalue() for text in HOSTILE_TEXTS.values() if not text.isprintable())
    assert "\x1b]" not in stream.getvalue()


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_a_complaint_begins_no_second_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    complain("bookrunner", HOSTILE_TEXTS[name])
    said = capsys.readouterr().err
    assert obeyed(said) == ""
    assert all(line.startswith("  ") for line in said.splitlines()[1:])


def test_only_the_screen_writes_with_rich() -> None:
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rich":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.partition(".")[0] == "rich"]
            found += [(str(path.relative_to(ROOT)), name) for name in names]
    unsafe = {"rich.console", "rich.text", "rich.console.Console", "rich.text.Text", "rich.print", "rich"}
    assert {path for path, name in found if name in unsafe} == {"libs/cli/screen.py"}
