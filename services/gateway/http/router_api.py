"""The routes of the policy router: choose, update, policies of a scope and in all, snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field

from libs.common.context_fields import (
    FIELDS,
    REGIMES,
    REWARD_LIMIT,
    unknown_fault,
    unknown_keys,
    value_faults,
)
from libs.common.events import (
    AddPolicy,
    ChoosePolicy,
    PoliciesChanged,
    PolicyChosen,
    PolicyRewarded,
    RetirePolicy,
    RewardPolicy,
)
from libs.common.topics import ROUTER_COMMANDS
from services.gateway.http import router_contract as contract
from services.gateway.http.bodies import Body, invalid
from services.gateway.http.contract import command_request, schemas_of
from services.gateway.http.problems import UNAVAILABLE, FieldError, ProblemError
from services.gateway.http.routing import answer_post, command_of, command_place, json_answer, parts_of
from services.gateway.http.view import encode
from services.gateway.http.views import (
    CHOICE,
    POLICIES,
    REGISTERED_POLICY,
    REWARD,
    SNAPSHOT,
    unused_scope,
)

if TYPE_CHECKING:
    from msgspec import Struct

    from libs.common.events import Command as ServiceCommand
    from libs.common.events import Event
    from services.gateway.asking.commands import Command
    from services.gateway.http.routing import Parts

E = TypeVar("E", bound="Event")

PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$"
PolicyId = Annotated[str, Field(alias="policyId", pattern=PATTERN, description="name of the policy")]
Scope = Annotated[
    str,
    Field(pattern=PATTERN, description="whose router: its policies learn together, apart from other scopes'"),
]
ContextBody = Annotated[
    dict[str, float | str],
    Field(max_length=64, json_schema_extra=contract.context_schema(FIELDS, REGIMES)),
]

router = APIRouter()


class ChooseBody(Body):
    """What is known of the market; anything may be left out."""

    context: ContextBody
    scope: Scope = "default"


class UpdateBody(Body):
    """What a policy earned."""

    policy_id: PolicyId
    reward: Annotated[
        float,
        Field(ge=-REWARD_LIMIT, le=REWARD_LIMIT, description="return units (0.01 is 1 %), net of costs"),
    ]
    context: ContextBody = Field(default_factory=dict)
    decision_id: Annotated[
        str | None,
        Field(
            alias="decisionId",
            min_length=1,
            max_length=64,
            description="of the choice that earned it, as the choice said; null: `context` is learnt from",
        ),
    ] = None
    scope: Scope = "default"


class PolicyBody(Body):
    """A policy to be chosen, too."""

    policy_id: PolicyId
    scope: Scope = "default"


@router.post(
    "/api/router/choose",
    tags=["router"],
    summary="Choose a policy",
    responses=contract.CHOOSE_ANSWERS,
    openapi_extra=command_request(ChooseBody, contract.CHOOSE_EXAMPLE),
)
async def choose(request: Request) -> Response:
    """Draw one of the scope's policies by Thompson sampling for this context, and remember the decision.

    Missing numbers are imputed. With `symbol`, they are filled from live topics where there are any. Send the
    `decisionId` with the reward later, so that what the choice was based on is learnt from.
    """

    async def ask(body: ChooseBody, command: Command) -> Struct:
        _require_context(body.context)
        wish = ChoosePolicy(command_id=str(command.id), scope=body.scope, context=body.context)
        return CHOICE(await _ask(parts_of(request), wish, body.scope, command, PolicyChosen))

    return await answer_post(request, ChooseBody, ask)


@router.post(
    "/api/router/update",
    tags=["router"],
    summary="Teach what a policy earned",
    responses=contract.UPDATE_ANSWERS,
    openapi_extra=command_request(UpdateBody, contract.UPDATE_EXAMPLE),
)
async def update(request: Request) -> Response:
    """Learn a reward, return units net of costs.

    With a `decisionId` from the feature vector of that decision, once: a second reward of it, or one that
    comes when it is forgotten, is acknowledged with `counted: false`. Without one, from `context`.
    """

    async def ask(body: UpdateBody, command: Command) -> Struct:
        _require_context(body.context)
        wish = RewardPolicy(
            command_id=str(command.id),
            scope=body.scope,
            policy_id=body.policy_id,
            reward=body.reward,
            context=body.context,
            decision_id=body.decision_id,
        )
        return REWARD(await _ask(parts_of(request), wish, body.scope, command, PolicyRewarded))

    return await answer_post(request, UpdateBody, ask)


@router.post(
    "/api/router/policies",
    tags=["router"],
    summary="Add a policy",
    responses=contract.POLICY_ANSWERS,
    openapi_extra=command_request(PolicyBody, contract.POLICY_EXAMPLE),
)
async def add_policy(request: Request) -> Response:
    """Let a scope choose one more policy; a retired one comes back with what it had learnt.

    It must be registered: `GET /api/policies` lists those that somebody can turn into a signal.
    """

    async def ask(body: PolicyBody, command: Command) -> Struct:
        wish = AddPolicy(command_id=str(command.id), scope=body.scope, policy_id=body.policy_id)
        return POLICIES(await _ask(parts_of(request), wish, body.scope, command, PoliciesChanged))

    return await answer_post(request, PolicyBody, ask)


@router.delete(
    "/api/router/policies/{policy_id}",
    tags=["router"],
    summary="Retire a policy",
    responses=contract.RETIRE_ANSWERS,
)
async def retire_policy(
    request: Request,
    policy_id: Annotated[str, Path(pattern=PATTERN, description="name of the policy")],
    scope: Annotated[str, Query(pattern=PATTERN, description="whose policy")] = "default",
) -> Response:
    """Choose a policy no more; its late rewards still count, and the others keep what they learnt."""
    parts = parts_of(request)
    command = command_of(request, f"DELETE {request.scope['path']}")
    wish = RetirePolicy(command_id=str(command.id), scope=scope, policy_id=policy_id)
    with command_place(request):
        answer = POLICIES(await _ask(parts, wish, scope, command, PoliciesChanged))
    return json_answer(200, encode(answer))


@router.get(
    "/api/policies",
    tags=["router"],
    summary="Every registered policy",
    responses=contract.REGISTERED_ANSWERS,
)
async def get_policies(request: Request) -> Response:
    """Return the policies that somebody can turn into a signal; a scope chooses among those of them it has.

    `GET /api/router/snapshot` shows which a scope has, POST and DELETE of `/api/router/policies` change them.
    """
    views = parts_of(request).views
    views.require_ready()
    if not views.policies.items:
        raise ProblemError(UNAVAILABLE, "No policy is registered yet: execution is not up.", retry_after_s=1)
    found = [REGISTERED_POLICY(views.policies.items[key]) for key in sorted(views.policies.items)]
    return json_answer(200, encode(found))


@router.get(
    "/api/router/snapshot",
    tags=["router"],
    summary="What the router knows",
    responses=contract.SNAPSHOT_ANSWERS,
)
async def get_snapshot(
    request: Request,
    scope: Annotated[str, Query(pattern=PATTERN, description="whose router")] = "default",
) -> Response:
    """Return the last choice, its feature vector, and each policy's posterior and off-policy value.

    A scope that was never used has no choice and no policies in its answer yet: both begin with its first
    command.
    """
    views = parts_of(request).views
    views.require_ready()
    found = views.router_snapshots.items.get(scope.encode())
    return json_answer(200, encode(unused_scope(scope) if found is None else SNAPSHOT(found)))


async def _ask(parts: Parts, wish: ServiceCommand, scope: str, command: Command, kind: type[E]) -> E:
    parts.new_scopes.require(scope, command.address)
    event = await parts.commands.ask(ROUTER_COMMANDS, scope.encode(), wish, command.correlation_id)
    if not isinstance(event, kind):
        raise TypeError(f"{type(wish).__name__} was answered with a {type(event).__name__}")
    return event


def _require_context(context: dict[str, Any]) -> None:
    """Refuse what the router would ignore: a typo must not mean "missing"."""
    faults = [unknown_fault(key) for key in unknown_keys(context)] + value_faults(context)
    if faults:
        raise invalid([FieldError(fault.field, fault.message) for fault in faults])


def components() -> dict[str, Any]:
    """Return the schemas of these routes' bodies and answers."""
    answers = [each.struct for each in (CHOICE, REWARD, POLICIES, REGISTERED_POLICY, SNAPSHOT)]
    return schemas_of(answers, (ChooseBody, UpdateBody, PolicyBody))
