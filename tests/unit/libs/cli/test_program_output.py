from __future__ import annotations

import json

import pytest

from libs.cli.program_output import ProgramOutput
from tests.hostile_texts import HOSTILE_TEXTS, obeyed

NOON = 1_700_049_784.123

TRACEBACK = b"Traceback (most recent call last):\n  File x\nImportError: no\n"


def test_lines_are_whole_however_their_bytes_come() -> None:
    output = ProgramOutput(as_json=True)
    line = '{"event":"münzen"}'
    bytes_ = line.encode()
    assert output.lines("l2", bytes_[:13]) == []
    assert output.lines("router", b'{"event":"other"}\n') == ['{"event":"other"}']
    assert output.lines("l2", bytes_[13:] + b"\n\n") == [line]


def test_in_json_every_line_is_an_object_whoever_wrote_it() -> None:
    output = ProgramOutput(as_json=True)
    written = output.lines("venues", b'\x1b[?25h\x08{"event":"ok"}\n[1]\n"text"\n' + TRACEBACK)
    assert written[0] == '{"event":"ok"}'
    objects = [json.loads(line) for line in written]
    assert [each["event"] for each in objects[1:4]] == ["[1]", '"text"', "Traceback (most recent call last):"]
    assert all(each["service"] == "venues" for each in objects[1:])


def test_for_people_a_line_without_a_clock_gets_one_and_who_speaks() -> None:
    output = ProgramOutput(as_json=False, clock=lambda: 65.25)
    ours = "12:03:04.123 l2       book_live"
    assert output.lines("l2", f"{ours}\n    at x\n".encode()) == [ours, "    at x"]
    (stray,) = output.lines("venues", b"hello\n")
    assert stray.endswith(":05.250 venues   hello")


def test_what_a_program_left_unfinished_is_written_at_its_end() -> None:
    output = ProgramOutput(as_json=True)
    assert output.lines("l2", b"Killed") == []
    assert json.loads(output.rest("l2")[0])["event"] == "Killed"
    assert output.rest("l2") == []


@pytest.mark.parametrize("as_json", [True, False])
def test_why_a_program_cannot_run_is_remembered(as_json: bool) -> None:  # noqa: FBT001 -- of the test
    output = ProgramOutput(as_json=as_json)
    lines = {
        True: b'{"level":"CRITICAL","event":"cannot run: set X to 1"}\n',
        False: b"12:03:04.123 l2       CRITICAL cannot run: set X to 1\n",
    }
    output.lines("l2", lines[as_json] + b"bye\n")
    output.lines("kafka", b"cannot run: the disk is full\n")
    assert output.last_words("l2") == "set X to 1"
    assert output.last_words("kafka") == "the disk is full"
    assert output.last_words("router") is None


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_what_a_program_prints_bare_does_nothing_on_the_terminal(name: str, as_json: bool) -> None:  # noqa: FBT001 -- of the test
    text = HOSTILE_TEXTS[name].encode("utf-8", "surrogatepass")
    output = ProgramOutput(as_json=as_json, clock=lambda: NOON)
    shown = [*output.lines("l2", text + b"\n"), *output.rest("l2")]
    assert all(obeyed(line) == "" and "\n" not in line for line in shown)


def test_a_line_without_end_is_cut() -> None:
    output = ProgramOutput(as_json=False, clock=lambda: NOON)
    shown = [line for _ in range(3) for line in output.lines("l2", b"x" * 700_000)]
    assert [len(line) > 1_000_000 for line in shown] == [True]
