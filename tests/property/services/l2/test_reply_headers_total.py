"""Every text of a Retry-After is a pause within bounds or none, and none raises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from libs.common.reply_headers import LONGEST_PAUSE_S, not_followed, pause_of
from tests.hostile_texts import obeyed

DIGITS = st.text(alphabet=st.characters(categories=["Nd", "No", "Nl"]), max_size=500)
DATES = st.builds(
    "{}, {} {} {} {}:{}:{} GMT".format,
    st.sampled_from(["Mon", "Fri", "XXX"]),
    st.sampled_from(["00", "01", "29", "31", "99", "\u0660\u0661"]),
    st.sampled_from(["Jan", "Feb", "Dec", "Foo"]),
    st.sampled_from(["0000", "0001", "1970", "2026", "9999", "99999"]),
    *([st.sampled_from(["00", "23", "59", "60", "99"])] * 3),
)


@given(st.text() | DIGITS | DATES, st.floats(0, 1e11))
def test_any_text_is_a_pause_within_bounds_or_none(text: str, now_s: float) -> None:
    pause = pause_of(text, now_s)
    assert pause is None or 0.0 <= pause <= LONGEST_PAUSE_S


@given(st.text())
def test_any_address_is_told_as_one_line(text: str) -> None:
    assert obeyed(not_followed(text)) == ""
    assert len(not_followed(text).splitlines()) == 1
