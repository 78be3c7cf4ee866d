"""A fetch in a session, byte for byte as aiokafka writes and reads one."""

from __future__ import annotations

from io import BytesIO
from struct import error as struct_error

import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from hypothesis import given
from hypothesis import strategies as st

from libs.common.fetch_protocol import LAST_EPOCH, Answer, Places, Reply, Session, Terms, Wire

TERMS = Terms(wait_ms=40, least_bytes=65_536, most_bytes=1 << 24, isolation=1)
INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
TOPICS = st.sampled_from(["a.v1", "l2.book-tops.v1", "ünï"])
PARTITIONS = st.builds(TopicPartition, TOPICS, st.integers(0, 9))
PLACES = st.dictionaries(PARTITIONS, st.tuples(st.integers(0, 2**63 - 1), st.integers(1, 2**31 - 1)))
FOUND = st.tuples(
    *(INT32, st.integers(-1, 100), INT64, INT64, INT64),
    *(st.lists(st.tuples(INT64, INT64), max_size=3), INT32, st.binary(max_size=100)),
)
ANSWERS = st.tuples(INT32, st.integers(-1, 100), INT32, st.lists(st.tuples(TOPICS, st.lists(FOUND))))


def sent(session: Session, wanted: Places) -> FetchRequest_v11:
    """Return what aiokafka reads in the request that a session sends."""
    return FetchRequest_v11.decode(Wire(session.encoded(wanted, TERMS), Reply()).encode())


def named(request: FetchRequest_v11) -> Places:
    return {
        TopicPartition(topic, number): (offset, most)
        for topic, partitions in request.topics
        for number, _, offset, _, most in partitions
    }


def forgotten(request: FetchRequest_v11) -> set[TopicPartition]:
    return {
        TopicPartition(topic, each) for topic, numbers in request.forgotten_topics_data for each in numbers
    }


@given(wanted=PLACES)
def test_the_first_request_names_all_that_is_wanted(wanted: Places) -> None:
    request = sent(Session(), wanted)
    assert (named(request), forgotten(request)) == (wanted, set())
    assert (request.session_id, request.session_epoch) == (0, 0)
    assert (request.max_wait_time, request.min_bytes, request.max_bytes, request.isolation_level) == TERMS
    assert (request.replica_id, request.rack_id) == (-1, "")


@given(course=st.lists(PLACES, min_size=2, max_size=6))
def test_a_broker_that_keeps_what_it_is_told_knows_what_is_wanted_after_each_request(
    course: list[Places],
) -> None:
    session, kept = Session(), dict[TopicPartition, tuple[int, int]]()
    for epoch, wanted in enumerate(course):
        request = sent(session, wanted)
        assert (request.session_id, request.session_epoch) == (7 if epoch else 0, epoch)
        assert not named(request).items() & kept.items()  # nothing is said again
        kept |= named(request)
        assert forgotten(request) <= kept.keys()
        for partition in forgotten(request):
            del kept[partition]
        assert kept == wanted
        session.go_on(7, wanted)


def test_a_session_that_begins_anew_names_all_again_and_ends_the_one_before() -> None:
    session, wanted = Session(), {TopicPartition("a.v1", 1): (5, 10)}
    session.go_on(7, wanted)
    session.renew()
    request = sent(session, wanted)
    assert (request.session_id, request.session_epoch, named(request)) == (7, 0, wanted)


def test_where_a_broker_keeps_no_session_all_is_named_each_time() -> None:
    session, wanted = Session(), {TopicPartition("a.v1", 1): (5, 10)}
    session.go_on(7, wanted)  # and then it has no room for it any more
    for _ in range(2):
        session.go_on(0, wanted)
        request = sent(session, wanted)
        assert (request.session_id, request.session_epoch, named(request)) == (0, 0, wanted)


def test_the_last_epoch_is_followed_by_the_first() -> None:
    session = Session()
    session.epoch = LAST_EPOCH
    session.go_on(7, {})
    assert session.epoch == 1


@given(answer=ANSWERS)
def test_an_answer_is_read_as_aiokafka_reads_it(answer: tuple[int, int, int, list[object]]) -> None:
    raw = FetchResponse_v11(*answer).encode()
    reply = Reply()
    found = reply.decode(BytesIO(raw))
    expected = FetchResponse_v11.decode(raw)
    assert found == Answer(error_code=answer[1], session=answer[2], topics=expected.topics)
    assert reply.answer is found


@given(answer=ANSWERS, cut=st.integers(1, 200))
def test_an_answer_that_ends_too_early_is_refused(
    answer: tuple[int, int, int, list[object]], cut: int
) -> None:
    raw = FetchResponse_v11(*answer).encode()
    with pytest.raises((struct_error, ValueError)):
        Reply().decode(BytesIO(raw[: max(0, len(raw) - cut)]))


def test_a_partition_without_bytes_has_no_records() -> None:
    found: tuple[object, ...] = (0, 0, 5, 5, 0, [], -1, None)
    answer = Reply().decode(BytesIO(FetchResponse_v11(0, 0, 7, [("a.v1", [found])]).encode()))
    assert answer.topics == [("a.v1", [(*found[:-1], b"")])]
