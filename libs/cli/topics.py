"""`bookrunner topics`: the registry beside the broker's truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from rich.table import Table

from libs.cli.ask import ask
from libs.cli.errors import CommandError
from libs.cli.reader import connected, not_reachable
from libs.cli.screen import Text
from libs.common.budgets import Usage, account_of, use_of
from libs.common.kafka_security import client_arguments
from libs.common.topic_usage import topic_usage
from libs.common.topics import DAY_MS, FOREVER, HOUR_MS, MINUTE_MS, TOPICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.cli.settings import CliSettings
    from libs.common.budgets import Account
    from libs.common.settings import ServiceSettings
    from libs.common.topics import Topic

LEADERLESS: Final = "a partition has no leader"
BOOKS_PATIENCE_S: Final = 2.0
_UNITS: Final = ((365 * DAY_MS, "y"), (DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (1000, "s"))


@dataclass(frozen=True, slots=True)
class Found:
    """What the broker says of one topic."""

    partitions: int
    usage: Usage | None  # None while a partition has no leader
    config: Mapping[str, str]


async def find_topics(settings: ServiceSettings) -> tuple[Mapping[str, Found], Sequence[str]]:
    """Return what the broker has of the registry's topics, and the names of the others it has.

    Raises
    ------
    CommandError
        If Kafka does not answer.
    """
    admin = AIOKafkaAdminClient(**client_arguments(settings), client_id="bookrunner-cli")
    async with connected(admin, settings):
        counts = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        present = [topic for topic in TOPICS.values() if topic.name in counts]
        configs = await _configs(admin, [topic.name for topic in present]) if present else {}
    try:
        usage = await topic_usage(settings, [topic.name for topic in present])
    except (KafkaError, OSError, TimeoutError) as error:
        raise not_reachable(settings, error) from error
    found = {name: Found(counts[name], used, configs.get(name, {})) for name, used in usage.items()}
    return found, sorted(name for name in counts.keys() - TOPICS.keys() if not name.startswith("__"))


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    replies = await admin.describe_configs(asked)
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for reply in replies
        for resource in reply.resources
    }


def differences(topic: Topic, found: Found | None, partitions: int) -> list[str]:
    """Return in what the broker's topic is not the registry's; empty when it is."""
    if found is None:
        return ["missing"]
    wrong = [] if found.usage else [LEADERLESS]
    if found.partitions != partitions:
        wrong.append(f"{found.partitions} partitions, TOPIC_PARTITIONS is {partitions}")
    wanted = topic.config(found.partitions)
    wrong += [
        f"{name} is {found.config[name]}, the registry says {value}"
        for name, value in wanted.items()
        if name in found.config and _normal(found.config[name]) != _normal(value)
    ]
    return wrong


def _normal(value: str) -> str:
    return ",".join(sorted(value.split(",")))


def duration(ms: int) -> str:
    """Return ``6 h`` for 21,600,000, and ``for ever`` for -1."""
    if ms == FOREVER:
        return "for ever"
    unit, name = next(((unit, name) for unit, name in _UNITS if ms >= unit and ms % unit == 0), (1, "ms"))
    return f"{ms // unit} {name}"


def account(topic: Topic, found: Found, books: int) -> Account | None:
    """Return a topic's use, where it is known, beside its budget on its partitions, with so many books."""
    if found.usage is None:
        return None
    return account_of(topic, found.usage, use_of(books, found.partitions))


def count_books(settings: CliSettings) -> int:
    """Return how many books the gateway shows; 0 where it does not answer, which is the stated use."""
    try:
        said = json.loads(ask(settings, "l2", None, BOOKS_PATIENCE_S))
    except (CommandError, ValueError):
        return 0
    return len(said) if isinstance(said, list) else 0


def _used(topic: Topic, found: Found, books: int) -> Text:
    if (known := account(topic, found, books)) is None:
        return Text("?", "yellow")
    share = known.share
    return Text(f"{share:.0%}", "yellow" if share > 1 else "", no_wrap=True)


def _offsets(found: Found | None) -> str:
    if found is None:
        return "-"
    return "?" if found.usage is None else f"{found.usage.offsets:,}"


def table(found: Mapping[str, Found], others: Sequence[str], partitions: int, books: int) -> Table:
    """Return the registry as a table; what is missing or different is marked."""
    shown = Table(box=None, pad_edge=False, header_style="dim", caption_justify="left", caption_style="dim")
    for name in ("topic", "key", "messages"):
        shown.add_column(name, overflow="fold")
    for name in ("partitions", "offsets", "used"):
        shown.add_column(name, justify="right")
    for name in ("cleanup", "kept", ""):
        shown.add_column(name, overflow="fold")
    for topic in TOPICS.values():
        there = found.get(topic.name)
        wrong = differences(topic, there, partitions)
        style = "red" if there is None else "yellow" if wrong else "bold"
        shown.add_row(
            Text(topic.name, style, no_wrap=True),
            topic.key.value,
            " ".join(event.__name__ for event in topic.events) or "raw bytes",
            str(there.partitions) if there else "-",
            _offsets(there),
            _used(topic, there, books) if there else "-",
            "compact" if topic.compacted else "delete",
            duration(topic.retention_ms),
            Text("; ".join(wrong), style) if wrong else Text("ok", "green"),
        )
    if others:
        shown.caption = f"also on this Kafka: {', '.join(others)}"
    return shown
