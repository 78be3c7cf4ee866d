"""The processes with `FEED=live` in a network of proxies: other host names, and no other way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.e2e.system import System
from tests.outgoing_proxies import HttpProxy, SocksProxy, serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)

VENUES: Final = ("binance", "bybit", "coinbase", "kraken", "okx")
SOURCES: Final = ("binance-usdm", "okx", "bybit", "deribit")  # of contexts
NAMES: Final = (
    *(f"{half}.{venue}.test" for half in ("stream", "api") for venue in VENUES),
    *(f"{source}.context.test" for source in SOURCES),
)
PORT: Final = 8_000  # as the venues' are: where the proxy finds them, it alone knows
QUICK: Final = {
    "L2_BOOKS": ",".join(f"{venue}:BTC-USDT" for venue in VENUES),
    "L2_BACKOFF_MAX_S": "1",  # the simulator and l2 start together
    "L2_HISTORY_DAYS": "1",
    "SIMULATOR_HISTORY_DAYS": "3",
}
VARIABLES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "SOCKS_PROXY")


@pytest.mark.parametrize(("kind", "scheme"), [(HttpProxy, "http"), (SocksProxy, "socks5h")])
async def test_every_book_is_live_and_every_source_fresh_through_the_proxy(
    kind: type[HttpProxy | SocksProxy], scheme: str, fresh_kafka: str, tmp_path: Path
) -> None:
    names: dict[str, tuple[str, int]] = {}
    async with serving(kind(names, login="trader:secret")) as proxy:
        system = System(
            fresh_kafka,
            tmp_path,
            FEED="live",
            SIMULATOR_SERVED_AS=",".join(NAMES),
            L2_HOSTS=",".join(
                f"{each}=ws://stream.{each}.test:{PORT}/{each}|http://api.{each}.test:{PORT}/{each}"
                for each in VENUES
            ),
            CONTEXT_SOURCES=",".join(SOURCES),
            CONTEXT_HOSTS=",".join(f"{each}=http://{each}.context.test:{PORT}/{each}" for each in SOURCES),
            **QUICK,
            ALL_PROXY=f"{scheme}://trader:secret@127.0.0.1:{proxy.port}",
        )
        names |= dict.fromkeys(NAMES, ("127.0.0.1", int(system.simulator.rpartition(":")[2])))
        async with system:
            system.start("services.context")
            await system.all_live(len(VENUES))
            await system.all_fresh(*SOURCES)
            logged = system.log("services.l2") + system.log("services.context")
    assert all(proxy.carried[f"stream.{venue}.test"] for venue in VENUES), proxy.carried
    assert proxy.carried["api.binance.test"]
    assert all(proxy.carried[f"{source}.context.test"] for source in SOURCES), proxy.carried
    assert "secret" not in logged


async def test_the_demo_on_this_machine_asks_no_proxy(fresh_kafka: str, tmp_path: Path) -> None:
    async with serving(HttpProxy({})) as proxy:
        variables = dict.fromkeys(VARIABLES, f"http://127.0.0.1:{proxy.port}")
        async with System(fresh_kafka, tmp_path, **QUICK, **variables) as system:
            system.start("services.context")
            await system.all_live(len(VENUES))
            await system.all_fresh(*SOURCES, "stub")
    assert proxy.came == 0
