"""Every kind of standing work has a share for an address and an end in all, told with when to try again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from libs.common.events import RouterSnapshot
from libs.common.topics import GATEWAY_IDEMPOTENCY, L2_SUBSCRIPTIONS, ROUTER_COMMANDS, ROUTER_SNAPSHOTS
from services.gateway.settings import GatewaySettings
from tests.full_valued import full
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.logs import InMemoryLog
from tests.unit.services.gateway.stream.test_stream import TOPS, Stream, settled
from tests.unit.services.gateway.world import NOW, World, a_reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.services.gateway.world import Answer

ONE, OTHER, THIRD = "192.0.2.1", "192.0.2.2", "192.0.2.3"
WISH = {"venue": "binance", "symbol": "BTCUSDT"}
AUDIT = "/api/audit/7ea7c1fd-27df-5a02-aefa-a2e16957122c"
LINEAGE = "/api/exec/7ea7c1fd-27df-5a02-aefa-a2e16957122c/lineage"
PERFORMANCE = "/api/performance"
MOMENT = f"/api/at?ts={NOW // 10**6}"
PAST = f"/api/l2/binance/BTCUSDT?at={NOW // 10**6 - 5}"
"""What is asked, and the settings of its places in all and of an address."""
KINDS = {
    TOPS: ("stream_max_clients", "stream_max_clients_per_address"),
    f"{TOPS}&from=beginning": ("replay_max_streams", "replay_max_streams_per_address"),
    AUDIT: ("audit_max_reads", "audit_max_reads_per_address"),
    LINEAGE: ("why_max_reads", "why_max_reads_per_address"),
    PERFORMANCE: ("performance_max_reads", "performance_max_reads_per_address"),
    MOMENT: ("at_max_reads", "at_max_reads_per_address"),
    PAST: ("as_of_max_rebuilds", "as_of_max_rebuilds_per_address"),
}


@asynccontextmanager
async def under_way(world: World, target: str, peer: str) -> AsyncIterator[None]:
    """Hold what a request holds until it has its answer."""
    if target.startswith(TOPS):
        stream = Stream(world, target, peer=peer)
        await stream.until_received(b": open")
        yield
        await stream.leave()
        return
    known: dict[str, Any] = {
        AUDIT: world.audit,
        LINEAGE: world.audit,
        PERFORMANCE: world.traded,
        MOMENT: world.moment_logs,
    }
    held = known.get(target) or world.logs.setdefault(
        b"binance:BTC-USDT", InMemoryLog([(NOW // 10**6, None)])
    )
    held.held.clear()
    asking = asyncio.create_task(world.ask(target, peer=peer))
    await held.asked.acquire()
    yield
    held.held.set()
    await asking


@pytest.mark.parametrize("target", KINDS)
async def test_an_address_with_its_share_is_429_while_others_are_served_until_all_is_taken(
    target: str,
) -> None:
    in_all, of_address = KINDS[target]
    limits: dict[str, Any] = {in_all: 2, of_address: 1}
    world = World(**limits)
    async with under_way(world, target, ONE):
        refused = await world.ask(target, peer=ONE)
        assert ONE in assert_problem(refused, 429, "share-taken")["detail"]
        assert int(refused.headers["retry-after"]) >= 1
        async with under_way(world, target, OTHER):
            full = await world.ask(target, peer=THIRD)
            assert_problem(full, 503, "too-many")
            assert int(full.headers["retry-after"]) >= 1
    async with under_way(world, target, ONE):
        pass


async def test_replays_take_no_place_of_the_streams_of_new_messages_and_the_reverse() -> None:
    world = World(stream_max_clients=1, replay_max_streams=1)
    async with under_way(world, f"{TOPS}&from=beginning", ONE), under_way(world, TOPS, ONE):
        assert world.hub.open_streams == 2


async def test_a_share_is_of_the_address_that_a_believed_proxy_tells_of_and_of_an_ipv6_network() -> None:
    world = World(stream_max_clients_per_address=1, trusted_proxies=ONE)
    stream = Stream(world, TOPS, peer=ONE, x_forwarded_for="2001:db8::1")
    await stream.until_received(b": open")
    refused = await world.ask(TOPS, headers={"x-forwarded-for": "2001:db8::2"}, peer=ONE)
    assert "2001:db8::/64" in assert_problem(refused, 429, "share-taken")["detail"]
    other = Stream(world, TOPS, peer=ONE, x_forwarded_for="2001:db8:0:1::1")
    await other.until_received(b": open")
    await stream.leave()
    await other.leave()


async def test_commands_that_wait_have_shares_also_while_they_wait_for_their_turn() -> None:
    world = World(max_commands=2, max_commands_per_address=1, command_timeout_s=5)
    world.writer.l2_answers = False
    first = asyncio.create_task(world.post(WISH, ONE))
    await settled(lambda: world.writer.sent)
    refused = await world.post(WISH, ONE)
    assert_problem(refused, 429, "share-taken")
    assert refused.headers["retry-after"] == "1"
    second = asyncio.create_task(world.post(WISH, OTHER))  # waits for the first one's turn to end
    await settled(lambda: world.commands.places.taken.total == 2)
    assert_problem(await world.post(WISH, THIRD), 503, "too-many")
    assert_problem(await world.ask("/api/router/policies/p_sma", "DELETE", peer=THIRD), 503, "too-many")
    assert [sent.topic for sent in world.writer.sent] == [L2_SUBSCRIPTIONS]
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert world.commands.places.taken.total == 0


async def test_who_waits_for_the_end_of_an_execution_has_a_place_before_anything_is_executed() -> None:
    world = World(max_waiters=2, max_waiters_per_address=1)
    sent = {"content-type": "application/json"}

    async def ask(peer: str, wait: str) -> Answer:
        path = f"/api/exec/plan-and-execute?wait={wait}"
        return await world.ask(path, "POST", b'{"symbol": "BTCUSDT"}', sent, peer)

    with world.commands.waiters.held(ONE):
        assert_problem(await ask(ONE, "final"), 429, "share-taken")
        assert_problem(await ask(ONE, "plan"), 503, "not-ready")  # it came as far as the services
        with world.commands.waiters.held(OTHER):
            assert_problem(await ask(THIRD, "final"), 503, "too-many")
    assert world.writer.sent == []


async def test_keys_have_shares_of_an_address_that_a_restart_does_not_forget() -> None:
    limits: dict[str, Any] = {"idempotency_max_keys": 3, "idempotency_max_keys_per_address": 2}
    world = World(**limits)
    world.live()
    for key in ("a", "b"):
        assert (await world.post(WISH, ONE, idempotency_key=key)).status == 200
    kept = [sent for sent in world.writer.sent if sent.topic is GATEWAY_IDEMPOTENCY]
    restarted = World(**limits)
    restarted.live()
    for sent in kept:
        restarted.fold(sent.topic, sent.key, sent.event)
    for each in (world, restarted):
        refused = await each.post(WISH, ONE, idempotency_key="c")
        assert_problem(refused, 429, "share-taken")
        assert refused.headers["retry-after"] == "60"
        assert (await each.post(WISH, ONE, idempotency_key="a")).headers["idempotency-replayed"] == "true"
        assert (await each.post(WISH, OTHER, idempotency_key="c")).status == 200
        assert_problem(await each.post(WISH, THIRD, idempotency_key="d"), 503, "too-many")
        each.fold(GATEWAY_IDEMPOTENCY, b"a", None)  # its time is over
        assert (await each.post(WISH, ONE, idempotency_key="d")).status == 200


async def test_replies_have_shares_in_bytes() -> None:
    world = World(idempotency_max_bytes=120, idempotency_max_bytes_per_address=60)
    world.live()
    statuses = [
        (await world.post(WISH, peer, idempotency_key=f"{peer}-{n}")).status
        for peer in (ONE, OTHER, THIRD)
        for n in range(3)
    ]
    assert statuses == [200, 429, 429, 200, 503, 503, 503, 503, 503]  # a reply is some 60 bytes


async def test_keys_whose_requests_are_being_done_count_too() -> None:
    world = World(idempotency_max_keys_per_address=1, command_timeout_s=5)
    world.writer.l2_answers = False
    first = asyncio.create_task(world.post(WISH, ONE, idempotency_key="a"))
    await settled(lambda: world.writer.sent)
    assert_problem(await world.post(WISH, ONE, idempotency_key="b"), 429, "share-taken")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_reply_of_an_older_gateway_is_nobodys_share_but_takes_its_room() -> None:
    world = World(idempotency_max_keys=1, idempotency_max_keys_per_address=1)
    world.live()
    world.fold(GATEWAY_IDEMPOTENCY, b"old", a_reply())
    assert_problem(await world.post(WISH, ONE, idempotency_key="a"), 503, "too-many")


async def test_an_address_names_its_share_of_new_scopes_and_no_more_until_time_has_passed() -> None:
    world = World(scopes_burst=2, scopes_per_hour=1, command_timeout_s=0.01)
    world.commands.listening = True
    sent = {"content-type": "application/json"}

    async def choose(scope: str, peer: str = ONE) -> Answer:
        body = f'{{"context": {{}}, "scope": "{scope}"}}'.encode()
        return await world.ask("/api/router/choose", "POST", body, sent, peer)

    for number in range(2):
        assert (await choose(f"s{number}")).status == 504  # it was sent, and no router is here
    refused = await choose("s2")
    assert_problem(refused, 429, "too-fast")
    assert refused.headers["retry-after"] == "3600"
    retired = await world.ask("/api/router/policies/p_sma?scope=s3", "DELETE", peer=ONE)
    assert_problem(retired, 429, "too-fast")
    assert (await choose("s2", OTHER)).status == 504
    world.fold(ROUTER_SNAPSHOTS, b"known", full(RouterSnapshot))
    assert (await choose("known")).status == 504  # the router has it already
    world.now += 3_600 * 10**9
    assert (await choose("s4")).status == 504
    assert [each.key for each in world.writer.sent if each.topic is ROUTER_COMMANDS] == [
        *(b"s0", b"s1", b"s2", b"known", b"s4")
    ]


def test_what_one_address_may_have_leaves_one_user_on_one_machine_unhindered() -> None:
    """The page opens six connections at most; the benches ask a thousand at once, and wait for 200 ends."""
    settings = GatewaySettings()
    assert settings.stream_max_clients_per_address >= 6
    assert settings.replay_max_streams_per_address >= 6
    assert settings.max_commands_per_address >= 1_000
    assert settings.max_waiters_per_address >= 200
    assert settings.idempotency_max_keys_per_address >= 10_000
