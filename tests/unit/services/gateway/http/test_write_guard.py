from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest
from numpy.random import Generator, Philox
from pydantic import SecretStr, ValidationError

from libs.common.settings import ServiceSettings
from libs.common.time_units import NS_PER_S
from services.gateway.http.callers import counted
from services.gateway.http.guard import WEBHOOK
from services.gateway.http.strict_json import MAX_BODY
from services.gateway.settings import GatewaySettings
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import World, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "Zm9v.bar-_~+/0123=="  # noqa: S105 -- a test's own: every kind of sign that may stand in one
WISH = {"venue": "binance", "symbol": "BTC-USDT"}
BOOK = "/api/l2/subscriptions/binance/BTCUSDT"


def guarded(**settings: Any) -> World:
    return World(token=SecretStr(TOKEN), **settings)


async def test_without_a_token_set_everybody_may_write() -> None:
    world = World()
    world.live()
    assert (await world.post(WISH)).status == 200
    assert (await world.ask(BOOK, "DELETE")).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
@pytest.mark.parametrize("target", [BOOK, "/api/l2/subscriptions", "/nope"])
async def test_a_change_without_the_token_is_401_and_says_what_to_send(method: str, target: str) -> None:
    world = guarded()
    world.live()
    answer = await world.ask(target, method)
    document = assert_problem(answer, 401, "unauthorized")
    assert "send `Authorization: Bearer TOKEN`" in document["detail"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="bookrunner"'
    assert world.refusals == {"unauthorized": 1}


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        "ä",
    ],
)
async def test_what_is_not_the_token_is_401_and_is_not_repeated(shown: str) -> None:
    world = guarded()
    answer = await world.post(WISH, Authorization=shown)
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    assert TOKEN.encode() not in answer.body


async def test_a_wrong_token_is_told_from_none() -> None:
    answer = await guarded().post(WISH, Authorization="Bearer x")
    assert answer.headers["www-authenticate"] == 'Bearer realm="bookrunner", error="invalid_token"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_with_the_token_a_change_goes_through(scheme: str) -> None:
    world = guarded()
    world.live()
    assert (await world.post(WISH, Authorization=f"{scheme} {TOKEN}")).status == 200
    assert (await world.ask(BOOK, "DELETE", headers={"Authorization": f"Bearer {TOKEN}"})).status == 200
    assert not world.refusals


