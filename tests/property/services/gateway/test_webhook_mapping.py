"""A mapping of webhooks is read, or refused by its place; a body becomes a signal's fields, or is refused."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.http.webhook_mapping import FIELDS, MappingError, mapping_of

names = st.text("abcXYZ_09-", min_size=1, max_size=6).map(lambda text: f"a{text}")
paths = st.lists(names, min_size=1, max_size=3)
words = st.dictionaries(names, st.floats(-1, 1).map(lambda value: f"{value:.6f}"), min_size=1, max_size=4)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
bodies = st.recursive(
    st.dictionaries(names, scalars, max_size=4),
    lambda inner: st.dictionaries(names, inner | scalars, max_size=4),
    max_leaves=8,
)


def nested(path: list[str], value: object) -> dict[str, Any]:
    body: Any = value
    for name in reversed(path):
        body = {name: body}
    found: dict[str, Any] = body
    return found


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from(["policyId=a", "value=b{x:1}", "ttlS=1", "'", "{"])).map(" ".join)
)
def test_any_setting_is_a_mapping_or_refused(setting: str) -> None:
    with contextlib.suppress(ValueError):
        mapping = mapping_of(setting)
        assert (mapping is None) == (not setting.strip())


@given(paths, words, st.data())
def test_a_value_is_what_its_word_means_wherever_it_stands(
    path: list[str], meanings: dict[str, str], data: st.DataObject
) -> None:
    said = ",".join(f"{word}:{meaning}" for word, meaning in meanings.items())
    mapping = mapping_of(f"policyId='x_a' symbol='BTC-USDT' value={'.'.join(path)}{{{said}}} ttlS=60")
    assert mapping is not None
    word = data.draw(st.sampled_from(sorted(meanings)))
    fields = mapping.fields_of(nested(path, word))
    assert fields == {
        "policyId": "x_a",
        "symbol": "BTC-USDT",
        "value": float(meanings[word]),
        "ttlS": 60.0,
    }


@given(st.lists(paths, min_size=5, max_size=5), bodies)
def test_any_body_becomes_the_fields_of_a_signal_or_is_refused_by_its_places(
    places: list[list[str]], body: dict[str, Any]
) -> None:
    taken = dict(zip(FIELDS[:5], (".".join(path) for path in places), strict=True))
    mapping = mapping_of(" ".join(f"{field}={path}" for field, path in taken.items()))
    assert mapping is not None
    fields: dict[str, Any] = {"value": 0.0}
    wrong: set[str] = set()
    try:
        fields = mapping.fields_of(body)
    except MappingError as refused:
        wrong = {each.field for each in refused.errors}
    assert wrong <= set(taken.values())
    assert fields.keys() <= set(taken)
    assert isinstance(fields["value"], float)
