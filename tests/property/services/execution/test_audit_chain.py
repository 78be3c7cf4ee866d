from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from libs.common.audit_chain import GENESIS, broken_links, link

if TYPE_CHECKING:
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
