"""The portfolio through the gateway, on a running simulator, l2 and portfolio."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.kafka import Publisher
from libs.common.settings import ServiceSettings
from libs.common.topics import EXECUTION_FILLS
from tests.e2e.system import System, until
from tests.fills import a_fill
from tests.integration.libs.cli.command import run

if TYPE_CHECKING:
    from pathlib import Path

PROOF = '{"symbols":["BTCUSDT","ETHUSDT"],"cvarBudget":0.05,"volTarget":0.02}'
IN_PORTFOLIO = PROOF[:-1] + ',"mode":"portfolio_cvar"}'
MEASURED_ON = ("symbols", "observations", "firstDay", "lastDay")


async def post(system: System, body: str, **headers: str) -> tuple[int, Any]:
    sent = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    address = f"{system.gateway}/api/portfolio/optimize"
    async with system.http.post(address, data=body, headers=sent) as reply:
        return reply.status, json.loads(await reply.read())


async def test_optimize_positions_and_risk_through_the_gateway(fresh_kafka: str, tmp_path: Path) -> None:
    books = "binance:BTC-USDT,binance:ETH-USDT"
    async with System(fresh_kafka, tmp_path, L2_BOOKS=books, PORTFOLIO_PERIOD_S="0.5") as system:
        system.start("services.portfolio")
        await system.all_live(2)

        async def both_modes() -> Any:
            """Answer in both modes, once no candle came in between: `MEASURED_ON` is the same."""
            in_sum, in_portfolio = await post(system, PROOF), await post(system, IN_PORTFOLIO)
            if (in_sum[0], in_portfolio[0]) != (200, 200):
                return None
            answer, truly = in_sum[1], in_portfolio[1]
            whole = not answer["dropped"] and answer["observations"] >= 600
            return (answer, truly) if whole and all(answer[k] == truly[k] for k in MEASURED_ON) else None

        answer, truly = await until("answers from two years of candles of both", both_modes)
        assert set(answer["weights"]) == {"BTCUSDT", "ETHUSDT"}
        assert answer["status"] in ("optimal", "all_cash")
        assert sum(answer["weights"].values()) + answer["cash"] == pytest.approx(1.0)
        assert min(answer["weights"].values()) >= 0.0
        assert answer["vol"] <= 0.02 + 1e-9
        assert answer["cvar"]["portfolio"] <= answer["cvar"]["sum"] + 1e-12
        assert answer["cvar"]["sum"] <= 0.05 + 1e-9
        assert answer["venue"] == "binance"
        assert truly["utility"] >= answer["utility"] - answer["gap"]

        status, first = await post(system, IN_PORTFOLIO, idempotency_key="p-1")
        assert status == 200
        assert (await post(system, IN_PORTFOLIO, idempotency_key="p-1"))[1] == first

        for wrong, expected in (
            ('{"symbols":["NOPE-USDT"],"cvarBudget":0.05,"volTarget":0.02}', 404),
            ('{"symbols":["BTCUSDT","btc-usdt"],"cvarBudget":0.05,"volTarget":0.02}', 422),
            ('{"symbols":[],"cvarBudget":0.05,"volTarget":0.02}', 422),
            ('{"symbols":["BTCUSDT"],"cvarBudget":-1,"volTarget":0.02}', 422),
            ('{"symbols":["BTCUSDT"],"cvarBudget":NaN,"volTarget":0.02}', 422),
            ('{"symbols":["BTCUSDT"],"cvarBudget":0.05,"volTarget":0.02,"more":1}', 422),
            ('{"symbols":["BTCUSDT"],"cvarBudget":"0.05","volTarget":0.02}', 422),
            ("[1]", 422),
            ("{", 400),
        ):
            assert (await post(system, wrong))[0] == expected, wrong

        async def assessed() -> Any:
            risk = await system.get("/api/portfolio/risk")
            return risk and set(risk["bySymbol"]) == {"BTC-USDT", "ETH-USDT"} and risk

        risk = await until("an assessment of both symbols", assessed)
        assert risk["cvarUsed"] == 0.0
        assert await system.get("/api/portfolio/positions") == []

        settings = ServiceSettings(kafka_bootstrap_servers=fresh_kafka)
        async with Publisher(settings, compress=False) as publisher:
            await publisher.send_and_wait(EXECUTION_FILLS, b"BTC-USDT", a_fill(), time.time_ns())

        async def marked() -> Any:
            found = await system.get("/api/portfolio/positions")
            return found and found[0]["mark"] > 1000 and found[0]

        position = await until("the position marked to the book's mid", marked)
        assert (position["quantity"], position["avgPrice"], position["fees"]) == ("1", "100", "0.1")

        async def used() -> Any:
            budget = await system.get("/api/portfolio/risk")
            return budget["cvarUsed"] > 0.0 and budget

        budget = await until("the fill's risk", used)
        shown = await run("portfolio", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
        assert shown.code == 0, shown.err
        assert "BTC-USDT" in shown.out
        picture = tmp_path / "frontier.png"
        asked = ("frontier", "--plot", str(picture), "--symbols", "BTCUSDT,ETHUSDT")
        drawn = await run(*asked, KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
        assert drawn.code == 0, drawn.err
        assert picture.read_bytes().startswith(b"\x89PNG")
        refused = await run(
            "frontier", "--plot", str(picture), "--symbols", "NOPE-USDT", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka
        )
        assert refused.code == 1
        assert "NOPE-USDT" in refused.err
        assert budget["cvarUsed"] + budget["cvarLeft"] >= budget["cvarBudget"] - 1e-12
