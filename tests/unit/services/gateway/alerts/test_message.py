from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.gateway.alerts.cause import KINDS, RUNBOOKS
from services.gateway.alerts.ledger import Alert
from services.gateway.alerts.message import MOST_BYTES, encode, message_of
from tests.hostile_texts import HOSTILE_TEXTS, obeyed
from tests.unit.services.gateway.alerts.causes import NOW, S, a_cause

ROOT = Path(__file__).parents[5]
FIELDS = {"text", "content", "cause", "severity", "state", "key", "since", "ts", "details", "source"}


def body_of(alert: Alert) -> Any:
    return json.loads(encode(message_of(alert, "bookrunner desk-5000")))


def test_a_message_is_a_sentence_with_what_where_since_when_and_what_to_do() -> None:
    body = body_of(Alert(a_cause("all", why="risk desk: drawdown"), "firing", NOW, NOW + S))
    assert body.keys() == FIELDS
    assert body["text"] == body["content"]
    assert body["text"] == (
        "Bookrunner CRITICAL: trading is halted for all since 2026-01-01 00:00:00 UTC (risk desk: drawdown): "
        "find out why, and once that is mended run `bookrunner resume`, see "
        "docs/operations.md#trading-halted."
    )
    assert (body["cause"], body["key"], body["state"]) == ("trading-halted", "trading-halted:all", "firing")
    assert (body["since"], body["ts"]) == (NOW // 10**6, NOW // 10**6 + 1000)
    assert body["details"] == {
        "reason": "risk desk: drawdown",
        "suppressed": 0,
        "runbook": "docs/operations.md#trading-halted",
    }
    assert body["source"] == "bookrunner desk-5000"


def test_a_recovery_says_how_long_it_lasted_and_what_was_not_told() -> None:
    body = body_of(Alert(a_cause(), "resolved", NOW, NOW + 243 * S, 3, 243 * S))
    assert body["text"] == (
        "Bookrunner OK: trading for all goes on since 2026-01-01 00:04:03 UTC, after 4 min 3 s: it began at "
        "2026-01-01 00:00:00 UTC; 3 more since the last message were not told."
    )
    assert (body["state"], body["details"]["lastedS"], body["details"]["suppressed"]) == (
        "resolved",
        243.0,
        3,
    )


@pytest.mark.parametrize("text", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_no_text_from_outside_acts_on_a_reader(text: str) -> None:
    cause = a_cause(text, what=text, over=text, why=text, details={"reason of it": text})
    raw = encode(message_of(Alert(cause, "firing", NOW, NOW), text))
    for shown in (json.loads(raw)["text"], str(json.loads(raw)["details"])):
        assert obeyed(shown) == ""


@pytest.mark.parametrize(
    "mention", ["<!channel>", "@everyone", "<@U1>", "[here](http://evil.example)", "&lt;"]
)
def test_no_text_from_outside_calls_people_or_hides_a_link(mention: str) -> None:
    shown = body_of(Alert(a_cause(why=mention, details={"x": mention}), "firing", NOW, NOW))
    texts = (shown["text"], shown["details"]["x"], shown["details"]["reason"])
    assert not any(re.search(r"[<>@&\[\]]", text) for text in texts)


def test_a_body_is_bounded_whatever_it_is_made_of() -> None:
    long = '\U0001f4a5"\\' * 10_000
    cause = a_cause(
        long, what=long, over=long, why=long, details={str(number): long for number in range(1000)}
    )
    raw = encode(message_of(Alert(cause, "firing", NOW, NOW), long))
    assert len(raw) <= MOST_BYTES
    assert len(json.loads(raw)["content"]) < 2000


def test_every_kind_of_cause_leads_to_a_heading_of_its_page() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / RUNBOOKS).read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    assert {kind.anchor for kind in KINDS.values()} <= anchors
