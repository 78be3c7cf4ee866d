"""The real command as a child process, and events for it to show."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from libs.common.kafka import Publisher, create_topics
from libs.common.settings import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE_S = 30.0


class Ended(NamedTuple):
    """What a command left behind."""

    code: int | None
    out: str
    err: str


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment with these settings, and none that colours or folds output."""
    kept = {
        name: value for name, value in os.environ.items() if name not in {"COLUMNS", "FORCE_COLOR", "FEED"}
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | settings


async def start(*arguments: str, **settings: str) -> asyncio.subprocess.Process:
    """Start `bookrunner` with these arguments and settings."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "libs.cli",
        *arguments,
        env=environment(**settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finish(process: asyncio.subprocess.Process) -> Ended:
    """Wait for the end of a command."""
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    # a stream that is no pipe of ours comes back as None
    return Ended(process.returncode, (out or b"").decode(), (err or b"").decode())


async def run(*arguments: str, **settings: str) -> Ended:
    """Run `bookrunner` to its end."""
    return await finish(await start(*arguments, **settings))


@asynccontextmanager
async def publishing(kafka: str) -> AsyncIterator[Publisher]:
    """Create the topics and yield a publisher."""
    settings = ServiceSettings(kafka_bootstrap_servers=kafka)
    await create_topics(settings)
    async with Publisher(settings) as publisher:
        yield publisher
