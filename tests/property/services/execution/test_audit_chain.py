from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from libs.common.audit_chain import GENESIS, broken_links, canonical, link

if TYPE_CHECKING:
    from decimal import Decimal

    from libs.common.events import AuditEntry

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
PAYLOADS = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), JSON, max_size=4)


DOUBLES = st.floats(allow_nan=False, allow_infinity=False) | st.builds(
    lambda digits, exponent: float(f"{digits}e{exponent}"),
    st.integers(-(10**17), 10**17),
    st.integers(-40, 25),
)


@given(PAYLOADS, st.lists(DOUBLES, max_size=8))
@example({"\U00010000": 1, "\uffff": 2, '\x7f\x1f\n\u2028\\"/': [-0.0, ()]}, [1e16, 1e-4, 9.999e-5, 5e-324])
def test_the_canonical_form_is_that_of_an_independent_implementation(
    payload: dict[str, Any], doubles: list[float]
) -> None:
    whole = payload | {"doubles": doubles, "more": {"of them": tuple(doubles)}}
    assert canonical(whole).encode() == rfc8785.dumps(whole)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2**53, -(2**53), b"", {1}])
def test_what_json_cannot_hold_exactly_is_refused(value: Any) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical({"a": [value]})


def a_chain(payloads: list[dict[str, Any]]) -> list[AuditEntry]:
    chain: list[AuditEntry] = []
    for n, payload in enumerate(payloads):
        head = chain[-1].hash if chain else GENESIS
        chain.append(link("x", n, 1_767_225_600_123_456_789 + n, f"kind{n}", payload, head))
    return chain


@given(st.lists(PAYLOADS, min_size=1, max_size=5))
def test_a_chain_is_whole(payloads: list[dict[str, Any]]) -> None:
    assert broken_links(a_chain(payloads)) == []


@given(st.lists(PAYLOADS, min_size=1, max_size=5), st.data())
def test_any_altered_entry_is_found(payloads: list[dict[str, Any]], data: st.DataObject) -> None:
    chain = a_chain(payloads)
    place = data.draw(st.integers(0, len(chain) - 1))
    entry = chain[place]
    name = data.draw(st.sampled_from([f for f in entry.__struct_fields__ if f != "execution_id"]))
    old = asdict(entry)[name]
    if isinstance(old, int):
        new: Any = old + data.draw(st.integers(-3, 3))
    else:
        raw = bytearray(old.encode())
        bit = data.draw(st.integers(0, 8 * len(raw) - 1))
        raw[bit // 8] ^= 1 << (bit % 8)
        new = raw.decode("utf-8", "replace")
    assume(new != old)
    chain[place] = replace(entry, **{name: new})
    assert broken_links(chain)


@given(st.lists(PAYLOADS, min_size=2, max_size=5), st.data())
def test_a_missing_or_moved_entry_is_found(payloads: list[dict[str, Any]], data: st.DataObject) -> None:
    chain = a_chain(payloads)
    place = data.draw(st.integers(0, len(chain) - 2))
    assert broken_links(chain[:place] + chain[place + 1 :])
    swapped = [*chain[:place], chain[place + 1], chain[place], *chain[place + 2 :]]
    assert broken_links(swapped)


def test_the_hash_is_that_of_the_canonical_json_of_rfc_8785_by_hand() -> None:
    entry = link("x", 0, 1_767_225_600_123_456_789, "fill", {"b": 1.0, "a": "é", "c": [1e21, True]}, GENESIS)
    by_hand = '{"kind":"fill","payload":{"a":"é","b":1,"c":[1e+21,true]},"seq":0,"ts":1767225600123}'
    assert entry.hash == hashlib.sha256((GENESIS + by_hand).encode()).hexdigest()
    assert json.loads(entry.payload) == {"a": "é", "b": 1, "c": [1e21, True]}


@given(st.integers(-(2**80), 2**80), st.decimals(allow_nan=False, allow_infinity=False), PAYLOADS)
def test_an_entry_holds_what_json_cannot_as_text_and_the_rest_as_it_is(
    large: int, amount: Decimal, payload: dict[str, Any]
) -> None:
    told = link("x", 0, 0, "kind", {"large": [large], "amount": amount, "more": payload}, GENESIS)
    assert told.payload == canonical(
        {
            "large": [large if abs(large) < 2**53 else str(large)],
            "amount": str(amount),
            "more": payload,
        }
    )
