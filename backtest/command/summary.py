"""`Summary`: a run and its numbers, as `summary.json` has them; equal runs have equal bytes; pure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from libs.common.meanings import Count, EpochMs, Seconds, meaning
from libs.performance.answer import Performance  # noqa: TC001 -- msgspec reads annotations
from libs.performance.figures import Answer
from libs.performance.sweep import Sweep  # noqa: TC001 -- likewise

SCHEMA: Final = 1


class MarketFacts(Answer, frozen=True, kw_only=True):
    """What was traded on."""

    fidelity: Annotated[str, meaning("frames, topics, books, simulator or bars, the nearest to truth first")]
    synthetic: Annotated[bool, meaning("it is made up, in whole or in part")]
    books: Annotated[tuple[str, ...], meaning("venue:symbol of each")]
    begin_ms: Annotated[EpochMs, meaning("where it begins")]
    end_ms: Annotated[EpochMs, meaning("where it ends")]
    notes: Annotated[
        tuple[str, ...], meaning("what is made up or measured, and what is missing, in sentences")
    ]


class RunFacts(Answer, frozen=True, kw_only=True):
    """What a run was made with."""

    symbols: Annotated[tuple[str, ...], meaning("that were traded, canonical BASE-QUOTE")]
    policies: Annotated[tuple[str, ...], meaning("that could be chosen")]
    versions: Annotated[
        dict[str, str], meaning("of those that are files, by name; their sources are in policies/")
    ]
    interval_s: Annotated[Seconds, meaning("between two decisions about a symbol")]
    urgency: Annotated[float, meaning("of each, 0-1")]
    seed: Annotated[int, meaning("of delays and draws")]
    capital: Annotated[str, meaning("at the beginning, quote units")]
    settings: Annotated[dict[str, str], meaning("of services, where they are not as they come, by variable")]


class Summary(Answer, frozen=True, kw_only=True):
    """A run and its numbers."""

    schema: Annotated[int, meaning("version of this form; fields may be added within one")] = SCHEMA
    bookrunner: Annotated[str, meaning("version of the program")]
    command: Annotated[str, meaning("that makes the same run again")]
    market: Annotated[MarketFacts, meaning("what was traded on")]
    run: Annotated[RunFacts, meaning("what it was made with")]
    partial: Annotated[bool, meaning("it was ended before the market did")]
    until_ms: Annotated[EpochMs, meaning("how far it came")]
    records: Annotated[Count, meaning("that were written on all topics")]
    audit: Annotated[
        str, meaning("SHA-256 of the audit's entries in their order: equal runs decided equally")
    ]
    performance: Annotated[Performance, meaning("its numbers, as GET /api/performance has them")]
    sweep: Annotated[
        Sweep | None, meaning("all its runs", null="it was one run; else this is of the best one")
    ] = None


def encoded(summary: Summary) -> bytes:
    """Return the bytes of `summary.json`."""
    return msgspec.json.format(msgspec.json.encode(summary, order="deterministic"), indent=2) + b"\n"
