"""Where a resting order stands in the queue of its price, as far as levels and trades say; pure.

What stood there when it joined is in front of it. Trades at its price take from the front. Of what else goes,
cancellations, it is not told who stood where: the share of those in front is drawn from a law of the venue,
for each of `DRAWS` equally likely queues. So the estimate is a distribution: its median is the queue in
front, its 5 % and 95 % quantiles are the interval, and how many of the queues are gone is the probability of
a fill. Beside it stand two bounds that hold whatever the law: nobody in front canceled, or all who did stood
there.

======  ==========================================================  ==========
symbol  meaning                                                     unit
======  ==========================================================  ==========
a       what stands in front, of one drawn queue; below 0: what     base units
        trades brought beyond it
T       what the level shows, without ours                          base units
x       a / T: how much of the level stands in front                1
c       a part of what was canceled                                 base units
b, n    the law's log odds at the middle and its exponent: at 0     1
        and 1 all stand alike, at b < 0 rather those behind cancel
======  ==========================================================  ==========

``P(c in front) = e^b x^n / (e^b x^n + (1 - x)^n)``, eq. 1: with b = 0 that of [1]_. So
``logit P = b + n logit x`` is a logistic regression, and is learnt as one where the orders themselves are
known [3]_. The queue is FIFO,
and trades and cancellations shorten it [2]_.

References
----------
.. [1] Rigtorp (2013), Estimating order queue position,
   https://rigtorp.se/2013/06/08/estimating-order-queue-position.html:
   ``f(V - a) / (f(V - a) + f(a))`` is the share behind, here with f(x) = x^n.
.. [2] Cont, Stoikov & Talreja (2010), A stochastic model for order book dynamics, section 3: a FIFO queue
   that trades and cancellations shorten.
.. [3] McCormick, Raftery, Madigan & Burd (2012), Dynamic logistic regression and dynamic model averaging,
   eq. 5-7: one Newton step for each observation.
"""

from __future__ import annotations

from decimal import Decimal
from math import ceil, exp, log
from typing import Final

import msgspec
from msgspec.structs import replace

DRAWS: Final = 32
LOW, MEDIAN, HIGH = 1, 15, 30  # places among the sorted draws: 5 %, 50 % (the lower one in front), 95 %
PARTS: Final = 4  # a cancellation of a whole level is at least so many orders
NONE: Final = 1e-9  # base units: less is the rounding of sums of floats; no lot is finer
_EDGE: Final = 1e-6  # x is not nearer to 0 or 1, where its logit ends
_MASK: Final = (1 << 64) - 1


