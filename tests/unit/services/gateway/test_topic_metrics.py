from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import KafkaConnectionError

from libs.common.budgets import Usage, Use, budget_of
from libs.common.topics import L2_BOOK_DELTAS, L2_BOOK_TOPS, L2_CANDLES, L2_TRADES
from services.gateway import app
from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from collections.abc import Mapping


class EndedError(Exception):
    """The answers are used up."""


async def test_what_cannot_be_measured_keeps_its_last_figures_and_budgets_know_the_partitions(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[Mapping[str, Usage | None] | Exception] = [
        {L2_BOOK_DELTAS.name: Usage(7, 700), L2_TRADES.name: Usage(8, 800), L2_CANDLES.name: Usage(3, 30)},
        {L2_BOOK_DELTAS.name: None, L2_TRADES.name: Usage(9, 900), L2_BOOK_TOPS.name: None},
        KafkaConnectionError("nobody is there"),
        EndedError(),
    ]

    async def survey(*_: object) -> Mapping[str, Usage | None]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(app, "topic_usage", survey)
    monkeypatch.setattr(app, "MEASURE_S", 0.01)
    gateway = create_app(GatewaySettings(topic_partitions=64))
    with pytest.raises(EndedError):
        await gateway._watch_topics()  # noqa: SLF001 -- the lifespan, which starts it, needs a Kafka
    accounts = gateway._accounts()  # noqa: SLF001 -- as the metrics tell them
    assert {name: account.bytes for name, account in accounts.items()} == {
        L2_BOOK_DELTAS.name: 700,
        L2_TRADES.name: 900,
    }
    assert accounts[L2_BOOK_DELTAS.name].budget == budget_of(L2_BOOK_DELTAS, Use(partitions=64))
    reasons = [record.__dict__["reason"] for record in caplog.records]
    assert reasons[0] == f"a partition has no leader: {L2_BOOK_DELTAS.name}, {L2_BOOK_TOPS.name}"
    assert "nobody is there" in reasons[1]
