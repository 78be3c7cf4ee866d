"""What one book's venue is asked about its symbol: whether it trades it, and on which terms.

It is asked at the start and once a day. A venue that does not answer, or answers something else, has said
nothing: the book lives on, and the terms before hold, else the table's. A symbol that it does not trade is
asked about once in a while, and nothing else is done about it until it trades, or until nobody has answered
for long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from libs.common.events import InstrumentTerms
from libs.common.instruments import INSTRUMENTS
from libs.common.time_units import DAY_NS, NS_PER_S
from services.l2.feeds.feed import BadFrameError
from services.l2.feeds.venue_messages import Unlisted
from services.l2.messages import HTTP_OK, DeadLetter, Fetch, TermsChanged, TermsUnknown
from services.l2.policy import NEVER

if TYPE_CHECKING:
    from services.l2.feeds.feed import Feed
    from services.l2.messages import Output, ReplyReceived
    from services.l2.policy import Policy
    from services.l2.rate_limits import VenueBudget

START_SPREAD_NS: Final = NS_PER_S  # within which all books that start together ask
DAY_SPREAD_NS: Final = DAY_NS // 4  # by as much less than a day a book asks again
RETRY_MIN_NS: Final = 30 * NS_PER_S
RETRY_MAX_NS: Final = 600 * NS_PER_S
ANSWERS: Final = frozenset({HTTP_OK, 400, 404})  # with any other status the venue answered nothing


class Told(NamedTuple):
    """What an answer means for the book."""

    out: tuple[Output, ...] = ()
    unlisted: str | None = None  # in the venue's words, why it does not trade the symbol
    new_steps: bool = False  # prices or sizes move by other steps than readers went by


class InstrumentRequests:
    """One book's requests for its instrument, of which one is open at most; changed in place.

    Attributes
    ----------
    terms
        As the venue said last; None while it has not.
    refused
        Whether nothing else is to be asked of the venue, since it does not trade the symbol.
    """

    def __init__(
        self, feed: Feed, symbol: str, rest_base: str, budget: VenueBudget, policy: Policy, now: int
    ) -> None:
        self.terms: InstrumentTerms | None = None
        self.refused = False
        self._feed = feed
        self._symbol = symbol
        self._key = f"{feed.venue}:{symbol}"
        self._url = feed.instrument_url(rest_base, symbol) if policy.asks_instruments else None
        self._budget = budget
        self._again_ns = policy.given_up_ns  # while the venue does not trade the symbol
        self._spread = crc32(self._key.encode()) / 2**32
        self._due_at = now + int(self._spread * START_SPREAD_NS)
        self._pause_ns = RETRY_MIN_NS
        self._number = 0
        self._pending: int | None = None  # the number whose answer is awaited
        self._doubted = False  # a LIVE book is said to be none
        self._unknown = False  # said so

    def fetch(self, now: int) -> list[Output]:
        """Ask, if the time has come, nothing is asked yet, and the venue's budget has it to spare."""
        if self._url is None or now < self._due_at or self._pending is not None:
            return []
        if again_at := self._budget.take_instrument(now):
            self._due_at = again_at
            return []
        self._number += 1
        self._pending = self._number
        return [Fetch(self._key, self._number, "instrument", self._url)]

    @property
    def next_due(self) -> int:
        """When the venue is to be asked (ns)."""
        return NEVER if self._url is None or self._pending is not None else self._due_at

    def know(self, terms: InstrumentTerms | None) -> None:
        """Go by what the venue told an earlier owner until it answers; not where it is not asked."""
        if self._url is not None:
            self.terms = terms

    def refuse(self, now: int) -> None:
        """Ask whether the venue trades the symbol, and nothing else, where it can be asked."""
        if self._url is not None:
            self.refused, self._due_at = True, now + self._again_ns

    def on_reply(self, reply: ReplyReceived, now: int, *, live: bool) -> Told:
        """Return what follows from an answer; nothing from one that is not awaited any more.

        Parameters
        ----------
        live
            Whether the book is LIVE: a venue that streams it and says that it is none is asked twice.
        """
        if reply.request != self._pending:
            return Told()
        self._pending = None
        if reply.status not in ANSWERS:
            self._due_at = now + self._pause_ns
            self._pause_ns = min(RETRY_MAX_NS, 2 * self._pause_ns)
            if self._pause_ns == RETRY_MAX_NS:
                self.refused = False  # whoever cannot be asked decides nothing: a socket will show
            return Told()
        self._pause_ns = RETRY_MIN_NS
        try:
            said = self._feed.parse_instrument(reply.body, self._symbol, reply.status)
        except BadFrameError as error:
            return self._nothing(reply, error, now)
        if isinstance(said, Unlisted):
            return self._unlisted(said, now, live=live)
        self._settle(now)
        self._unknown = False
        before, self.terms = self._known, said
        if before is None or before == said:
            return Told()
        steps = (before.tick, before.lot) != (said.tick, said.lot)
        return Told((TermsChanged(self._key, before, said),), new_steps=steps)

    def wait_like(self, before: InstrumentRequests, by_ns: int) -> None:
        """Know what the one before knew, whose clock was set by so many ns, and ask no sooner."""
        self.terms, self.refused = before.terms, before.refused
        self._number, self._pending = before._number, before._pending
        self._pause_ns, self._doubted, self._unknown = before._pause_ns, before._doubted, before._unknown
        self._due_at = before._due_at + by_ns

    @property
    def _known(self) -> InstrumentTerms | None:
        """What readers went by until now: the venue's terms, else the table's."""
        row = INSTRUMENTS.get((self._feed.venue, self._symbol))
        if self.terms is not None or row is None:
            return self.terms
        return InstrumentTerms(tick=row.tick, lot=row.lot, min_qty=row.min_qty, min_notional=row.min_notional)

    def _unlisted(self, said: Unlisted, now: int, *, live: bool) -> Told:
        if live and not self._doubted:
            self._doubted, self._due_at = True, now + RETRY_MIN_NS
            return Told()
        self._doubted = False
        self.refuse(now)
        return Told(unlisted=said.reason)

    def _nothing(self, reply: ReplyReceived, error: BadFrameError, now: int) -> Told:
        """Go by what is known; whether the symbol is traded, a socket will show."""
        self._settle(now)
        reason = f"unreadable instrument: {error}"
        kept = (DeadLetter(self._key, reply.body, reason),) if reply.status == HTTP_OK else ()
        said = () if self._unknown else (TermsUnknown(self._key, f"HTTP {reply.status}: {error}"),)
        self._unknown = True
        return Told((*kept, *said))

    def _settle(self, now: int) -> None:
        self.refused = self._doubted = False
        self._due_at = now + DAY_NS - int(self._spread * DAY_SPREAD_NS)
