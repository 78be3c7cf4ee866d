"""What the top of a LIVE book says: the features of its levels; pure.

Symbols, with levels (p_i, q_i) best first:

======== ==================================== ===========
symbol   meaning                              unit
======== ==================================== ===========
b1, a1   best bid and ask                     quote
qb1, qa1 their sizes                          base
m        mid                                  quote
Qb, Qa   sum of the best k sizes of a side    base
k        5 levels                             1
x        10, half width of the depth band     bps of m
======== ==================================== ===========

References
----------
Cont, Kukanov & Stoikov (2014), The price impact of order book events.
Gould & Bonart (2016), Queue imbalance as a one-tick-ahead price predictor in a limit order book.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from libs.common.events import Features

if TYPE_CHECKING:
    from libs.common.order_book import OrderBook

K: Final = 5
DEPTH_BPS: Final = 10.0


def features_of(book: OrderBook, trade_imbalance: float | None = None) -> Features | None:
    """Return the features of a book, None while a side is empty.

    Notes
    -----
    ``m = (b1 + a1) / 2``, ``spread = 1e4 (a1 - b1) / m``, ``obi = (Qb - Qa) / (Qb + Qa)``.
    The microprice is the weighted mid ``(b1 qa1 + a1 qb1) / (qa1 + qb1)``, not Stoikov's (2018) micro-price,
    which is a martingale limit fitted to imbalance and spread. Depth sums the sizes with
    ``|p_i - m| <= m x 1e-4``.
    """
    bids, asks = book.bids(K), book.asks(K)
    depth_bid, depth_ask = book.depth_within("bid", DEPTH_BPS), book.depth_within("ask", DEPTH_BPS)
    if depth_bid is None or depth_ask is None:
        return None
    (b1, qb1), (a1, qa1) = bids[0], asks[0]
    mid = (b1 + a1) / 2
    bid_size, ask_size = math.fsum(q for _, q in bids), math.fsum(q for _, q in asks)
    return Features(
        mid=mid,
        microprice=b1 + (a1 - b1) * (qb1 / (qb1 + qa1)),  # the weighted mid, written so that it stays inside
        spread_bps=1e4 * (a1 - b1) / mid,
        obi=(bid_size - ask_size) / (bid_size + ask_size),
        depth_bid=depth_bid.size,
        depth_ask=depth_ask.size,
        depth_truncated=depth_bid.truncated or depth_ask.truncated,
        trade_imbalance=trade_imbalance,
    )
