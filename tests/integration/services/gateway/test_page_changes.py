"""The red button in a real browser: asked for twice, refused in words, with the token where one is set."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import pytest

from libs.common.events import HaltTrading, Limits, TradingControlled, TradingHalted
from tests.browser import PATIENCE_S, a_page, find_browser
from tests.unit.services.gateway.asking.test_commands import a_record, listening
from tests.unit.services.gateway.serving import Serving
from tests.unit.services.gateway.world import World

if TYPE_CHECKING:
    from pathlib import Path

BROWSER: Final = find_browser()
TOKEN: Final = "c2VjcmV0LXRva2VuLXNl"  # noqa: S105 -- of this test
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed, and CHROMIUM names none")
STOP: Final = "document.querySelector('#bar button.danger')"
SUBMIT: Final = "document.querySelector('dialog[open] button[type=submit]')"
REFUSAL: Final = "document.querySelector('dialog[open] [role=alert]')"
FIELD: Final = "document.querySelector('dialog[open] input[name=token]')"


async def test_two_clicks_halt_everything_and_a_token_is_asked_for_where_one_is_set(tmp_path: Path) -> None:
    assert BROWSER is not None
    world = World(token=TOKEN, command_timeout_s=60.0)
    world.live()
    async with (
        listening(world),
        Serving(world).listening() as (host, port),
        a_page(BROWSER, tmp_path) as tab,
    ):
        await tab.open(f"http://{host}:{port}/?view=system")
        await tab.click(STOP)
        await tab.wait_for(SUBMIT)
        assert await tab.evaluate(f"{FIELD} === null")
        await tab.click(SUBMIT)
        await tab.wait_for(FIELD)
        assert "Authorization" in await tab.evaluate(f"{REFUSAL}.textContent")
        await tab.type_into(FIELD, "not-the-token")
        await tab.click(SUBMIT)
        await tab.wait_for(f"{FIELD} && {FIELD}.value === ''")
        assert not sent(world)
        await tab.type_into(FIELD, TOKEN)
        await tab.click(SUBMIT)
        await _answered(world)
        await tab.wait_for("document.querySelector('dialog') === null")
        (command,) = sent(world)
        assert (command.scope, command.by) == ("all", "gateway")
        assert command.reason == "stopped by hand, on the page"
        assert (
            await tab.evaluate("document.querySelector('#said').textContent") == "trading is halted for all"
        )
        assert await tab.evaluate("sessionStorage.length === 1 && document.cookie === ''")
        assert TOKEN not in " ".join(tab.addresses)


def sent(world: World) -> list[HaltTrading]:
    return [each.event for each in world.writer.sent if isinstance(each.event, HaltTrading)]


async def _answered(world: World) -> None:
    """Answer the halt as execution does."""
    async with asyncio.timeout(PATIENCE_S):
        while not sent(world):  # noqa: ASYNC110 -- the browser is another process
            await asyncio.sleep(0.01)
    (command,) = sent(world)
    halt = TradingHalted(scope=command.scope, reason=command.reason, by=command.by, ts=world.now)
    told = TradingControlled(
        command_id=command.command_id, scope=command.scope, halts=(halt,), limits=Limits(), ts=world.now
    )
    world.answers.feed(a_record(told))
