"""What charts send becomes a signal, as the setting says; nobody without the secret tells one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from libs.common.events import PolicySignalled
from libs.common.topics import POLICIES_SIGNALS
from services.gateway.http.webhook_mapping import EXAMPLE, MappingError, mapping_of
from services.gateway.settings import GatewaySettings
from tests.unit.services.gateway.http.test_api import assert_problem
from tests.unit.services.gateway.world import NOW, World

if TYPE_CHECKING:
    from tests.unit.services.gateway.world import Answer

HOOK = "/api/signals/webhook"
TOKEN = "Zm9v.bar-_~+/0123=="  # noqa: S105 -- a test's own
SECRET = "c2VjcmV0LW9mLWhvb2tz"  # noqa: S105 -- a test's own
MAPPING = (
    "policyId=strategy.name symbol=ticker value=action{buy:1,sell:-1,flat:0} reason=comment ttlS=900"
    " secret=auth.key"
)
BODY: dict[str, Any] = {
    "strategy": {"name": "x_trend"},
    "ticker": "BINANCE:BTCUSDT",
    "action": "sell",
    "comment": "crossed",
    "auth": {"key": SECRET},
}
TEXT = {"content-type": "text/plain; charset=utf-8"}


def hooked(mapping: str = MAPPING, **settings: Any) -> World:
    secret = SecretStr(SECRET) if "secret=" in mapping else None
    return World(signal_webhook=mapping, webhook_secret=secret, **settings)


async def sent(world: World, body: Any = BODY, headers: dict[str, str] = TEXT) -> Answer:
    return await world.ask(HOOK, "POST", json.dumps(body).encode(), headers)


async def test_a_body_of_text_with_json_inside_becomes_the_signal_that_the_mapping_says() -> None:
    world = hooked()
    answer = await sent(world)
    assert (answer.status, answer.json()["policyId"]) == (200, "x_trend")
    (written,) = world.writer.sent
    assert (written.topic, written.key) == (POLICIES_SIGNALS, b"x_trend:BTC-USDT")
    assert written.event == PolicySignalled(
        policy_id="x_trend",
        symbol="BTC-USDT",
        value=-1.0,
        reason="crossed",
        inputs_ts=NOW,
        valid_until_ts=NOW + 900 * 10**9,
    )
    assert (await sent(world, headers={"content-type": "application/json"})).status == 200


@pytest.mark.parametrize(
    ("ticker", "symbol"),
    [
        ("BINANCE:BTCUSDT", "BTC-USDT"),
        ("BTCUSDT.P", "BTC-USDT"),
        ("BYBIT:ETHUSDT.P", "ETH-USDT"),
        ("btc/usdt", "BTC-USDT"),
        ("COINBASE:BTCUSD", "BTC-USD"),
    ],
)
async def test_a_symbol_as_charts_name_it_is_the_pair(ticker: str, symbol: str) -> None:
    assert (await sent(hooked(), BODY | {"ticker": ticker})).json()["symbol"] == symbol


@pytest.mark.parametrize("ticker", ["NASDAQ:AAPL", ":", ".P", "", "BINANCE:"])
async def test_a_symbol_that_is_no_pair_is_told(ticker: str) -> None:
    world = hooked()
    assert (await sent(world, BODY | {"ticker": ticker})).status in {404, 422}
    assert world.writer.sent == []


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"strategy": "x_trend"}, "strategy.name", "is missing: GATEWAY_SIGNAL_WEBHOOK takes policyId"),
        ({"strategy": {"name": "p_sma"}}, "strategy.name", "must begin with x_"),
        ({"action": "hold"}, "action", "must be one of buy, sell, flat"),
        ({"action": None}, "action", "is missing"),
        ({"action": ["buy"]}, "action", "must be a text or a number"),
        ({"ticker": True}, "ticker", "must be a text or a number"),
        ({"comment": "a" * 501}, "comment", "500"),
    ],
)
async def test_what_is_wrong_with_a_body_is_told_by_its_place_there(
    change: dict[str, Any], field: str, said: str
) -> None:
    world = hooked()
    (error,) = assert_problem(await sent(world, BODY | change), 422, "invalid")["errors"]
    assert error["field"] == field
    assert said in error["message"]
    assert world.writer.sent == []


@pytest.mark.parametrize("size", [0.5, "0.5", "-1", 0, "1e-2"])
async def test_a_value_may_be_a_number_or_a_number_in_text(size: object) -> None:
    world = hooked("policyId='x_size' symbol=ticker value=size ttlS=ttl")
    answer = await sent(world, {"ticker": "BTCUSDT", "size": size, "ttl": "60"})
    assert answer.json()["value"] == float(str(size))
    assert answer.json()["validUntilMs"] == NOW // 10**6 + 60_000


@pytest.mark.parametrize(
    "size", ['"half"', '""', '"nan"', '"1_0"', "2", '"1e999"', "NaN", "9" * 4000, "-1e999"]
)
async def test_a_value_that_is_none_is_told(size: str) -> None:
    world = hooked("policyId='x_size' symbol=ticker value=size ttlS=60")
    answer = await world.ask(HOOK, "POST", f'{{"ticker": "BTCUSDT", "size": {size}}}'.encode(), TEXT)
    (error,) = assert_problem(answer, 422, "invalid")["errors"]
    assert error["field"] == "size"


async def test_a_reason_that_a_body_leaves_out_is_empty() -> None:
    body = {name: value for name, value in BODY.items() if name != "comment"}
    assert (await sent(hooked(), body)).json()["reason"] == ""


@pytest.mark.parametrize("shown", [None, "", SECRET[:-1], SECRET + "x", 7, {"key": SECRET}, "ä"])
@pytest.mark.parametrize("token", [None, TOKEN])
async def test_without_the_secret_a_body_is_401_and_tells_nothing(
    shown: Any, token: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = hooked(token=token and SecretStr(token))
    answer = await sent(world, BODY | {"auth": {"key": shown}, "action": "nonsense"})
    document = assert_problem(answer, 401, "unauthorized")
    assert "errors" not in document
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert world.writer.sent == []
    assert SECRET not in answer.body.decode() + caplog.text


async def test_with_a_token_set_the_secret_is_enough_here_and_nowhere_else() -> None:
    world = hooked(token=SecretStr(TOKEN))
    assert (await sent(world)).status == 200
    assert SECRET not in str([each.event for each in world.writer.sent])
    body = {"policyId": "x_a", "symbol": "BTCUSDT", "value": 1, "ttlS": 60, "auth": {"key": SECRET}}
    for path in ("/api/signals", f"{HOOK}/", f"{HOOK}x", "/api/signals//webhook"):
        answer = await world.ask(
            path, "POST", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        assert_problem(answer, 401, "unauthorized")


async def test_guesses_at_the_secret_are_slowed_down_and_take_nothing_from_who_has_the_token() -> None:
    world = hooked(token=SecretStr(TOKEN), write_rate_per_s=1, write_burst=3)
    wrong = BODY | {"auth": {"key": "x"}}
    assert [(await sent(world, wrong)).status for _ in range(5)] == [401, 401, 401, 429, 429]
    shown = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    body = {"policyId": "x_a", "symbol": "BTCUSDT", "value": 1, "ttlS": 60}
    answer = await world.ask("/api/signals", "POST", json.dumps(body).encode(), shown)
    assert answer.status == 200


@pytest.mark.parametrize("token", [None, SecretStr(TOKEN)])
async def test_while_it_is_off_it_says_what_to_set(token: SecretStr | None) -> None:
    document = assert_problem(await sent(World(token=token)), 404, "unknown-route")
    assert "GATEWAY_SIGNAL_WEBHOOK" in document["detail"]
    assert mapping_of(EXAMPLE) is not None


async def test_a_page_of_another_origin_tells_no_signal_though_text_needs_no_preflight() -> None:
    answer = await sent(hooked(), headers=TEXT | {"origin": "https://evil.example"})
    assert_problem(answer, 403, "foreign-page")


@pytest.mark.parametrize(
    ("raw", "headers", "status"),
    [
        (b"x_trend buy", TEXT, 400),
        (b"[1]", TEXT, 422),
        (b'{"a": 1, "a": 2}', TEXT, 400),
        (b"{}", {"content-type": "text/html"}, 415),
        (b"{}", {}, 415),
        (b"{}", TEXT | {"content-encoding": "gzip"}, 415),
        (b"{}", {"content-type": "text/plain; charset=utf-16"}, 415),
        (b" " * 70_000, TEXT, 413),
    ],
)
async def test_what_is_no_json_object_is_refused_as_everywhere(
    raw: bytes, headers: dict[str, str], status: int
) -> None:
    assert (await hooked().ask(HOOK, "POST", raw, headers)).status == status


async def test_a_repeated_key_is_answered_again_and_writes_nothing() -> None:
    world = hooked()
    for _ in range(2):
        assert (await sent(world, headers=TEXT | {"idempotency-key": "k"})).status == 200
    assert [each.topic for each in world.writer.sent].count(POLICIES_SIGNALS) == 1


def test_a_mapping_takes_constants_paths_and_meanings() -> None:
    mapping = mapping_of("""policyId=kind{trend:x_trend} symbol="ETH-USDT" value=.5 ttlS=a.b-c.0""")
    assert mapping is not None
    body = {"kind": "trend", "a": {"b-c": {"0": 30}}}
    assert mapping.fields_of(body) == {
        "policyId": "x_trend",
        "symbol": "ETH-USDT",
        "value": 0.5,
        "ttlS": 30.0,
    }
    assert not mapping.has_secret
    assert mapping_of("  ") is None
    with pytest.raises(MappingError) as found:
        mapping.fields_of({})
    assert [each.field for each in found.value.errors] == ["kind", "a.b-c.0"]


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("mark0", "place 1 must be field=path"),
        ("policyId=mark0 symbol", "place 2 must be field=path"),
        ("policyId=mark0,symbol=b", "place 1 must be field=path"),
        ("policyId=mark0 policy=b", "place 2 must name one of policyId, symbol"),
        ("policyId=mark0 policyId=b", "each once"),
        ("policyId=mark0 symbol=b value=c", "does not say what ttlS is"),
        ("policyId=mark0 symbol=b value='c' ttlS=1", "value must be a number"),
        ("policyId=mark0 symbol=b value=c{buy:mark0} ttlS=1", "place 3: braces hold word:number"),
        ("policyId=mark0 symbol=b value=c{buy} ttlS=1", "place 3: braces hold word:number"),
        ("policyId=mark0 symbol=b value=c{a:1,a:2} ttlS=1", "each word once"),
        ("policyId=mark0 symbol=b value=c ttlS=1 secret='mark0'", "secret must name the place"),
        ("policyId=mark0 symbol=b value=c ttlS=1 reason=k secret=k", "told to everybody"),
    ],
)
def test_a_mapping_that_is_none_is_refused_at_the_start_with_its_place_and_not_shown(
    mapping: str, said: str
) -> None:
    with pytest.raises(ValidationError, match=f"GATEWAY_SIGNAL_WEBHOOK: .*{re.escape(said)}") as refused:
        GatewaySettings(signal_webhook=mapping, webhook_secret=SecretStr(SECRET))
    assert "mark0" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"signal_webhook": MAPPING}, "needs a GATEWAY_WEBHOOK_SECRET"),
        (
            {"signal_webhook": MAPPING.replace("secret=auth.key", ""), "token": SecretStr(TOKEN)},
            "needs a GATEWAY_WEBHOOK_SECRET",
        ),
        ({"webhook_secret": SecretStr(SECRET)}, "must say where a body holds it"),
        (
            {"signal_webhook": MAPPING, "webhook_secret": SecretStr("short")},
            "GATEWAY_WEBHOOK_SECRET can be guessed",
        ),
    ],
)
def test_a_webhook_and_its_secret_belong_together(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        GatewaySettings(**settings)
    assert SECRET not in str(refused.value)
    assert "auth.key" not in str(refused.value)
