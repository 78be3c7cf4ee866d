"""What is written in answer to a command, and of a message that cannot be handled; pure.

An answer's id follows from its command's, so a command that is told again has the same answer again.
"""

from __future__ import annotations

from traceback import format_exception
from typing import TYPE_CHECKING, Final

from libs.common.cloudevents import CloudEvent, caused_id, identity
from libs.common.codec import encode
from libs.common.command_rules import echoed
from libs.common.dead_letters import dead_letter
from libs.common.effects import Outgoing
from libs.common.topics import DEAD_LETTERS, VENUES_SCORES

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from libs.common.cloudevents import Headers
    from libs.common.events import CommandRejected, ScoreVenues, VenueScored

SOURCE: Final = "/services/venues"


def reply(
    command: ScoreVenues,
    answer: VenueScored | CommandRejected,
    headers: Headers,
    fallback: UUID,
    place: Callable[[bytes], int],
) -> Outgoing:
    """Return the record of an answer.

    Parameters
    ----------
    headers, fallback
        The command's, and its id where they have none.
    place
        The partition of a key.
    """
    cause, correlation_id = identity(headers, fallback)
    placing = command.reply_key or command.symbol
    kind = type(answer).__name__
    told = CloudEvent(caused_id(cause, kind), kind, SOURCE, answer.ts, correlation_id, cause)
    key = echoed(command.symbol).encode()
    return Outgoing(VENUES_SCORES, place(placing.encode()), key, encode(answer), told.headers())


def letter(
    key: bytes,
    raw: bytes,
    reason: str,
    source: str,
    headers: Headers,
    place: Callable[[bytes], int],
    raised: BaseException | None = None,
) -> Outgoing:
    """Return the dead letter of a message, with what the handler raised on it, if it did."""
    if raised is not None:
        reason = f"{source}: {type(raised).__name__}: {raised}"
    traceback = "" if raised is None else "".join(format_exception(raised))
    key, value, told = dead_letter(key, raw, reason, source, headers, traceback)
    return Outgoing(DEAD_LETTERS, place(key), key, value, told)
