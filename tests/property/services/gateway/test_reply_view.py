"""What the view of kept replies counts by address is what a look at all of them counts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from libs.common.events import IdempotentReply
from services.gateway.asking.idempotency import ReplyView

REPLY = st.none() | st.builds(
    IdempotentReply,
    request_hash=st.just("0"),
    status=st.just(200),
    body=st.binary(max_size=9),
    ts=st.just(1),
    caller=st.sampled_from(["", "a", "b"]),
)
FOLDS = st.lists(st.tuples(st.sampled_from([b"", b"k", b"key", b"other"]), REPLY), max_size=40)


@given(folds=FOLDS)
def test_the_shares_are_those_of_the_replies_that_are_kept(
    folds: list[tuple[bytes, IdempotentReply | None]],
) -> None:
    view = ReplyView()
    for offset, (key, reply) in enumerate(folds):
        view.fold(0, offset, key, reply)
    keys: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for key, kept in view.items.items():
        keys[kept.caller] += 1
        sizes[kept.caller] += len(key) + len(kept.body)
    assert (view.keys.total, view.bytes.total) == (keys.total(), sizes.total())
    for caller in ("", "a", "b"):
        assert (view.keys.of(caller), view.bytes.of(caller)) == (keys[caller], sizes[caller])
    assert len(view.keys) == len(keys)
