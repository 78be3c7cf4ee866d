"""Which answers mean that a venue serves nothing to this address, and for how long it is then left alone."""

from __future__ import annotations

from typing import Final, NamedTuple

from libs.common.time_units import NS_PER_S

SWITCHING: Final = 101  # a socket is open
REDIRECTIONS: Final = range(300, 400)  # which are followed nowhere, so nobody is served by one
BLOCKED: Final = frozenset({403, 451})
BANNED: Final = 418
TOO_MANY: Final = 429
# "403, access too frequent ... terminate all HTTP sessions and wait for at least 10 minutes": rate-limit.mdx
# of bybit-exchange/docs, 2026-07-24. Binance: 451 from restricted countries, rest-api.md, 2026-07-21.
BLOCKED_S: Final = 600.0
# Without Retry-After. "IP bans ... scale in duration for repeat offenders, from 2 minutes to 3 days":
# rest-api.md of binance-spot-api-docs, 2026-07-21.
BANNED_S: Final = 120.0
LIMITED_S: Final = 5.0  # of REST
SOCKETS_LIMITED_S: Final = 60.0  # limits of connections are of minutes: `libs/common/venues`


class Ban(NamedTuple):
    """A venue that is left alone."""

    pause_ns: int
    reason: str


def refusal_of(
    status: int, retry_after_s: float | None, *, of_socket: bool, blocked_s: float = BLOCKED_S
) -> Ban | None:
    """Return what follows for the whole venue from the answer to a request or a handshake, if anything does.

    Parameters
    ----------
    status
        Of HTTP.
    of_socket
        Whether it is a handshake that was answered; REST may be limited alone.
    blocked_s
        The least pause of a venue that blocks this address.
    """
    if status in BLOCKED:
        pause = max(pause_ns(retry_after_s, blocked_s), int(blocked_s * NS_PER_S))
        unless = ", unless it had too many requests" if status == 403 else ""  # noqa: PLR2004
        todo = f"set L2_HOSTS or drop the venue{unless}"
        return Ban(pause, f"blocked here ({status}): {todo}; asked again in {_text(pause)}")
    if status == BANNED:
        pause = pause_ns(retry_after_s, BANNED_S)
        return Ban(pause, f"banned here ({status}): too many requests; asked again in {_text(pause)}")
    if status == TOO_MANY and of_socket:
        pause = pause_ns(retry_after_s, SOCKETS_LIMITED_S)
        return Ban(pause, f"limited here ({status}): too many connections; asked again in {_text(pause)}")
    return None


def pause_ns(retry_after_s: float | None, default_s: float) -> int:
    """Return the pause that the venue asks for, else the default; ns."""
    return int((default_s if retry_after_s is None else retry_after_s) * NS_PER_S)


def _text(pause: int) -> str:
    seconds = pause / NS_PER_S
    return f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.3g} s"  # noqa: PLR2004
