"""Whether what stood on a topic when its partitions were given has been handled; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

QUIET_S: Final = 0.5  # what was fetched is handled before that
PATIENCE_S: Final = 15.0  # a machine too slow for the market tells so by its lag, and scores nevertheless


def caught_up(
    ends: Mapping[int, int], reached: Mapping[int, int], positions: Mapping[int, int], waited_s: float
) -> bool:
    """Tell whether nothing is left of what stood there.

    Parameters
    ----------
    ends
        The next offset of each partition, when it was given.
    reached
        The offset of the last record that was handled since.
    positions
        The next offset to be fetched.
    waited_s
        Since then.
    """
    if waited_s > PATIENCE_S:
        return True
    for number, end in ends.items():
        if number in reached:
            done = reached[number] + 1 >= end
        else:  # all of it was handled by a former owner, or it has not come out of the fetcher yet
            done = end == 0 or (positions[number] >= end and waited_s >= QUIET_S)
        if not done:
            return False
    return True
