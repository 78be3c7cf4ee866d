"""Whatever a source answers, what follows is numbers within their ranges, or words."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from libs.common.codec import decode, encode
from libs.common.events import ContextSource, SourceState
from libs.common.told import input_fault
from libs.common.topics import CONTEXT_INPUTS, CONTEXT_SOURCES
from services.context.judging import Reply, Verdict, judge
from services.context.source import RANGES
from services.context.sources import LIVE, SOURCES
from tests.context_host import Host

SYMBOLS = ("BTC-USDT", "ETH-USDT")
NOW = time.time_ns()
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "NaN", "Infinity", "-1", "0", "1e999", "1e-400", "9" * 400, "BTC-99XXX99-0-C", "٣"]),
    st.text(max_size=8),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def right(path: str) -> Any:
    """Return what the host answers when nothing is wrong."""
    url = URL(path)
    return Host().content(SimpleNamespace(path=url.path, query=url.query), old=False)  # type: ignore[arg-type]


RIGHT = {name: {get.path: right(get.path) for get in SOURCES[name].requests(SYMBOLS)} for name in LIVE}


def leaves(tree: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of every node."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place, *(found for key, node in list(inner)[:4] for found in leaves(node, (*place, key)))]


def put(tree: Any, place: tuple[Any, ...], what: Any) -> Any:
    if not place:
        return what
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[place[0]] = put(tree[place[0]], place[1:], what)
    return copy


def check(verdict: Verdict) -> None:
    assert verdict.pause_ns > 0
    assert (verdict.reason == "") == (verdict.state is SourceState.FRESH)
    for each in verdict.inputs:
        low, high = RANGES[each.name]
        assert low <= each.value <= high
        assert input_fault(each, time.time_ns()) == ""
        assert decode(CONTEXT_INPUTS, encode(each)) == each
    stands = ContextSource(
        source="x",
        names=(),
        state=verdict.state,
        reason=verdict.reason,
        next_ts=NOW + verdict.pause_ns,
        ts=NOW,
    )
    assert decode(CONTEXT_SOURCES, encode(stands)) == stands


@pytest.mark.parametrize("name", LIVE)
@given(data=st.data())
@settings(max_examples=60)
def test_an_answer_with_anything_in_any_place_is_numbers_or_words(name: str, data: st.DataObject) -> None:
    answers = dict(RIGHT[name])
    path = data.draw(st.sampled_from(sorted(answers)))
    place = data.draw(st.sampled_from(leaves(answers[path])))
    answers[path] = put(answers[path], place, data.draw(TREES))
    replies = {path: Reply(200, json.dumps(answer).encode()) for path, answer in answers.items()}
    check(judge(SOURCES[name], replies, SYMBOLS, 1.0, 0, 0, time.time_ns()))


@pytest.mark.parametrize("name", LIVE)
@given(body=st.binary(max_size=40), status=st.sampled_from([0, 200, 400, 404, 418, 429, 500]))
@settings(max_examples=40)
def test_any_bytes_are_words(name: str, body: bytes, status: int) -> None:
    replies = {path: Reply(status, body) for path in RIGHT[name]}
    verdict = judge(SOURCES[name], replies, SYMBOLS, 1.0, 0, 0, time.time_ns())
    check(verdict)
    assert verdict.inputs == ()
    assert verdict.state in {SourceState.FAILING, SourceState.LIMITED}
