"""What `docs/l2.md` says of each venue is what its feed does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.l2.feeds import FEEDS

TEXT = (
    Path("docs/l2.md")
    .read_text(encoding="utf-8")
    .partition("## What each venue says")[2]
    .partition("\n## ")[0]
)
ROWS = ("heartbeat", "silence limit", "sequence", "checksum", "window", "limits", "status")


def sections() -> dict[str, dict[str, list[str]]]:
    """Return the rows by venue: what the rule is, and its source."""
    found = {}
    for section in TEXT.split("\n### ")[1:]:
        heading, _, body = section.partition("\n")
        rows = re.findall(r"^\| ([a-z ]+) \| (.+) \| (.+) \|$", body, re.MULTILINE)
        for venue in re.findall(r"`([^`]+)`", heading):
            found[venue] = {name: [rule, source] for name, rule, source in rows}
    return found


def test_every_venue_has_every_row_with_its_source() -> None:
    assert set(sections()) == set(FEEDS)
    for venue, rows in sections().items():
        assert tuple(rows) == ROWS, venue
        assert all(source.strip() for _, source in rows.values()), venue


@pytest.mark.parametrize("venue", sorted(FEEDS))
def test_the_limits_of_silence_and_the_pings_are_those_of_the_feed(venue: str) -> None:
    feed, rows = FEEDS[venue], sections()[venue]
    assert rows["silence limit"][0] == f"{feed.silence_s:g} s"
    for every_s in (feed.ping_interval_s, feed.pong_interval_s):
        if every_s is not None:
            assert f"every {every_s:g} s" in rows["heartbeat"][0]
    if feed.ping_interval_s is None and feed.pong_interval_s is None:
        assert "once a second" in rows["heartbeat"][0]


@pytest.mark.parametrize("venue", sorted(FEEDS))
def test_the_windows_are_those_of_the_feed(venue: str) -> None:
    feed, window = FEEDS[venue], sections()[venue]["window"][0]
    levels = getattr(feed, "snapshot_limit", None) or feed.depth
    assert "the whole book" in window if levels is None else f"{levels:,}" in window
