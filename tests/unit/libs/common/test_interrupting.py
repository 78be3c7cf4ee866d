from __future__ import annotations

import asyncio

import pytest

from libs.common.interrupting import unless


async def test_work_that_ends_first_returns_what_it_found() -> None:
    async def work() -> str:
        return "found"

    assert await unless(asyncio.Event(), work()) == "found"


async def test_work_that_waits_is_given_up_once_the_event_is_set() -> None:
    event, ended = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        try:
            event.set()
            await asyncio.Event().wait()
        finally:
            ended.set()
        return "never"

    assert await unless(event, work()) is None
    assert ended.is_set()


async def test_work_that_has_ended_keeps_its_result_though_the_event_is_set() -> None:
    event = asyncio.Event()
    event.set()

    async def work() -> str:
        return "found"

    assert await unless(event, work()) == "found"


async def test_what_work_raises_is_raised() -> None:
    async def work() -> str:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await unless(asyncio.Event(), work())


async def test_who_is_canceled_gives_up_the_work() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(unless(asyncio.Event(), work()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), 5)
