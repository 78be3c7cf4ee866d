"""The routes that read what is told of policies and contexts: who is registered, what holds now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from libs.common.told import EVERY_SYMBOL, input_fault, signal_fault
from libs.common.topics import input_key, signal_key
from services.gateway.http import policy_views
from services.gateway.http import problems as p
from services.gateway.http import requests as r
from services.gateway.http.openapi import answers, list_of, reference
from services.gateway.http.parts import ready_parts_of, shown
from services.gateway.http.policy_views import ContextsAnswer
from services.gateway.http.problems import ProblemError
from services.gateway.reading.known_names import require_policy

if TYPE_CHECKING:
    from libs.common.events import ContextInput, PolicySignalled
    from services.gateway.reading.topic_views import GatewayViews

router = APIRouter(tags=["policies"])


@router.get(
    "/api/policies",
    summary="Every registered policy",
    responses=answers("By name.", list_of(policy_views.REGISTERED_POLICY), p.NOT_READY, p.UNAVAILABLE),
)
async def get_policies(request: Request) -> Response:
    """Return the policies that somebody can turn into a signal; a scope chooses among those of them it has.

    `kind` says whose code it is, `state` whether it runs, and `fault` what a quarantined one did.
    `GET /api/router/snapshot` shows which a scope has, POST and DELETE of `/api/router/policies` change them.
    """
    found = ready_parts_of(request).views.policies.items
    if not found:
        raise ProblemError(
            p.UNAVAILABLE, "No policy is registered yet: execution is not up.", retry_after_s=1
        )
    return shown([policy_views.REGISTERED_POLICY(found[key]) for key in sorted(found)])


@router.get(
    "/api/signals",
    summary="What policies want",
    responses=answers(
        "The newest of each policy and symbol, the newest first.",
        list_of(policy_views.SIGNAL),
        *(p.UNKNOWN_NAME, p.UNKNOWN_SYMBOL, p.INVALID, p.NOT_READY),
    ),
)
async def get_signals(
    request: Request,
    policy_id: r.PolicyQuery = None,
    symbol: r.OnlySymbol = None,
    limit: r.RecordLimit = 50,
) -> Response:
    """Return signals of hosted policies and of those from outside; execution uses what is `usable`.

    Built-in policies are asked where they are used, and have none here.
    """
    parts = ready_parts_of(request)
    views, now = parts.views, parts.clock()
    pair = None if symbol is None else r.symbol_of(symbol)
    if policy_id is not None:
        require_policy(views, policy_id)
    found = [
        (key, each)
        for key, each in views.signals.items.items()
        if policy_id in (None, each.policy_id) and pair in (None, each.symbol)
    ]
    found.sort(key=lambda one: (-one[1].inputs_ts, one[0]))
    return shown(
        [policy_views.SIGNAL(each, fault=_fault(views, key, each, now)) for key, each in found[:limit]]
    )


@router.get(
    "/api/context",
    summary="What contexts are filled with",
    responses=answers(
        "The newest of each symbol and name, and how their sources stand.",
        reference(ContextsAnswer),
        *(p.UNKNOWN_SYMBOL, p.INVALID, p.NOT_READY),
    ),
)
async def get_context(request: Request, symbol: r.OnlySymbol = None, limit: r.RecordLimit = 50) -> Response:
    """Return the inputs that fill contexts beside books and candles; with `symbol`, those of `*` too."""
    parts = ready_parts_of(request)
    views, now = parts.views, parts.clock()
    wanted = None if symbol is None else (r.symbol_of(symbol), EVERY_SYMBOL)
    found = [
        (key, each) for key, each in views.inputs.items.items() if wanted is None or each.symbol in wanted
    ]
    found.sort(key=lambda one: (-one[1].ts, one[0]))
    sources = views.input_sources.items
    return shown(
        ContextsAnswer(
            inputs=tuple(
                policy_views.INPUT(each, fault=_input_fault(key, each, now), now=now)
                for key, each in found[:limit]
            ),
            sources=tuple(policy_views.SOURCE(sources[key]) for key in sorted(sources)),
        )
    )


def _fault(views: GatewayViews, key: bytes, signal: PolicySignalled, now: int) -> str:
    """Return why a signal may not be used; under another key than its own nobody finds it."""
    if key != signal_key(signal.policy_id, signal.symbol):
        return "its record has another key than policy:symbol"
    return signal_fault(signal, views.policies.items.get(signal.policy_id.encode()), now)


def _input_fault(key: bytes, told: ContextInput, now: int) -> str:
    """Return why an input may not be used; under another key than its own nobody finds it."""
    if key != input_key(told.symbol, told.name):
        return "its record has another key than symbol:name"
    return input_fault(told, now)
