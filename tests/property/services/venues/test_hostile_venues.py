"""Records of the topics that venues read, with any values: none raises, and an honest command is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.common.events import BookHealth, BookTop, CommandRejected, Event, ScoreVenues, VenueScored
from libs.common.time_units import NS_PER_S
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, VENUES_COMMANDS
from services.venues.app import INPUTS
from tests.hostile import decoded_again, messages
from tests.venue_market import NOW, a_health, a_score, a_top
from tests.venues_alone import Venues

if TYPE_CHECKING:
    from libs.common.topics import Topic

RUNS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
HOME = {"venue": "binance", "symbol": "BTC-USDT"}
KEYS = st.sampled_from(
    (b"binance:BTC-USDT", b"okx:BTC-USDT", b"binance:", b"", b"\xff:BTC-USDT", b"okx:\xff")
)
TIMES = ("ts", "since_ts", "received_ts", "venue_ts")
SOUND = ("binance", "okx")


def records() -> st.SearchStrategy[tuple[Topic, Event]]:
    kinds = [(topic, kind) for topic in INPUTS for kind in topic.events]
    return st.one_of(*(st.tuples(st.just(topic), messages(kind)) for topic, kind in kinds))


def at_home(message: Event) -> Event:
    """Return a message of the book that commands are about, as fresh as an honest one."""
    known: dict[str, str | int] = {k: v for k, v in HOME.items() if k in message.__struct_fields__}
    if isinstance(message, BookTop | BookHealth):
        known |= {name: NOW for name in TIMES if name in message.__struct_fields__} | {"epoch": 1}
    return replace(message, **known)


def honest_answer(venues: Venues, number: int) -> Event:
    (answer,) = venues.tell(VENUES_COMMANDS, a_score(number))
    return answer


@RUNS
@given(data=st.data())
def test_no_record_of_a_stranger_raises_and_an_honest_command_is_scored_again(data: st.DataObject) -> None:
    venues = Venues()
    for topic, message in data.draw(st.lists(records(), max_size=6)):
        told = at_home(message) if data.draw(st.booleans()) else message
        if decoded_again(told) is not None:
            venues.tell(topic, told, data.draw(KEYS))
    assert isinstance(honest_answer(venues, 1), VenueScored | CommandRejected)
    venues.now += 60 * NS_PER_S
    for seq in range(2, 14):  # what strangers made venues believe is outlived by what owners say
        venues.now += NS_PER_S
        for venue in SOUND:
            key = f"{venue}:BTC-USDT".encode()
            venues.tell(L2_BOOK_TOPS, a_top(venue, now=venues.now, epoch=2**63, seq=seq), key)
            health = a_health(venue, now=venues.now, since_ts=NOW, epoch=2**63, requests=seq)
            venues.tell(L2_BOOK_HEALTH, health, key)
    answer = honest_answer(venues, 2)
    assert isinstance(answer, VenueScored), answer


@RUNS
@given(data=st.data())
def test_whatever_the_views_hold_a_command_is_scored_or_refused_and_healths_are_measured(
    data: st.DataObject,
) -> None:
    venues = Venues()
    for venue in SOUND:
        key = f"{venue}:BTC-USDT".encode()
        venues.tell(L2_BOOK_TOPS, a_top(venue), key)
        venues.tell(L2_BOOK_HEALTH, a_health(venue), key)
    tops, healths = (st.lists(messages(kind), max_size=2) for kind in (BookTop, BookHealth))
    for topic, shown in ((L2_BOOK_TOPS, data.draw(tops)), (L2_BOOK_HEALTH, data.draw(healths))):
        for message in shown:
            told = decoded_again(at_home(message) if data.draw(st.booleans()) else message)
            if told is not None:
                venues.show(topic, told, data.draw(KEYS))
    for venue in SOUND:
        venues.tell(L2_BOOK_HEALTH, a_health(venue, requests=2), b"another:key")
    for number, side in enumerate(("buy", "sell")):
        (answer,) = venues.tell(VENUES_COMMANDS, a_score(number, side=side))  # type: ignore[arg-type]
        assert isinstance(answer, VenueScored | CommandRejected)
    for command in data.draw(st.lists(messages(ScoreVenues), max_size=3)):
        told = at_home(command)
        if decoded_again(told) is not None:
            (answer,) = venues.tell(VENUES_COMMANDS, told)
            assert isinstance(answer, VenueScored | CommandRejected)
    (refused,) = venues.tell(VENUES_COMMANDS, a_score(9, symbol="DOGE-USDT"))
    assert isinstance(refused, CommandRejected)
    assert len(refused.detail) < 10_000, "an answer fits into a record, however many books there are"


COUNTS = st.sampled_from((-(2**63), -1, 0, 2**63, 2**64 - 1))


@RUNS
@given(
    told=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "gaps": COUNTS,
                "disconnects": COUNTS,
                "request_ns": COUNTS,
                "rate_remaining": st.floats(),
                "since_ts": COUNTS,
            },
        ),
        max_size=5,
    )
)
def test_no_count_of_a_stranger_spoils_what_is_measured_of_a_venue(told: list[dict[str, Any]]) -> None:
    venues = Venues()
    key = b"binance:BTC-USDT"
    venues.tell(L2_BOOK_TOPS, a_top(), key)
    for requests, counts in enumerate(told, 2):
        venues.tell(L2_BOOK_HEALTH, replace(a_health(requests=requests), **counts), key)
        venues.tell(L2_BOOK_HEALTH, a_health(requests=10 + requests), key)
        assert isinstance(honest_answer(venues, requests), VenueScored | CommandRejected)
