"""What an alert is about: its kind, where, since when, and what to do; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from libs.common.printable import printable
from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity: TypeAlias = Literal["warning", "critical"]
Detail: TypeAlias = "str | int | float | None"

RUNBOOKS: Final = "docs/operations.md"
MOST_CHARS: Final = 200  # of each text that somebody else wrote
# What Slack and Discord obey: mentions, links, entities. Shown as letters that look alike and do nothing.
_OBEYED: Final = str.maketrans("<>&@[]`", "\u2039\u203a+\uff20()'")


class Kind(NamedTuple):
    """What all causes of a kind have in common."""

    severity: Severity
    hold_ns: int  # how long it must stand before it is told; what goes sooner is not
    to_do: str
    anchor: str  # of its heading in `RUNBOOKS`


KINDS: Final[Mapping[str, Kind]] = {
    "trading-halted": Kind(
        "critical",
        0,
        "find out why, and once that is mended run `bookrunner resume`",
        "trading-halted",
    ),
    "limit-near": Kind(
        "warning",
        0,
        "reduce positions, or raise it",
        "a-limit-is-nearly-used",
    ),
    "partition-stopped": Kind(
        "critical",
        0,
        "run `bookrunner doctor`, then mend what it names or leave the message out with `bookrunner skip`",
        "partitionstopped",
    ),
    "partition-unowned": Kind(
        "critical",
        30 * NS_PER_S,
        "ask /readyz what is missing, and start another process of the service",
        "partitionsunowned",
    ),
    "view-held-up": Kind(
        "critical", 15 * NS_PER_S, "ask /readyz which log stands, and end the open transaction", "heldup"
    ),
    "service-gone": Kind(
        "critical", 5 * NS_PER_S, "look at its last lines in the log, and start it again", "servicemissing"
    ),
    "book-not-live": Kind(
        "warning",
        30 * NS_PER_S,
        "ask /api/l2 for its state; nothing is traded on it meanwhile",
        "booksnotlive",
    ),
    "drift-alarm": Kind(
        "warning", 0, "look at `bookrunner router`, and retire a policy that keeps failing", "driftalarms"
    ),
    "execution-failed": Kind("warning", 0, "read its reason with `bookrunner executions`", "executionsfail"),
    "policy-quarantined": Kind(
        "warning",
        0,
        "read its fault with GET /api/policies and mend its file; it is not chosen meanwhile",
        "a-policy-is-quarantined",
    ),
    "context-source-failing": Kind(
        "warning",
        300 * NS_PER_S,
        "ask /api/context what its source answers; contexts lack what it says meanwhile",
        "a-source-of-contexts-fails",
    ),
    "test": Kind("warning", 0, "nothing, the webhook works", "alerts-to-a-webhook"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Something that stands now and that somebody must know of.

    Attributes
    ----------
    kind
        One of `KINDS`.
    place
        Where: with the kind it makes the key, under which a cause is told once.
    what
        What stands, where, in words that go on with "since".
    over
        What is so again once it is gone, in words that go on with "since".
    why
        What its source says of it, in words; may be empty. Text from outside.
    to_do, severity
        In place of the kind's.
    since
        When it began, ns UTC, as its source says; None: when it was first seen.
    hold_ns
        As of the kind, or longer.
    occurrences
        How often it has happened while it stands, or how grave it is: one that is more is told anew.
    """

    kind: str
    place: str
    what: str
    over: str
    why: str = ""
    to_do: str = ""
    severity: Severity | None = None
    since: int | None = None
    hold_ns: int = 0
    occurrences: int = 1
    details: Mapping[str, Detail] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Under which it is told once."""
        return f"{self.kind}:{self.place}"

    @property
    def hold(self) -> int:
        """How long it must stand before it is told, ns."""
        return max(self.hold_ns, KINDS[self.kind].hold_ns)


class Moment(NamedTuple):
    """Now, by two clocks: what is shown, and what is waited by."""

    ts: int  # ns UTC
    monotonic_ns: int


def harmless(text: str) -> str:
    """Return a text from outside as it may stand in a message: one line, short, that no receiver obeys."""
    return printable(text, MOST_CHARS).translate(_OBEYED)
