"""Records of a topic's own types with any values: no service stops for one, and every refusal is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile import decoded_again, messages
from tests.services_alone import PLAIN, WIRINGS, Service

if TYPE_CHECKING:
    from libs.common.events import Event
    from libs.common.handling import Wiring
    from libs.common.topics import Topic

RUNS = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def inputs_of(wiring: Wiring[Any]) -> st.SearchStrategy[tuple[Topic, Event]]:
    kinds = [(topic, kind) for topic in wiring.inputs for kind in topic.events]
    return st.one_of(*(st.tuples(st.just(topic), messages(kind)) for topic, kind in kinds))


@pytest.mark.parametrize("name", WIRINGS)
@RUNS
@given(data=st.data())
def test_no_record_of_a_stranger_stops_a_partition(name: str, data: st.DataObject) -> None:
    service = Service(name)
    for topic, message in data.draw(st.lists(inputs_of(service.wiring), max_size=4)):
        if decoded_again(message) is not None:
            service.tell(topic, message)
    service.wait()


@pytest.mark.parametrize("name", WIRINGS)
@RUNS
@given(data=st.data())
def test_whatever_the_views_hold_a_plain_command_is_answered_or_refused(
    name: str, data: st.DataObject
) -> None:
    service = Service(name)
    for n, view in enumerate(service.wiring.views):
        for message in data.draw(st.lists(st.one_of(*map(messages, view.topic.events)), max_size=2)):
            service.show(n, message, at_home=data.draw(st.booleans()))
    for command in PLAIN[name]:
        service.tell(service.wiring.inputs[0], command)
    service.wait()
