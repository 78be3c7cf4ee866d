"""The fees of an account at each venue, where its tier is another than the lowest; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from libs.common.settings import Settings
from libs.common.venues import VENUES, UnknownVenueError, venue_of

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BPS: Final = 1_000.0
LEAST_BPS: Final = -100.0  # a rebate


class Fees(NamedTuple):
    """What a venue takes of a trade."""

    taker_bps: float
    maker_bps: float


def fees_from(text: str) -> Mapping[str, Fees]:
    """Return the fees that a setting names, by venue: ``binance:7.5/1.0,bybit:5.5/2``, taker/maker bps.

    Raises
    ------
    ValueError
        If a part has another form, names no venue or one twice, or a fee lies outside [-100, 1000] bps; the
        message says which place, and not what stands there.
    """
    found: dict[str, Fees] = {}
    for place, part in enumerate(text.split(","), 1):
        if not part.strip():
            continue
        name, _, numbers = part.partition(":")
        try:
            venue = venue_of(name.strip()).venue
        except UnknownVenueError:
            raise ValueError(f"place {place} names no venue; known: {', '.join(VENUES)}") from None
        if venue in found:
            raise ValueError(f"place {place} names {venue} again; a venue has one pair of fees")
        try:
            taker, maker = (float(number) for number in numbers.split("/"))
        except ValueError:
            raise ValueError(
                f"place {place} is not VENUE:TAKER/MAKER, in bps, like binance:7.5/1.0"
            ) from None
        if not (0.0 <= taker <= MOST_BPS and LEAST_BPS <= maker <= MOST_BPS):
            bounds = f"taker 0 to {MOST_BPS:g}, maker {LEAST_BPS:g} to {MOST_BPS:g}"
            raise ValueError(f"place {place}: fees should be in bps, {bounds}")
        found[venue] = Fees(taker, maker)
    return found


def fees_of(venue: str, tiers: Mapping[str, Fees]) -> Fees:
    """Return the fees at a venue: the account's tier, else those of the lowest, as the table has them."""
    known = tiers.get(venue)
    if known is not None:
        return known
    lowest = venue_of(venue)
    return Fees(lowest.taker_bps, lowest.maker_bps)


def _checked(text: str) -> str:
    fees_from(text)
    return text


class FeeSettings(Settings):
    """The account's fees: one setting, that all who count costs read."""

    model_config = SettingsConfigDict(env_prefix="EXECUTION_")

    fees: Annotated[str, AfterValidator(_checked)] = Field(
        "",
        description="VENUE:TAKER/MAKER,…: the account's fees where they are not the lowest tier's, bps",
    )
