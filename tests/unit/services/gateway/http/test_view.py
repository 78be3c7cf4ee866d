from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from libs.common.events import Event, Part
from services.gateway.http.view import Computed, View, encode


class Leg(Part, frozen=True, kw_only=True):
    """One leg."""

    leg_size: Decimal = Decimal("1E+2")
    sent_ts: int = 3_999_999


class Deal(Event, frozen=True, kw_only=True):
    """A deal."""

    deal_id: Annotated[str, Meta(description="UUID of the deal")] = "d"
    paid: Decimal = Decimal("2.50")
    sent_ts: int | None = 1_999_999
    legs: tuple[Leg, ...] = (Leg(),)
    by_venue: dict[str, Leg] = msgspec.field(default_factory=dict)
    best: Leg | None = None
    ts: Annotated[int, Meta(description="when it was made")] = 2_000_000


def told(view: View[Any], event: Event | None = None, **given: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(encode(view(event or Deal(), **given)))
    return answer


def schema(view: View[Any]) -> dict[str, Any]:
    _, found = msgspec.json.schema_components([view.struct])
    return found


def test_by_rule_names_are_in_camel_case_moments_in_ms_and_parts_are_viewed() -> None:
    leg = {"legSize": 100.0, "sentTs": 3}
    deal = Deal(by_venue={"okx_eu": Leg()}, best=Leg())
    assert told(View("DealAnswer", Deal), deal) == {
        "dealId": "d",
        "paid": 2.5,
        "sentTs": 1,
        "legs": [leg],
        "byVenue": {"okx_eu": leg},
        "best": leg,
        "ts": 2,
    }


def test_what_is_null_in_the_event_is_null_in_the_answer() -> None:
    answer = told(View("DealAnswer", Deal), Deal(sent_ts=None))
    assert (answer["sentTs"], answer["best"]) == (None, None)


@pytest.mark.parametrize(
    ("decimals", "paid", "size"),
    [("number", 2.5, 100.0), ("text", "2.50", "1E+2"), ("plain text", "2.50", "100")],
)
def test_decimals_are_written_as_the_view_says_inside_its_parts_too(
    decimals: Any, paid: object, size: object
) -> None:
    answer = told(View("DealAnswer", Deal, decimals=decimals))
    assert (answer["paid"], answer["legs"][0]["legSize"]) == (paid, size)


def test_a_part_has_a_view_of_its_own_under_its_own_name() -> None:
    leg = View("LegAnswer", Leg, rename={"sent_ts": "at"}, decimals="text")
    view = View("DealAnswer", Deal, parts=(leg,))
    assert told(view)["legs"] == [{"legSize": "1E+2", "at": 3}]
    assert schema(view).keys() == {"DealAnswer", "LegAnswer"}


def test_a_field_that_is_dropped_is_neither_answered_nor_documented() -> None:
    view = View("DealAnswer", Deal, drop=("paid", "legs"))
    assert not {"paid", "legs"} & (told(view).keys() | schema(view)["DealAnswer"]["properties"].keys())


def test_a_field_is_renamed_to_the_very_name_that_is_declared() -> None:
    view = View("DealAnswer", Deal, rename={"deal_id": "deal_key"})
    assert told(view)["deal_key"] == "d"
    assert "dealId" not in told(view)


def test_a_changed_field_keeps_its_type_its_words_and_its_rule() -> None:
    view = View(
        "DealAnswer",
        Deal,
        change={"paid": lambda deal, times: deal.paid * times, "ts": lambda deal: deal.ts + 5_000_000},
    )
    assert (told(view, times=3)["paid"], told(view, times=3)["ts"]) == (7.5, 7)
    assert schema(view)["DealAnswer"]["properties"]["ts"] == {
        "type": "integer",
        "description": "when it was made",
    }


def test_a_computed_field_is_made_of_the_event_and_of_what_is_given_and_follows_the_rules() -> None:
    view = View(
        "DealAnswer",
        Deal,
        drop=("sent_ts",),
        computed={
            "net_paid": Computed(Decimal, "less the fee, quote units", lambda deal, fee: deal.paid - fee),
            "sent_ts": Computed(int | None, "when it left", lambda deal: deal.sent_ts),
            "first": Computed(Leg | None, "its first leg", lambda deal: deal.legs[0] if deal.legs else None),
        },
        parts=(View("LegAnswer", Leg, drop=("leg_size",)),),
        decimals="plain text",
    )
    answer = told(view, fee=Decimal("0.50"))
    assert (answer["netPaid"], answer["sentTs"], answer["first"]) == ("2.00", 1, {"sentTs": 3})
    assert told(view, Deal(legs=(), sent_ts=None), fee=0)["first"] is None
    assert schema(view)["DealAnswer"]["properties"]["netPaid"]["description"] == "less the fee, quote units"


class Fee(Part, frozen=True, kw_only=True):
    """What is paid; `fee_bps` of `paid_px`."""

    fee_bps: Annotated[float, Meta(description="of paid_px, as in fee_bps_tier", ge=0)] = 1.0
    paid_px: float = 1.0


def test_words_name_fields_as_callers_read_them_and_whatever_else_the_type_says_stays() -> None:
    found = schema(View("FeeAnswer", Fee, rename={"paid_px": "price"}))["FeeAnswer"]
    assert found["description"] == "What is paid; `feeBps` of `price`."
    assert found["properties"]["feeBps"] == {
        "type": "number",
        "description": "of price, as in fee_bps_tier",
        "minimum": 0,
    }


def test_the_schema_has_the_words_of_the_event_and_of_its_fields() -> None:
    found = schema(View("DealAnswer", Deal))["DealAnswer"]
    assert (found["title"], found["description"]) == ("DealAnswer", "A deal.")
    assert found["properties"]["dealId"]["description"] == "UUID of the deal"
    assert schema(View("DealAnswer", Deal, "A trade."))["DealAnswer"]["description"] == "A trade."


@pytest.mark.parametrize("given", [{}, {"fee": 1, "more": 2}])
def test_something_else_given_than_fields_are_made_of_is_a_type_error(given: dict[str, object]) -> None:
    view = View("DealAnswer", Deal, computed={"fee": Computed(int, "the fee", lambda _, fee: fee)})
    with pytest.raises(TypeError, match=r"fee|more"):
        view(Deal(), **given)


class Unruly(Event, frozen=True, kw_only=True):
    """What no rule is for."""

    either: Leg | Deal = Leg()


class Twice(Event, frozen=True, kw_only=True):
    """Two names that are one in camel case."""

    a_b: int = 0
    aB: int = 0  # noqa: N815 -- as an event must not be


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ({"drop": ("price",)}, r"DealAnswer: Deal has no \['price'\] to drop; it has deal_id, paid,"),
        ({"rename": {"price": "p"}}, r"Deal has no \['price'\] to rename"),
        ({"change": {"price": lambda _: 0}}, r"Deal has no \['price'\] to change"),
        ({"drop": ("paid",), "rename": {"paid": "p"}}, r"Deal has no \['paid'\] to rename"),
        ({"rename": {"paid": "legs"}}, r"two fields are called \['legs'\]"),
        ({"computed": {"paid": Computed(int, "x", lambda _: 0)}}, r"two fields are called \['paid'\]"),
        ({"computed": {"dealId": Computed(int, "x", lambda _: 0)}}, r"two fields are called \['dealId'\]"),
        ({"kind": Leg, "parts": (View("L", Leg),)}, r"there is no \['Leg'\] in Leg"),
        (
            {"drop": ("legs", "by_venue", "best"), "parts": (View("L", Leg),)},
            r"there is no \['Leg'\] in Deal",
        ),
        ({"kind": Unruly}, r"there is no rule for .*Leg.*Deal.*; drop it, and compute"),
        ({"kind": Twice}, r"two fields are called \['aB'\]"),
    ],
)
def test_a_wrong_declaration_fails_at_once_and_says_what_is_wrong(
    differences: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        View(**{"name": "DealAnswer", "kind": Deal, **differences})