@pytest.mark.parametrize(
    "target", ["/api/l2", "/api/l2/binance/BTCUSDT", "/healthz", "/docs", "/openapi.json"]
)
async def test_reading_stays_open(target: str) -> None:
    world = guarded(write_burst=1)
    world.live()
    for _ in range(3):
        assert (await world.ask(target)).status == 200


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "=", "ä", '"x"'])
def test_a_token_that_is_none_is_refused_at_the_start_and_not_shown(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", token)
    with pytest.raises(ValidationError, match=r"GATEWAY_TOKEN must be .* and not empty: unset it") as refused:
        GatewaySettings()
    assert "input_value" not in str(refused.value)


async def test_more_changes_than_the_burst_are_429_until_a_token_has_come_back() -> None:
    world = World(write_rate_per_s=2, write_burst=3)
    world.live()
    for _ in range(3):
        assert (await world.post(WISH)).status == 200
    answer = await world.post(WISH)
    assert_problem(answer, 429, "too-fast")
    assert answer.headers["retry-after"] == "1"
    assert world.refusals == {"too-fast-address": 1}
    world.now += NS_PER_S // 2 - 1
    assert (await world.post(WISH)).status == 429
    world.now += 1
    assert (await world.post(WISH)).status == 200


async def test_by_default_a_thousand_choices_and_two_hundred_executions_at_once_pass() -> None:
    guard = World().guard
    scope = scope_of("POST", "/api/router/choose", "", {})
    assert [guard.refusal(scope) for _ in range(1_200)] == [None] * 1_200


async def test_all_together_have_a_limit_of_their_own() -> None:
    world = World(write_total_rate_per_s=1, write_total_burst=2)
    world.live()
    answers = [await world.post(WISH, peer=f"10.0.0.{n}") for n in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert world.refusals == {"too-fast-total": 1}


async def test_whoever_has_no_token_takes_nothing_from_those_who_have_it() -> None:
    world = guarded(write_total_rate_per_s=1, write_total_burst=1)
    world.live()
    for _ in range(5):
        assert (await world.post(WISH)).status == 401
    assert (await world.post(WISH, Authorization=f"Bearer {TOKEN}")).status == 200


async def test_guesses_at_the_token_are_slowed_down() -> None:
    world = guarded(write_rate_per_s=1, write_burst=2)
    answers = [await world.post(WISH, Authorization=f"Bearer {n}") for n in range(4)]
    assert [answer.status for answer in answers] == [401, 401, 429, 429]


@pytest.mark.parametrize(
    ("host", "counted_for"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::/64"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("client", "client"),
    ],
)
def test_a_host_of_ipv6_counts_once_however_many_addresses_it_has(host: str, counted_for: str) -> None:
    assert counted(host) == counted_for


async def test_a_client_without_an_address_counts_too() -> None:
    scope = scope_of("POST", "/api/router/choose", "", {}) | {"client": None}
    guard = World(write_rate_per_s=1, write_burst=1).guard
    assert guard.refusal(scope) is None
    refused = guard.refusal(scope)
    assert refused is not None
    assert "unknown" in refused.detail


async def test_a_body_that_announces_too_much_is_413_before_it_is_read() -> None:
    world = World()
    answer = await world.ask(
        "/api/l2/subscriptions",
        "POST",
        b"{}",
        {"content-type": "application/json", "content-length": str(MAX_BODY + 1)},
    )
    assert_problem(answer, 413, "too-large")
    assert world.unread == 1
    assert world.refusals == {"too-large": 1}


@pytest.mark.parametrize(("length", "status"), [("9" * 5000, 413), ("0" * 5000 + "2", 422)])
async def test_a_length_of_thousands_of_digits_is_a_number_like_others(length: str, status: int) -> None:
    assert (await World().post(b"{}", content_length=length)).status == status


async def test_a_body_that_grows_too_large_is_413_and_counted() -> None:
    world = World()
    chunks = [b"x" * 1024] * 65
    answer = await world.ask("/api/l2/subscriptions", "POST", chunks, {"content-type": "application/json"})
    assert_problem(answer, 413, "too-large")
    assert world.refusals == {"too-large": 1}


@pytest.mark.parametrize("make", [World, guarded])
async def test_every_change_is_documented_with_its_token_and_its_limits(make: Callable[[], World]) -> None:
    world = make()
    document = (await world.ask("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    needed: list[dict[str, list[str]]] = [{"bearer": []}] if world.settings.token else [{"bearer": []}, {}]
    writes = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in {"post", "delete", "put", "patch"}:
                writes += 1
                assert operation["security"] == ([{"bearer": []}, {}] if path == WEBHOOK else needed)
                assert {"401", "408", "413", "429"} <= operation["responses"].keys()
                assert operation["responses"]["429"]["headers"]["Retry-After"]
                assert operation["responses"]["401"]["headers"]["WWW-Authenticate"]
            else:
                assert "security" not in operation
                assert "401" not in operation["responses"]
    assert writes >= 8


@pytest.mark.parametrize("proxies", ["*", "proxy.example", "10.0.0.1/8"])
def test_proxies_are_named_by_address(proxies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TRUSTED_PROXIES", proxies)
    with pytest.raises(ValidationError, match="must be addresses or networks like"):
        GatewaySettings()


@pytest.mark.parametrize(
    "token",
    [
        "t",
        "secret",
        "0123456789abcde",
        "a" * 64,
        "abababababababab",
        "password" * 4,
        "0123456789abcdef" * 2,
        "aA1" * 20,
    ],
)
def test_a_token_that_can_be_guessed_is_refused_at_the_start_and_not_shown(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TOKEN", token)
    with pytest.raises(ValidationError, match=r"can be guessed: .*openssl rand -base64 32") as refused:
        GatewaySettings()
    assert "input_value" not in str(refused.value)


def test_what_openssl_prints_and_what_make_run_makes_is_strong_enough() -> None:
    drawn = Philox(key=7)
    for _ in range(30):
        raw = Generator(drawn).bytes(32)
        for token in (
            b64encode(raw),
            urlsafe_b64encode(raw).rstrip(b"="),
            raw.hex().encode(),
            b64encode(raw[:12]),
        ):
            GatewaySettings(token=SecretStr(token.decode()))


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 -- refused here
        *("::", "", "192.0.2.1", "desk.example", "localhost.example", "::ffff:10.0.0.1"),
    ],
)
def test_beyond_loopback_no_gateway_starts_without_a_token(host: str) -> None:
    with pytest.raises(ValidationError) as refused:
        GatewaySettings(host=host)
    for said in ("GATEWAY_HOST is", "127.0.0.1", "GATEWAY_TOKEN", "PRIVATE_NETWORK=true", "TLS"):
        assert said in str(refused.value)
    GatewaySettings(host=host, token=SecretStr(TOKEN))
    GatewaySettings(host=host, private_network=True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost", "::ffff:127.0.0.1"]
)
def test_on_loopback_none_is_needed(host: str) -> None:
    GatewaySettings(host=host, metrics_host=host, metrics_port=9464)


def test_metrics_are_not_served_beyond_loopback_but_in_a_network_of_their_own() -> None:
    beyond = {"metrics_host": "192.0.2.1", "metrics_port": 9464}
    with pytest.raises(ValidationError, match=r"METRICS_HOST is .*PRIVATE_NETWORK=true.*TLS"):
        ServiceSettings.model_validate(beyond)
    ServiceSettings.model_validate(beyond | {"private_network": True})


async def test_a_flood_without_the_token_takes_no_place_of_who_has_it_at_the_same_address() -> None:
    world = guarded(write_rate_per_s=1, write_burst=60)
    world.live()
    answers = []
    for _ in range(60):
        for shown in ({}, {"Authorization": "Bearer x"}):
            assert (await world.post(WISH, **shown)).status in {401, 429}
        answers.append((await world.post(WISH, Authorization=f"Bearer {TOKEN}")).status)
    assert answers == [200] * 60
    assert world.refusals["too-fast-unauthorized"] == 60  # and what is no token is bounded all the same


async def test_addresses_without_the_token_push_out_none_that_has_it() -> None:
    world = guarded(write_rate_per_s=1, write_burst=2, write_max_addresses=5)
    world.live()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert [(await world.post(WISH, **bearer)).status for _ in range(3)] == [200, 200, 429]
    for n in range(50):
        await world.post(WISH, peer=f"10.0.0.{n}")
    assert (await world.post(WISH, **bearer)).status == 429  # its bucket is remembered
    assert world.guard.addresses <= 2 * 5