class FrontLaw(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of b and n of a venue: mean and precision of a normal distribution; state.

    The default is what the simulator's orders teach, of the seeds that `python -m tests.bench queue_fills`
    fits on: no venue of the feeds tells its orders one by one. It weighs as much as some 40 cancellations.
    """

    b: float = -0.7
    n: float = 0.25
    precision: tuple[float, float, float] = (10.0, 0.0, 10.0)  # of b, of both, of n


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """The queue of one order at its price; state. A book's sizes have none of our orders in them."""

    qty: float  # of the order as it joined, base units
    own: float = 0.0  # of our own orders that stood in front then: they are served first
    given: Decimal = Decimal(0)  # what this queue has filled of the order
    shown: float  # T, as it was seen last
    draws: tuple[float, ...]  # a of each, before what is pending
    least: float  # a, if all cancellations stood in front
    most: float  # a, if none did
    epoch: int  # of the book when last seen
    traded: float = 0.0  # trades that the level does not show yet
    traded_ts: int = 0  # of the newest of them, ns
    dropped: float = 0.0  # what the level lost, not explained by trades so far: pending
    dropped_ts: int = 0  # when it was lost, ns
    before: float = 0.0  # T before it was lost
    since: int = 0  # trades up to this time are in what it joined, ns
    count: int = 0  # parts of cancellations so far: numbers the draws


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate of what stands in front of an order, base units, never below 0."""

    median: float
    low: float  # 5 % quantile
    high: float  # 95 % quantile
    beyond: float  # what the median queue has let through to the order since it joined, at most its size


def join(shown: float, qty: float, epoch: int, own: float = 0.0, since: int = 0) -> Queue:
    """Return the queue of an order that joins a level of this size, 0 where it is alone; base units.

    `own` is what stands there of our orders, which the feed does not show.
    """
    return Queue(
        qty=qty,
        own=own,
        shown=shown,
        draws=(shown,) * DRAWS,
        least=shown,
        most=shown,
        epoch=epoch,
        since=since,
        before=shown,
    )


def traded(queue: Queue, size: float, ts: int, law: FrontLaw) -> Queue:
    """Return the queue after a trade at its price, of the venue's time `ts` (ns).

    One that is not newer than the level's last loss is (a part of) that loss: it is not taken off twice.
    """
    known = 0.0
    if queue.dropped and ts <= queue.dropped_ts:
        known = min(queue.dropped, size)
    else:
        queue = settled(queue, law)
    floor = -queue.qty - queue.own
    return replace(
        queue,
        draws=tuple(max(floor, a - size) for a in queue.draws),
        least=max(floor, queue.least - size),
        most=max(floor, queue.most - size),
        before=max(0.0, queue.before - known),
        dropped=_clean(queue.dropped - known),
        traded=queue.traded + size - known,
        traded_ts=ts,
    )


def level(queue: Queue, shown: float, ts: int, epoch: int, law: FrontLaw) -> Queue:
    """Return the queue as its level shows this, of the venue's time `ts` (ns).

    Nobody knows what went between two epochs: then the queue is shorter only by what the level shows.
    """
    if epoch != queue.epoch:
        return gap(queue, shown, epoch, since=ts)
    if ts > queue.dropped_ts:
        queue = settled(queue, law)
    change = queue.shown - shown
    if change <= NONE:  # who came stands behind
        waits = queue.traded if ts <= queue.traded_ts else 0.0
        return replace(queue, shown=shown, traded=waits)
    known = min(change, queue.traded)
    left = queue.traded - known if ts <= queue.traded_ts else 0.0
    dropped = _clean(queue.dropped + change - known)
    return replace(
        queue,
        shown=shown,
        traded=left,
        dropped=dropped,
        dropped_ts=ts,
        before=shown + dropped,
    )


def gap(queue: Queue, shown: float, epoch: int, since: int = 0) -> Queue:
    """Return the queue of a book that was not seen for a while: no longer than what the level shows now."""
    return replace(
        queue,
        shown=shown,
        draws=tuple(min(a, shown) for a in queue.draws),
        least=min(queue.least, shown),
        most=min(queue.most, shown),
        epoch=epoch,
        traded=0.0,
        traded_ts=0,
        dropped=0.0,
        dropped_ts=0,
        before=shown,
        since=since,
    )


def settled(queue: Queue, law: FrontLaw) -> Queue:
    """Return the queue where what is pending was canceled: no trade of that time is to come."""
    if not queue.dropped:
        return _capped(queue)
    T, lost = queue.before, queue.dropped
    if lost >= T - NONE:
        return _capped(replace(queue, dropped=0.0, before=queue.shown))
    parts = max(1, ceil(PARTS * lost / T))
    draws = tuple(
        _canceled(a, T, lost, parts, law, (queue.count << 6) + place) for place, a in enumerate(queue.draws)
    )
    after = replace(
        queue,
        draws=draws,
        least=queue.least if queue.least <= 0 else max(0.0, queue.least - lost),
        count=queue.count + parts,
        dropped=0.0,
        before=queue.shown,
    )
    return _capped(after)


def through(queue: Queue, size: float) -> Queue:
    """Return the queue after a trade of this size at a worse price: all in front was taken before."""
    floor = -queue.qty - queue.own
    return replace(
        queue,
        draws=tuple(max(floor, min(0.0, a) - size) for a in queue.draws),
        least=max(floor, min(0.0, queue.least) - size),
        most=max(floor, min(0.0, queue.most) - size),
        dropped=0.0,
        before=queue.shown,
    )


def ahead(queue: Queue, law: FrontLaw) -> Ahead:
    """Return what stands in front of the order now, our own orders too."""
    queue = settled(queue, law)
    a = sorted(each + queue.own for each in queue.draws)
    return Ahead(
        median=max(0.0, a[MEDIAN]),
        low=max(0.0, a[LOW]),
        high=max(0.0, a[HIGH]),
        beyond=min(queue.qty, max(0.0, -a[MEDIAN])),
    )


def fill_probability(queue: Queue, qty: float, law: FrontLaw) -> float:
    """Return the probability that what has traded so far has filled so much of the order, base units."""
    queue = settled(queue, law)
    needed = NONE - queue.own - qty
    if queue.most <= needed:
        return 1.0
    if queue.least > needed:
        return 0.0
    return (sum(a <= needed for a in queue.draws) + 0.5) / (DRAWS + 1)  # Jeffreys' estimate of a share


def in_front(x: float, law: FrontLaw) -> float:
    """Return the probability that what is canceled stood in front, eq. 1, of x in [0, 1]."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    z = _logit(min(1.0 - _EDGE, max(_EDGE, x)))
    return 1.0 / (1.0 + exp(-law.b - law.n * z))


def learn(law: FrontLaw, x: float, *, front: bool) -> FrontLaw:
    """Return the law after an order canceled, in front of a place x of its level or behind it [3]_."""
    z = _logit(min(1.0 - _EDGE, max(_EDGE, x)))
    p = 1.0 / (1.0 + exp(-law.b - law.n * z))
    bb, bn, nn = law.precision
    w, r = p * (1.0 - p), front - p
    bb, bn, nn = bb + w, bn + w * z, nn + w * z * z
    det = bb * nn - bn * bn
    return FrontLaw(
        b=law.b + r * (nn - bn * z) / det, n=law.n + r * (bb * z - bn) / det, precision=(bb, bn, nn)
    )


def _canceled(a: float, T: float, lost: float, parts: int, law: FrontLaw, number: int) -> float:
    """Return a after so much of the level went, in parts, each of them from in front or from behind."""
    c = lost / parts
    for part in range(parts):
        if a <= 0.0:
            return a
        behind = T - a
        front = min(a, c) if _uniform(number + (part << 6)) < in_front(a / T, law) else max(0.0, c - behind)
        a, T = a - front, T - c
    return a


def _capped(queue: Queue) -> Queue:
    """Return the queue no longer than what the level shows."""
    shown = queue.shown
    if queue.most <= shown:
        return queue
    return replace(
        queue,
        draws=tuple(min(a, shown) for a in queue.draws),
        least=min(queue.least, shown),
        most=shown,
    )


def _clean(size: float) -> float:
    return size if size > NONE else 0.0


def _logit(x: float) -> float:
    return log(x / (1.0 - x))


def _uniform(number: int) -> float:
    """Return a number in [0, 1) for each number: SplitMix64 (Steele, Lea & Flood, 2014, fig. 16)."""
    z = (number * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) / 2**64
