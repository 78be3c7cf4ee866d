from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.gateway.alerts.webhook import MOST_PAUSE_S, OneLookup, Reply, _pause_s, reason_of


class Hanging:
    """A resolver whose name server does not answer until it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = asyncio.Event()

    async def resolve(self, *_: Any) -> list[Any]:
        self.asked += 1
        await self.let.wait()
        return ["an address"]


async def test_a_name_server_that_hangs_is_asked_once_however_often_one_gives_up() -> None:
    lookup: Any = OneLookup()
    hanging = Hanging()
    lookup._resolver = hanging  # noqa: SLF001 -- in place of the system's
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lookup.resolve("h.example", 443), 0.01)
    assert hanging.asked == 1
    waiting = asyncio.create_task(lookup.resolve("h.example", 443))
    await asyncio.sleep(0)
    hanging.let.set()
    assert await waiting == ["an address"]
    assert await lookup.resolve("h.example", 443) == ["an address"]
    assert hanging.asked == 2


@pytest.mark.parametrize(
    ("status", "taken", "refused"),
    [
        *((status, True, False) for status in (200, 201, 204)),
        *((status, False, True) for status in (301, 302, 307, 400, 401, 403, 404, 410, 413)),
        *((status, False, False) for status in (408, 425, 429, 500, 502, 503, 504)),
    ],
)
def test_an_answer_is_taken_refused_or_not_now(status: int, *, taken: bool, refused: bool) -> None:
    reply = Reply(status, 0)
    assert (reply.taken, reply.refused) == (taken, refused)


@pytest.mark.parametrize(
    ("said", "pause_s"),
    [
        ("", 0),
        ("7", 7),
        ("1.5", 0),
        ("-3", 0),
        ("9" * 8, MOST_PAUSE_S),
        ("9" * 5000, 0),
        ("\u0663", 0),
        ("soon", 0),
    ],
)
def test_a_pause_is_a_number_of_seconds_within_bounds(said: str, pause_s: int) -> None:
    assert _pause_s(said) == pause_s


@pytest.mark.parametrize(
    "error", [ValueError("http://h/secret"), OSError(111, "secret"), TimeoutError("secret")]
)
def test_no_reason_has_the_words_of_an_error(error: Exception) -> None:
    assert "secret" not in reason_of(error)
