"""A step on an execution's way, as callers read it; pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

Name: TypeAlias = Literal[
    "book",
    "features",
    "choice",
    "sizing",
    "venues",
    "plan",
    "child",
    "fill",
    "ended",
    "shortfall",
    "reward",
]


class RecordRef(Struct, frozen=True, kw_only=True, rename="camel"):
    """A record of a topic."""

    id: Annotated[str, Meta(description="topic:partition:offset")]
    topic: Annotated[str, Meta(description="its topic")]
    key: Annotated[str, Meta(description="its key")]


class Stage(Struct, frozen=True, kw_only=True, rename="camel"):
    """A step on the way."""

    stage: Annotated[Name, Meta(description="which one; child and fill stand once for each")]
    ts: Annotated[int, Meta(description="when it was, ms since 1970 UTC")]
    words: Annotated[str, Meta(description="what happened")]
    record: Annotated[
        RecordRef | None, Meta(description="where it was told, else its audit entry; null: neither is kept")
    ]
    data: Annotated[dict[str, Any], Meta(description="its numbers: names and times as on the stream")]


class LineageAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """The way of an execution, as far as it has come."""

    execution_id: Annotated[str, Meta(description="UUID of the execution")]
    stages: Annotated[tuple[Stage, ...], Meta(description="in the order of the way")]
    fills: Annotated[tuple[str, ...], Meta(description="ids of its fills, in order")]
