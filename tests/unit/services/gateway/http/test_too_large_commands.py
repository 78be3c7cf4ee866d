"""A command that its topic does not take is told to its caller, and the gateway goes on."""

from __future__ import annotations

import pytest

from libs.common.events import ChoosePolicy
from libs.common.kafka import Publisher
from libs.common.topics import ROUTER_COMMANDS
from services.gateway.asking.kafka_link import KafkaLink
from services.gateway.http.problems import ProblemError
from services.gateway.settings import GatewaySettings


async def test_a_command_that_is_too_large_is_a_413_and_not_the_end_of_the_process() -> None:
    settings = GatewaySettings()
    link = KafkaLink(settings)
    link._publisher = Publisher(settings)  # noqa: SLF001 -- as `connected` leaves it
    command = ChoosePolicy(command_id="x", context={"symbol": "x" * ROUTER_COMMANDS.max_message_bytes})
    with pytest.raises(ProblemError) as caught:
        await link.send_and_wait(ROUTER_COMMANDS, b"default", command, 1)
    assert caught.value.status == 413
    assert "router.commands.v1 takes 1048576 at most" in caught.value.body().decode()
    assert not link.refused.done()
