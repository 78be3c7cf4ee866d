"""Every field of every event says what it means, in which unit, and when it is null; and nothing else."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from libs.common import events
from libs.common.codec import encode
from libs.common.meanings import (
    Bps,
    Count,
    Milliseconds,
    Ns,
    QuoteAmount,
    QuoteUnits,
    Word,
    meaning,
    unit,
)
from libs.common.schemas import Moment, schemas_of
from libs.common.topics import TOPICS
from tests.full_valued import full
from tests.said import faults

EVENTS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__module__ == events.__name__
]
KINDS = dict.fromkeys(kind for topic in TOPICS.values() for kind in topic.events)
REF = "#/components/schemas/{name}"


def described(kind: type[msgspec.Struct], name: str, moment: Moment) -> str:
    found: str = schemas_of([kind], REF, moment)[kind.__name__]["properties"][name]["description"]
    return found


def is_word(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Word) and kind is not Word


def test_every_field_of_every_event_and_part_says_its_meaning_unit_and_null() -> None:
    assert len(EVENTS) > 70
    assert faults(EVENTS) == []


class Mood(Word):
    """How it is."""

    WELL = "well", "as it should be"
    ILL = "ill"


class Deep(msgspec.Struct):
    """A part that says nothing."""

    price: float


@pytest.mark.parametrize(
    ("name", "hint", "fault"),
    [
        ("price", QuoteUnits, "price has no meaning"),
        ("price", Annotated[QuoteUnits, meaning(" ")], "price has no meaning"),
        ("best_bid", Annotated[QuoteUnits, meaning("Best bid")], "best_bid says but its name"),
        ("price", Annotated[float, meaning("paid")], "price has a number without unit"),
        ("rows", Annotated[tuple[tuple[float, ...], ...], meaning("all")], "rows has a number without unit"),
        ("pair", Annotated[tuple[QuoteUnits, int], meaning("both")], "pair has a number without unit"),
        ("by", Annotated[dict[str, float | str], meaning("each")], "by has a number without unit"),
        ("open", Annotated[bool, meaning("more may come"), unit("count")], "open has a unit and no number"),
        ("text", Annotated[str, meaning("why"), unit("words")], "text has a unit and no number"),
        (
            "price",
            Annotated[QuoteAmount | None, meaning("paid")],
            "price may be null, and does not say when",
        ),
        (
            "price",
            Annotated[QuoteAmount, meaning("paid", null="before that")],
            "price says when it is null, and never is",
        ),
        ("price", Annotated[QuoteUnits, meaning("paid; None: no")], "price speaks of null in its meaning"),
        ("price", Annotated[QuoteUnits, meaning("paid, null if not")], "price speaks of null in its meaning"),
        ("ts", Annotated[Milliseconds, meaning("when")], "ts is ms by its type and moment by its name"),
        ("begin", Annotated[Ns, meaning("when")], "begin is a moment, and its name does not end with ts"),
        ("cost_bps", Annotated[Count, meaning("paid")], "cost_bps is count by its type and bps by its name"),
        ("deep", Annotated[Deep, meaning("inside")], "Deep.price has no meaning"),
        ("mood", Annotated[Mood, meaning("how it is")], "Mood: <Mood.ILL: 'ill'> has no meaning"),
    ],
)
def test_each_fault_of_a_field_is_found(name: str, hint: Any, fault: str) -> None:
    kind = msgspec.defstruct("Made", [(name, hint)])
    assert any(fault in found for found in faults([kind])), faults([kind])


@pytest.mark.parametrize("kind", KINDS)
def test_the_words_are_not_on_the_wire(kind: type[events.Event]) -> None:
    event = full(kind)
    fields = {name: getattr(event, name) for name in kind.__struct_fields__}
    assert encode(event) == msgspec.msgpack.encode({"type": kind.__name__, **fields})


@pytest.mark.parametrize("kind", [kind for kind in vars(events).values() if is_word(kind)])
def test_a_word_is_its_text_on_the_wire_and_in_words(kind: type[Word]) -> None:
    for word in kind:
        assert msgspec.msgpack.encode(word) == msgspec.msgpack.encode(str(word.value))
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(word), type=kind) is word
        assert f"{word}" == word.value == kind(word.value)


def description_of(kind: type[msgspec.Struct], name: str, moment: Moment) -> str:
    return str(schemas_of([kind], REF, moment)[kind.__name__]["properties"][name]["description"])


def test_a_description_is_meaning_unit_and_null() -> None:
    assert described(events.BookTop, "seq", "ns") == "ours: of the last delta inside (ordinal)"
    assert (
        described(events.VenueMetrics, "spread_bps", "ms")
        == "best ask minus best bid, of the mid (bps); null without a book of two sides"
    )
    assert described(events.PaperOrder, "avg_px", "ms") == (
        "average price of its fills: cum_quote / cum_qty (quote units); null without a fill"
    )


def test_a_moment_is_counted_as_its_document_counts() -> None:
    said = described(events.Trade, "venue_ts", "ns"), described(events.Trade, "venue_ts", "ms")
    assert said == (
        "the venue's time of the trade (ns since 1970 UTC)",
        "the venue's time of the trade (ms since 1970 UTC)",
    )
    assert described(events.BookTop, "epoch", "ns").endswith("(ms since 1970 UTC)")


def test_a_struct_says_its_own_words_and_those_of_what_it_contains() -> None:
    kind = msgspec.defstruct(
        "Answer",
        [("spread_bps", Annotated[Bps, meaning("wide")]), ("state", events.BookState)],
        rename="camel",
    )
    found = schemas_of([kind], REF, "ms")
    assert found["Answer"]["properties"]["spreadBps"]["description"] == "wide (bps)"
    assert "HALTED: the venue says that it does not match now" in found["BookState"]["description"]
