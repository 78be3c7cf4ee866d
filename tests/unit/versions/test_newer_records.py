"""What a later version may write is read as far as it is known; the rest is left out and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from libs.common.codec import UndecodableMessageError, UnknownMessageError, decode, encode
from libs.common.events import Command
from libs.common.topics import TOPICS, Topic
from tests import newer
from tests.full_valued import full
from tests.services_alone import WIRINGS, Service

if TYPE_CHECKING:
    from libs.common.events import Event

PAIRS: Final = [(topic, kind) for topic in TOPICS.values() for kind in topic.events]


def name_of(value: Any) -> str:
    return value.name if isinstance(value, Topic) else value.__name__


@pytest.mark.parametrize(("topic", "kind"), PAIRS, ids=name_of)
def test_fields_that_only_a_later_version_knows_pass(topic: Topic, kind: type[Event]) -> None:
    assert decode(topic, newer.extended(full(kind))) == full(kind)


@pytest.mark.parametrize(("topic", "kind"), PAIRS, ids=name_of)
def test_a_type_or_a_name_that_only_a_later_version_knows_is_known_as_such(
    topic: Topic, kind: type[Event]
) -> None:
    changed = {"$.type": newer.of_unknown_type(full(kind)), **dict(newer.with_unknown_names(full(kind)))}
    for place, value in changed.items():
        with pytest.raises(UnknownMessageError):
            decode(topic, value)
        assert place


def test_a_missing_or_wrong_field_is_no_later_version() -> None:
    for topic, kind in PAIRS:
        with pytest.raises(UndecodableMessageError) as caught:
            decode(topic, encode(full(kind))[:-1])
        assert not isinstance(caught.value, UnknownMessageError)


@pytest.mark.parametrize("name", WIRINGS)
def test_a_partition_leaves_out_what_only_a_later_version_knows_and_goes_on(name: str) -> None:
    service = Service(name)
    for topic in service.wiring.inputs:
        for kind in topic.events:
            message = full(kind)
            effects = service.hand(topic, newer.extended(message), newer.HEADERS)
            assert (effects.handled, effects.left_out, effects.dead_letters) == (1, 0, 0), kind
            unknown = [value for _, value in newer.with_unknown_names(message)]
            for value in (newer.of_unknown_type(message), *unknown):
                effects = service.hand(topic, value, newer.HEADERS)
                commands = any(issubclass(each, Command) for each in topic.events)
                assert (effects.handled, effects.left_out) == (0, not commands), kind
                assert effects.dead_letters == commands, "the sender of a command waits for an answer"
            effects = service.hand(topic, newer.of_unknown_instruments(message), newer.HEADERS)
            assert effects.handled + effects.left_out == 1, kind
    service.wait()


@pytest.mark.parametrize("name", WIRINGS)
def test_views_of_later_instruments_and_fields_change_no_answer(name: str) -> None:
    service = Service(name)
    for n, view in enumerate(service.wiring.views):
        for kind in view.topic.events:
            for value in (newer.extended(full(kind)), newer.of_unknown_instruments(full(kind))):
                service.show(n, decode(view.topic, value), at_home=False)
    for topic in service.wiring.inputs:
        for kind in topic.events:
            service.tell(topic, full(kind))
    service.wait()
