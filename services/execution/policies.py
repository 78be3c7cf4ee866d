"""The trading policies among which the router chooses; each a pure function of a market to a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from libs.common.events import Candle, Features  # noqa: TC001 -- msgspec resolves annotations at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class UnknownPolicyError(ValueError):
    """An id that names no policy."""


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy sees of one symbol at the reference venue."""

    minutes: tuple[Candle, ...]  # closed 1m candles, oldest first
    days: tuple[Candle, ...]  # closed 1d candles, oldest first
    features: Features | None  # of the LIVE book; None: there is none


class Signal(msgspec.Struct, frozen=True):
    """A target: +1 fully long, 0 flat, negative short (or none, where shorting is off)."""

    value: float  # in [-1, 1]
    reason: str


def signal_of(policy_id: str, market: Market) -> Signal:
    """Return what the policy wants of this market.

    Raises
    ------
    UnknownPolicyError
        If there is no such policy; the message lists those there are.
    """
    raise NotImplementedError


POLICIES: Mapping[str, Callable[[Market], Signal]] = {}
