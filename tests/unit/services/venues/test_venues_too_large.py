"""What venues would write and its topic does not take: refused by itself, told, and the process goes on."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from libs.common.codec import decode
from libs.common.events import CommandRejected, Refusal, VenueScored
from libs.common.message_sizes import TooLargeError
from libs.common.topics import DEAD_LETTERS, MIB, VENUES_SCORES
from services.venues.answers import Answer
from services.venues.app import _Service
from services.venues.settings import VenuesSettings
from tests.venue_market import a_score

if TYPE_CHECKING:
    from libs.common.topics import Topic
    from services.venues.tables import PackedTable


class Output:
    """A topic of Faust's that acknowledges at once."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send(self, **record: Any) -> asyncio.Future[None]:
        self.sent.append(record)
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


def a_scored(command_id: str, reason: str) -> VenueScored:
    return VenueScored(
        command_id=command_id,
        symbol="BTC-USDT",
        side="buy",
        size=1.0,
        venue="binance",
        score=-1.0,
        reasons=(reason,),
        candidates=(),
        allocation=(),
        saving_bps=0.0,
        ts=time.time_ns(),
    )


@pytest.fixture
async def service() -> _Service:
    found = _Service(VenuesSettings())
    found._outputs = {topic: Output() for topic in found._outputs}  # type: ignore[misc]  # noqa: SLF001 -- Kafka's place
    return found


def sent(service: _Service, topic: Topic) -> list[dict[str, Any]]:
    output: Any = service._outputs[topic]  # noqa: SLF001 -- as above
    found: list[dict[str, Any]] = output.sent
    return found


async def test_an_answer_that_is_too_large_is_a_refusal_of_that_command(service: _Service) -> None:
    command = a_score(7)
    answers: list[VenueScored | CommandRejected] = [a_scored(command.command_id, "x" * MIB)]
    await service._answer(command, answers, (), UUID(int=1))  # noqa: SLF001 -- what the stream calls
    (told,) = sent(service, VENUES_SCORES)
    refused = decode(VENUES_SCORES, told["value"])
    assert isinstance(refused, CommandRejected)
    assert (refused.command_id, refused.refusal) == (command.command_id, Refusal.INTERNAL)
    assert "venues.scores.v1 takes 1048576 at most" in refused.detail
    assert dict(told["headers"])["ce_type"] == b"CommandRejected"
    assert len(sent(service, DEAD_LETTERS)) == 1


async def test_what_a_table_cannot_hold_leaves_what_it_holds(service: _Service) -> None:
    table: PackedTable[Answer] = service._answers_table  # noqa: SLF001 -- as above
    with pytest.raises(TooLargeError, match="venues-answers-changelog takes 1048576 at most"):
        table[b"0/1"] = Answer(a_scored("x", "x" * MIB))
    assert len(table) == 0
