"""The routes by which outsiders tell what their policies want, and what contexts lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from libs.common.events import ContextInput, PolicySignalled
from libs.common.time_units import NS_PER_S
from libs.common.told import EVERY_SYMBOL
from libs.common.topics import CONTEXT_INPUTS, POLICIES_SIGNALS, input_key, signal_key
from services.gateway.asking.idempotency import Reply
from services.gateway.http import openapi, policy_views
from services.gateway.http import problems as p
from services.gateway.http import requests as r
from services.gateway.http.command_routes import body_example, once
from services.gateway.http.guard import CHALLENGE, WEBHOOK
from services.gateway.http.openapi import answers, reference
from services.gateway.http.parts import JSON, parts_of, ready_parts_of
from services.gateway.http.policy_requests import ContextBody, SignalBody
from services.gateway.http.problems import FieldError, ProblemError, invalid
from services.gateway.http.strict_json import TEXT_TYPE, StrictRequest, StrictRoute
from services.gateway.http.view import encode
from services.gateway.http.webhook_mapping import EXAMPLE, MappingError
from services.gateway.reading.known_names import input_name_fault, require_symbol

if TYPE_CHECKING:
    from services.gateway.asking.commands import Command
    from services.gateway.http.webhook_mapping import WebhookMapping

WRITES: Final = (*openapi.WAITS, p.UNKNOWN_SYMBOL)
CHART: Final = {
    "strategy": "x_trend",
    "ticker": "BINANCE:BTCUSDT",
    "action": "buy",
    "comment": "the fast average crossed the slow one",
    "key": "the GATEWAY_WEBHOOK_SECRET",
}

router = APIRouter(route_class=StrictRoute)


@router.post(
    "/api/signals",
    tags=["policies"],
    summary="Tell what a policy of your own wants",
    responses=answers("Kafka has it.", reference(policy_views.SIGNAL_TAKEN), *openapi.TAKES_A_BODY, *WRITES),
    openapi_extra=body_example(
        {"policyId": "x_trend", "symbol": "BTCUSDT", "value": 0.5, "reason": "it rises", "ttlS": 300}
    ),
)
async def signal(request: Request, body: SignalBody, key: r.IdempotencyKey = None) -> Response:
    """Say what a policy that runs outside of Bookrunner wants of a symbol, until `ttlS` from now.

    Its name begins with `x_`. It is registered within moments of its first signal and joins the scope
    `default`, which then chooses among it too; it needs a signal for each symbol that is to be traded by it.
    The newest signal of a policy and a symbol counts, as long as it is valid.
    """
    return await _signalled(request, body, key)


@router.post(
    WEBHOOK,
    tags=["policies"],
    summary="Take a signal as a chart sends it",
    responses=answers(
        "Kafka has it.",
        reference(policy_views.SIGNAL_TAKEN),
        *(*openapi.TAKES_A_BODY, *WRITES, p.UNKNOWN_ROUTE),
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"type": "object"}, "example": CHART},
                TEXT_TYPE: {
                    "schema": {"type": "string"},
                    "example": '{"strategy": "x_trend", "action": "buy"}',
                },
            },
        }
    },
)
async def signal_webhook(request: Request, key: r.IdempotencyKey = None) -> Response:
    """Make a signal of a JSON body of any form, as GATEWAY_SIGNAL_WEBHOOK says; else as `POST /api/signals`.

    For those who can choose a body but no headers, as TradingView: the body may be declared as text/plain,
    and shows GATEWAY_WEBHOOK_SECRET in place of the token. Of a symbol the exchange in front and a `.P` at
    its end are left out: `BINANCE:BTCUSDT.P` is BTC-USDT.
    """
    webhook = parts_of(request).webhook
    if webhook is None:
        detail = f"The webhook is off: start the gateway with GATEWAY_SIGNAL_WEBHOOK, as {EXAMPLE!r}."
        raise ProblemError(p.UNKNOWN_ROUTE, detail)
    strict = cast("StrictRequest", request)  # as its route made it
    await strict.read(text=True)
    body = await strict.json()
    if webhook.secret is not None and not webhook.mapping.shows(body, webhook.secret):
        detail = "The body must hold the GATEWAY_WEBHOOK_SECRET, where GATEWAY_SIGNAL_WEBHOOK says."
        raise ProblemError(p.UNAUTHORIZED, detail, asks={"WWW-Authenticate": CHALLENGE})
    return await _signalled(strict, _mapped(webhook.mapping, body), key)


@router.post(
    "/api/context",
    tags=["policies"],
    summary="Tell a number that contexts lack",
    responses=answers("Kafka has it.", reference(policy_views.INPUT_TAKEN), *openapi.TAKES_A_BODY, *WRITES),
    openapi_extra=body_example({"symbol": "BTCUSDT", "name": "sentiment", "value": 0.3, "ttlS": 3600}),
)
async def context_input(request: Request, body: ContextBody, key: r.IdempotencyKey = None) -> Response:
    """Say a number for contexts of a symbol, or of every symbol (`*`), until `ttlS` from now.

    Contexts that name a symbol and lack this number are filled with it: the newest counts, as long as it is
    valid. Its name is a field that all contexts have or a feature that a scope declared, and so is its range.
    """

    async def execute(command: Command) -> Reply:
        parts = ready_parts_of(request)
        symbol = body.symbol
        if symbol != EVERY_SYMBOL:
            symbol = r.symbol_of(symbol)
            require_symbol(parts.views, symbol)
        fault = input_name_fault(parts.views, body.name, body.value, parts.new_features)
        if fault is not None:
            raise invalid([FieldError(*fault)])
        now = parts.clock()
        told = ContextInput(
            symbol=symbol,
            name=body.name,
            value=body.value,
            source=body.source,
            ts=now,
            valid_until_ts=now + round(body.ttl_s * NS_PER_S),
        )
        whose = f"the input {symbol} {body.name}"
        await parts.publications.publish(CONTEXT_INPUTS, input_key(symbol, body.name), told, whose, command)
        return Reply(200, encode(policy_views.INPUT_TAKEN(told)))

    return await once(request, key, execute)


async def _signalled(request: Request, body: SignalBody, key: str | None) -> Response:
    """Write a signal, and answer once Kafka has it."""

    async def execute(command: Command) -> Reply:
        parts = ready_parts_of(request)
        symbol = r.symbol_of(body.symbol)
        require_symbol(parts.views, symbol)
        parts.new_policies.require(body.policy_id, command.address)
        now = parts.clock()
        told = PolicySignalled(
            policy_id=body.policy_id,
            symbol=symbol,
            value=body.value,
            reason=body.reason,
            inputs_ts=now,
            valid_until_ts=now + round(body.ttl_s * NS_PER_S),
        )
        whose = f"the policy {body.policy_id}"
        await parts.publications.publish(
            POLICIES_SIGNALS, signal_key(body.policy_id, symbol), told, whose, command
        )
        policy = parts.views.policies.items.get(body.policy_id.encode())
        return Reply(200, encode(policy_views.SIGNAL_TAKEN(told, policy=policy)))

    return await once(request, key, execute)


def _mapped(mapping: WebhookMapping, body: dict[str, Any]) -> SignalBody:
    """Return the signal that a body is mapped to.

    Raises
    ------
    ProblemError
        422 with what of the body is missing or wrong, by its place there.
    """
    try:
        return SignalBody.model_validate(mapping.fields_of(body))
    except MappingError as error:
        raise invalid(error.errors) from error
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid(
            [FieldError(mapping.place_of(str(each["loc"][0])), each["msg"]) for each in faults]
        ) from error
