"""The commands that are one row each; pure.

A row says what is sent, the function that makes a command of it (whose name and docstring are the route's),
and the view of the event that answers it; ``command_routes.py`` does the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from libs.common.events import (
    BOOK,
    AddPolicy,
    ChoosePolicy,
    DeclareFeatures,
    OptimizePortfolio,
    RewardPolicy,
    ScoreVenues,
    SimulateExecution,
    SubmitPaperOrder,
)
from services.gateway.http import requests as r
from services.gateway.http import router_views, views
from services.gateway.http.problems import UNKNOWN_SYMBOL, UNKNOWN_VENUE, ProblemType
from services.gateway.http.requests import symbol_of, symbols_of, venue_id_of, venue_ids_of
from services.gateway.http.router_requests import (
    ChooseBody,
    PolicyBody,
    ScopeBody,
    UpdateBody,
    features_in,
    require_arms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from libs.common.events import Command, FeaturesDeclared
    from services.gateway.http.view import View
    from services.gateway.reading.topic_views import GatewayViews

C = TypeVar("C", bound="Command")


def command(kind: type[C], body: r.Body, command_id: str, **changes: object) -> C:
    """Return the command whose fields are those of a body, but for `changes`."""
    fields: dict[str, Any] = {**dict(body), "command_id": command_id, **changes}
    return kind(**fields)


def score(body: r.ScoreBody, command_id: str) -> ScoreVenues:
    """Judge every venue by the expected all-in cost of taking `size` now, and split the order over them.

    Costs are in bps of the fair mid, the median of the venues: half spread, walking the book, taker fee, the
    venue's mid against the fair one, latency, reliability and own slippage. A venue that shows less than
    `size` takes a part. 503 names, venue by venue, why none is eligible, or how much all show together; 422
    names the least minimum. Where all together show `size`, and `maxVenues` of them do not, the allocation is
    empty.
    """
    venues = venue_ids_of(body.venues)
    return command(ScoreVenues, body, command_id, symbol=symbol_of(body.symbol), venues=venues)


def choose(body: ChooseBody, command_id: str) -> ChoosePolicy:
    """Draw one of the scope's policies by Thompson sampling for this context, and remember the decision.

    Missing numbers are imputed. With `symbol`, they are filled from live topics where there are any. Send the
    `decisionId` with the reward later, so that what the choice was based on is learnt from. `policies` limits
    the choice to some of the scope's; `arms` tells what is known of one policy alone, as its `signal`. With
    `rewardWithinS` a decision that is not rewarded in that time is learnt with `defaultReward`.
    """
    require_arms(body.arms)
    return command(ChoosePolicy, body, command_id, policies=tuple(body.policies))


def update(body: UpdateBody, command_id: str) -> RewardPolicy:
    """Learn a reward, return units net of costs: 0.01 is 1 %, and beyond ±1 it is refused.

    With a `decisionId` from the feature vector of that decision, once: a second reward of it, or one that
    comes when it is forgotten or its default was learnt, is acknowledged with `counted: false`. Without one,
    from `context`; without both it is refused. A reward further than 6 noise scales from what was expected is
    learnt as if it were that far: `learnt` tells.
    """
    return command(RewardPolicy, body, command_id)


def add_policy(body: PolicyBody, command_id: str) -> AddPolicy:
    """Let a scope choose one more policy; a retired one comes back with what it had learnt.

    It must be registered: `GET /api/policies` lists those that somebody can turn into a signal. What you
    expect it to earn may be said with it, once: `expectedReward`, worth `confidence` rewards.
    """
    return command(AddPolicy, body, command_id)


def declare_features(body: ScopeBody, command_id: str) -> DeclareFeatures:
    """Begin a scope whose contexts have features of their own, beside the fields that all contexts have.

    What a scope declared it has for ever: the same again is answered `changed: false`, anything else of a
    scope that has begun is refused. Without `mean` and `sd` the middle of the range and a quarter of it are
    taken. `POST /api/context` then tells a feature's numbers, and contexts may name it.
    """
    return DeclareFeatures(command_id=command_id, scope=body.scope, features=features_in(body))


def optimize(body: r.OptimizeBody, command_id: str) -> OptimizePortfolio:
    """Maximise mean-variance utility over daily returns of the reference venue.

    Weights are at least 0 and sum to at most 1; the rest is cash. An answer exists for every budget and every
    ceiling from 0 on.
    """
    return command(OptimizePortfolio, body, command_id, book=BOOK, symbols=tuple(symbols_of(body.symbols)))


def simulate(body: r.SimulateBody, command_id: str) -> SimulateExecution:
    """Plan an order at the venue where plan and taker fee together are cheapest now; changes nothing."""
    return command(SimulateExecution, body, command_id, symbol=symbol_of(body.symbol))


def paper_order(body: r.PaperOrderBody, command_id: str) -> SubmitPaperOrder:
    """Fill an order against the venue's LIVE book, as executions do.

    A size under the venue's minimum is 422, and so is one beyond what is held (sell) or what the cash pays
    (buy), less what other open orders of the symbol have reserved; the detail names the most that is right.
    """
    return SubmitPaperOrder(
        command_id=command_id,
        symbol=symbol_of(body.symbol),
        side=body.side,
        order_qty=body.size,
        ord_type=body.ord_type,
        price=body.limit,
        time_in_force=body.time_in_force or ("gtc" if body.ord_type == "limit" else "ioc"),
        venue=None if body.venue is None else venue_id_of(body.venue),
    )


class Post(NamedTuple):
    """What the document says of a POST."""

    path: str
    tag: str
    summary: str
    said: str  # of the answer


class Asks(NamedTuple):
    """From a body to the view of the event that answers."""

    body: type[r.Body]
    command: Callable[[Any, str], Command]  # of the body and the command's id; raises ProblemError
    view: View[Any]
    given: Callable[[Any], dict[str, object]] = lambda _body: {}  # to the view, of the body
    context: Callable[[Any], tuple[Mapping[str, float | str], str]] | None = None  # of a body, and its scope
    shown: Callable[[GatewayViews, Any], bool] | None = None  # whether other routes know of the answer too


def _context_of(body: ChooseBody | UpdateBody) -> tuple[Mapping[str, float | str], str]:
    return body.context, body.scope


def _knows_features(views: GatewayViews, declared: FeaturesDeclared) -> bool:
    found = views.router_snapshots.items.get(declared.scope.encode())
    return found is not None and found.declared == declared.features


class Row(NamedTuple):
    """A POST whose answer is a view of the event that answers its command."""

    post: Post
    asks: Asks
    example: Mapping[str, object]  # a body
    problems: tuple[ProblemType, ...] = ()  # besides those of every command


ROWS: Final = (
    Row(
        Post("/api/venues/score", "venues", "Choose a venue for an order", "The best venue and split."),
        Asks(r.ScoreBody, score, views.SCORE),
        {"symbol": "BTCUSDT", "size": 0.02},
        (UNKNOWN_SYMBOL, UNKNOWN_VENUE),
    ),
    Row(
        Post("/api/router/choose", "router", "Choose a policy", "The choice."),
        Asks(ChooseBody, choose, router_views.CHOICE, context=_context_of),
        {"context": {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}},
    ),
    Row(
        Post("/api/router/update", "router", "Teach what a policy earned", "It is learnt, or was already."),
        Asks(UpdateBody, update, router_views.REWARD, context=_context_of),
        {"policyId": "p_sma", "reward": 0.004, "context": {"regime": "bull"}},
    ),
    Row(
        Post("/api/router/policies", "router", "Add a policy", "The policies now."),
        Asks(PolicyBody, add_policy, router_views.POLICIES),
        {"policyId": "p_obi"},
    ),
    Row(
        Post(
            "/api/router/scopes", "router", "Begin a scope with features of its own", "The scope's features."
        ),
        Asks(ScopeBody, declare_features, router_views.FEATURES, shown=_knows_features),
        {"scope": "momentum", "features": [{"name": "vix", "low": 0, "high": 200, "mean": 20, "sd": 8}]},
    ),
    Row(
        Post(
            "/api/portfolio/optimize",
            "portfolio",
            "Weights within a CVaR budget and a volatility ceiling",
            "Weights that obey every limit, and how far from the best they can be; cash where that is all.",
        ),
        Asks(r.OptimizeBody, optimize, views.PORTFOLIO, lambda body: {"spelt": symbols_of(body.symbols)}),
        {"symbols": ["BTCUSDT", "ETHUSDT"], "cvarBudget": 0.05, "volTarget": 0.02},
        (UNKNOWN_SYMBOL,),
    ),
    Row(
        Post(
            "/api/exec/simulate",
            "executions",
            "What would it cost?",
            "The plan, its cost and the alternatives.",
        ),
        Asks(r.SimulateBody, simulate, views.SIMULATION),
        {"symbol": "BTCUSDT", "size": 0.02},
        (UNKNOWN_SYMBOL,),
    ),
    Row(
        Post(
            "/api/paper/orders",
            "executions",
            "One paper order",
            "The order when its venue has it, and its fills.",
        ),
        Asks(r.PaperOrderBody, paper_order, views.PAPER_ORDER),
        {"symbol": "BTCUSDT", "side": "buy", "size": "0.02", "ordType": "market"},
        (UNKNOWN_SYMBOL, UNKNOWN_VENUE),
    ),
)
