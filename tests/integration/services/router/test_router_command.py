from __future__ import annotations

import time
from typing import TYPE_CHECKING

from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS
from services.router.settings import RouterSettings
from tests.e2e.system import until
from tests.integration.libs.cli.command import publishing, run
from tests.integration.services.router.process import log_of, router
from tests.registered import register
from tests.router_world import choose, reward

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 20


async def test_the_command_shows_and_draws_what_the_router_wrote(fresh_kafka: str, tmp_path: Path) -> None:
    settings = RouterSettings(kafka_bootstrap_servers=fresh_kafka)
    async with publishing(fresh_kafka) as publisher:
        nothing = await run("router", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
        assert nothing.code == 1
        assert "never asked" in nothing.err
        await register(fresh_kafka, ["only"])
        with router(fresh_kafka, tmp_path / "router.log", TOPIC_PARTITIONS="8", ROUTER_POLICIES="only"):
            for n in range(ROUNDS):
                told = reward(f"r{n}", "only", 0.004, decision=n)
                for command in (choose(n), told):
                    await publisher.send(ROUTER_COMMANDS, b"s", command, time.time_ns())
            await publisher.flush()

            async def answered() -> bool:
                return len(await log_of(settings, ROUTER_CHOICES)) >= 2 * ROUNDS

            await until("all is answered", answered)
    png = tmp_path / "router.png"
    arguments = ("router", "--scope", "s", "--plot", str(png))
    shown = await run(*arguments, KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert shown.code == 0, shown.err
    assert f"{ROUNDS} choices, {ROUNDS} rewards" in shown.out
    assert "100.0%" in shown.out
    assert "40.00" in shown.out  # bps
    assert png.read_bytes().startswith(b"\x89PNG")
