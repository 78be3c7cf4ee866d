"""`counted`: a number and what it counts, as a sentence has them; pure."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 trade`` or ``1,234 trades``; `many` where it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
