"""By rule, an answer is what a plain walk over its event says, for every type of event there is."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common import events
from services.gateway.http.view import Decimals, View, encode
from tests.hostile import messages

if TYPE_CHECKING:
    from collections.abc import Callable

FORMS: Final[dict[Decimals, Callable[[Decimal], object]]] = {
    "number": lambda value: float("nan") if value.is_nan() else float(value),
    "text": str,
    "plain text": lambda value: f"{value:f}",
}
KINDS: Final = {
    name: kind
    for name, kind in vars(events).items()
    if isinstance(kind, type) and issubclass(kind, events.Event | events.Part) and kind.__struct_fields__
}
UNRULED: Final = {"RouterAnswer"}  # holds one of three events


def walked(value: Any, form: Callable[[Decimal], object], name: str = "") -> object:
    """Return what JSON of `value` is to say; the twin of a view without differences."""
    if isinstance(value, msgspec.Struct):
        named = {each: getattr(value, each) for each in value.__struct_fields__}
        return {
            re.sub("_(.)", lambda found: found[1].upper(), each): walked(inside, form, each)
            for each, inside in named.items()
        }
    if isinstance(value, dict):
        return {key: walked(inside, form, name) for key, inside in value.items()}
    if isinstance(value, tuple):
        return [walked(inside, form, name) for inside in value]
    if isinstance(value, Decimal):
        return form(value)
    if isinstance(value, int) and re.search("(^|_)ts$", name):
        return value // 1_000_000
    return value


def views_of(decimals: Decimals) -> dict[str, View[Any]]:
    return {name: View(name, KINDS[name], decimals=decimals) for name in KINDS.keys() - UNRULED}


@cache
def events_of(name: str) -> st.SearchStrategy[events.Event]:
    return messages(cast("type[events.Event]", KINDS[name]))


VIEWS: Final = {decimals: views_of(decimals) for decimals in get_args(Decimals)}


@pytest.mark.parametrize("decimals", get_args(Decimals))
@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_by_rule_every_event_is_answered_as_a_walk_over_it_says(
    decimals: Decimals, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(VIEWS[decimals])))
    event = data.draw(events_of(name))
    answer = json.loads(encode(VIEWS[decimals][name](event)))
    assert answer == json.loads(encode(walked(event, FORMS[decimals])))


@pytest.mark.parametrize("name", sorted(UNRULED))
def test_what_no_rule_is_for_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="there is no rule"):
        View(name, KINDS[name])
