"""Executions by a part of their id: any beginning that only one has."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from libs.cli.errors import CommandError, UsageError
from libs.common.events import ExecutionRecord
from libs.common.kafka import follow, partition_counts
from libs.common.topics import EXECUTION_AUDIT, EXECUTION_RECORDS
from libs.common.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from libs.common.kafka import Undecodable
    from libs.common.settings import ServiceSettings

SHOWN: Final = 10
ID_LENGTH: Final = 36  # of a UUID in text


class WholeRecords(View[ExecutionRecord]):
    """All executions that are on the topic, without what was said of their children one by one."""

    def __init__(self) -> None:
        super().__init__(EXECUTION_RECORDS)

    def wants(self, key: bytes) -> bool:
        """Return whether it is the key of a whole record."""
        return b":" not in key  # which that of a child's progress has


async def execution_named(settings: ServiceSettings, text: str) -> str:
    """Return the id of the execution that begins with `text`; a whole id is taken as it is.

    Raises
    ------
    MissingTopicError, KafkaError
        If Kafka does not answer, or knows no executions.
    CommandError
        If no id begins so.
    UsageError
        If several do.
    """
    if len(text) == ID_LENGTH:
        await partition_counts(settings, [EXECUTION_AUDIT])  # there is a Kafka that has heard of executions
        return text
    view = WholeRecords()
    async with aclosing(follow(settings, (view,), on_undecodable=_leave)) as batches:
        async for _ in batches:
            if view.ready:
                break
    return the_one(text, (key.decode("utf-8", "backslashreplace") for key in view.items))


def the_one(text: str, ids: Iterable[str]) -> str:
    """Return the only id that begins with `text`, in lower or upper case.

    Raises
    ------
    CommandError
        If none does.
    UsageError
        If several do.
    """
    found = sorted(identifier for identifier in ids if identifier.startswith(text.lower()))
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(
            f"no execution's id begins with {text!r}: `bookrunner executions` lists the newest"
        )
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise UsageError(f"{text!r} may be any of {', '.join(found[:SHOWN])}{more}: write more of it")


async def _leave(_undecodable: Undecodable) -> None:
    """Bytes that are no record have no id to be found by."""
