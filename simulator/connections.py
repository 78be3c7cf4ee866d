"""A client's connection to a simulated venue, and a venue that takes none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.wire import Line

if TYPE_CHECKING:
    from simulator.venues.venue import RestReply, Session


@dataclass(slots=True, eq=False)
class Connection:
    """A client, as the exchange knows it."""

    venue: str
    session: Session
    opened_ns: int
    line: Line = field(default_factory=Line)
    sent_ns: int = 0  # when something was last put on the line
    ponged_ns: int = 0  # when the client last answered a ping
    pinged_ns: int = 0
    is_cut: bool = False  # the shell must drop the socket without a close frame
    window_bits: int = 0  # of a client that inflates; 0 reads plain frames
    bytes_per_s: int | None = None  # of its line; None is as fast as it can be
    end_ns: int | None = None  # when it is cut, as its client was told


class Unavailable(Exception):  # noqa: N818 - a state of the venue, not a mistake
    """The venue takes no connections now; with `reply`, it says so itself."""

    def __init__(self, text: str, reply: RestReply | None = None) -> None:
        super().__init__(text)
        self.reply = reply
