from __future__ import annotations

from libs.common.events import ContextSource, SourceState
from services.context.troubles import RECOVERED, TROUBLED, Troubles

FRESH, FAILING, STALE = SourceState.FRESH, SourceState.FAILING, SourceState.STALE


def lines(*polls: tuple[SourceState, int]) -> list[str | None]:
    """Return what is written of a source that stands so after each poll, with so many failures in a row."""
    troubles = Troubles()
    return [
        troubles.line(ContextSource(source="okx", names=(), state=state, next_ts=0, ts=0), failures)
        for state, failures in polls
    ]


def test_a_failure_in_passing_is_no_news_and_neither_is_its_end() -> None:
    assert lines((FAILING, 1), (FRESH, 0), (FAILING, 1), (FRESH, 0)) == [None, None, None, None]


def test_a_trouble_that_stays_is_told_once_and_so_is_its_end() -> None:
    polls = ((FAILING, 1), (FAILING, 2), (FAILING, 3), (FRESH, 0), (FRESH, 0))
    assert lines(*polls) == [None, TROUBLED, None, RECOVERED, None]


def test_an_answer_that_gives_nothing_new_is_told_at_once() -> None:
    assert lines((STALE, 0), (STALE, 0), (FRESH, 0)) == [TROUBLED, None, RECOVERED]


def test_a_source_that_answers_again_without_anything_new_is_told_as_such() -> None:
    assert lines((FAILING, 1), (FAILING, 2), (STALE, 0), (FRESH, 0)) == [None, TROUBLED, TROUBLED, RECOVERED]
