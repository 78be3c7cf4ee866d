from __future__ import annotations

import pytest

from libs.cli.errors import UsageError
from libs.cli.starts import At, Beginning, End, Offset, Start, parse_start

NOW_MS = 1_788_000_000_123


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Beginning()),
        ("End", End()),
        ("-10m", At(NOW_MS - 600_000)),
        ("-1.5h", At(NOW_MS - 5_400_000)),
        ("-250ms", At(NOW_MS - 250)),
        ("-99999d", At(0)),
        ("0", Offset(0)),
        ("1234", Offset(1234)),
        ("2026-08-29T10:40:00Z", At(1_788_000_000_000)),
        ("2026-08-29 10:40", At(1_788_000_000_000)),
        ("2026-08-29T12:40:00.123+02:00", At(NOW_MS)),
    ],
)
def test_a_start_is_read_as_it_is_documented(text: str, start: Start) -> None:
    assert parse_start(text, NOW_MS) == start


@pytest.mark.parametrize("text", ["", "yesterday", "-10", "10m", "-m", "-1e3s", "1.5", "-5"])
def test_anything_else_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(UsageError, match=r"beginning, end, -10m"):
        parse_start(text, NOW_MS)
