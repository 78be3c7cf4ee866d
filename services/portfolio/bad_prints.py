"""Which daily closes are no prices that anybody could trade at.

======  =============================================  ======
symbol  meaning                                        unit
======  =============================================  ======
l       log return over a day                          1
s       robust sigma of l: 1.4826 MAD, 1 % at least    1
======  =============================================  ======

A move of more than 20 s that the next day takes back, but for 5 s, is a bad print: its day and the next say
nothing of the risk and are left out. A move that stays is a crash or a rise, and is kept. Where the day
before or the day after is not there, as for the newest and the first, neither can be told: it counts as 20 s.
All are told.

References
----------
.. [1] Rousseeuw & Croux (1993), Alternatives to the median absolute deviation: 1.4826 MAD is consistent for a
   normal law's sigma, and up to half of the days may be wrong.
.. [2] Brownlees & Gallo (2006), Financial econometric analysis at ultra-high frequency: data handling
   concerns, 3: a price is an outlier against its neighbours, measured in their own dispersion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from services.portfolio.measures import Vector

JUMP: Final = 20.0  # robust sigmas
BACK: Final = 5.0  # robust sigmas from where it started
LEAST_SIGMA: Final = 0.01  # so that a stablecoin that loses its peg for a day has lost it
LEAST_PRICE: Final = 1e-12  # quote units; what is not within these is no price
MOST_PRICE: Final = 1e12


class Suspect(NamedTuple):
    """A day whose move is out of all proportion."""

    day: int  # since 1970 UTC
    change: float  # fraction
    kept: bool
    why: str
    counted: float  # fraction: `change`, or as much of it as one day alone can show


def is_price(closes: Vector) -> NDArray[np.bool_]:
    """Tell which numbers can be prices; NaN, zero and the infinities cannot."""
    return np.asarray((closes >= LEAST_PRICE) & (closes <= MOST_PRICE))


def suspects(days: NDArray[np.int64], l: Vector) -> tuple[Suspect, ...]:  # noqa: E741 -- the table's symbol
    """Return the days that moved by more than 20 robust sigmas, oldest first [1]_ [2]_.

    Parameters
    ----------
    days
        Ascending, (T,).
    l
        Log return over each day, finite, (T,).
    """
    if not len(l):
        return ()
    s = max(1.4826 * float(np.median(np.abs(l - np.median(l)))), LEAST_SIGMA)
    found: list[Suspect] = []
    for i in np.flatnonzero(np.abs(l) > JUMP * s).tolist():
        day, change = int(days[i]), float(np.expm1(l[i]))
        if found and found[-1].day == day - 1 and not found[-1].kept:
            continue  # the way back
        before, after = day - 1 in days[max(0, i - 1) : i], day + 1 in days[i + 1 : i + 2]
        if after and abs(l[i] + l[i + 1]) <= BACK * s:
            found.append(
                Suspect(day, change, kept=False, why="left out: the next day took it back", counted=0.0)
            )
        elif before and after:
            why = "kept: the next day did not take it back"
            found.append(Suspect(day, change, kept=True, why=why, counted=change))
        else:
            counted = float(np.expm1(np.copysign(JUMP * s, l[i])))
            why = f"kept as {counted:+.1%}: no day {'after' if before else 'before'} has confirmed it"
            found.append(Suspect(day, change, kept=True, why=why, counted=counted))
    return tuple(found)
