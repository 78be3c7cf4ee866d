"""Requests to the router and the portfolio: which policy, and how much of each symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bookrunner.http_requests import Requests, part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bookrunner.http_requests import Json


class DecisionRequests(Requests):
    """Choices, rewards, scopes; weights, positions, risk."""

    async def choose(  # noqa: PLR0913 -- the fields of the request
        self,
        context: Mapping[str, float | str],
        *,
        scope: str = "default",
        policies: Sequence[str] | None = None,
        arms: Mapping[str, Mapping[str, float]] | None = None,
        reward_within_s: float | None = None,
        default_reward: float | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Return a policy for a context, with its score and propensity."""
        return await self._ask(
            "POST",
            "/api/router/choose",
            body={
                "context": context,
                "scope": scope,
                "policies": policies,
                "arms": arms,
                "reward_within_s": reward_within_s,
                "default_reward": default_reward,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def update(
        self,
        policy_id: str,
        reward: float,
        *,
        context: Mapping[str, float | str] | None = None,
        decision_id: str | None = None,
        scope: str = "default",
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Teach what a policy earned (return units, net of costs), by the decision's id or its context."""
        return await self._ask(
            "POST",
            "/api/router/update",
            body={
                "policy_id": policy_id,
                "reward": reward,
                "context": context,
                "decision_id": decision_id,
                "scope": scope,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def get_snapshot(self, *, scope: str = "default") -> Json:
        """Return what a scope has learnt."""
        return await self._get("/api/router/snapshot", scope=scope)

    async def add_policy(
        self,
        policy_id: str,
        *,
        scope: str = "default",
        expected_reward: float | None = None,
        confidence: float | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Let a scope choose among a registered policy too."""
        return await self._ask(
            "POST",
            "/api/router/policies",
            body={
                "policy_id": policy_id,
                "scope": scope,
                "expected_reward": expected_reward,
                "confidence": confidence,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def retire_policy(self, policy_id: str, *, scope: str = "default") -> Json:
        """Let a scope choose a policy no more."""
        return await self._delete(f"/api/router/policies/{part(policy_id)}", scope=scope)

    async def declare_features(
        self,
        scope: str,
        features: Sequence[Mapping[str, float | str | None]],
        *,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Begin a scope with features of its own, each with `name`, `low`, `high`, `mean`?, `sd`?."""
        return await self._ask(
            "POST",
            "/api/router/scopes",
            body={"scope": scope, "features": features},
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def optimize(  # noqa: PLR0913 -- the fields of the request
        self,
        symbols: Sequence[str],
        cvar_budget: float,
        vol_target: float,
        *,
        mode: Literal["sum_cvar", "portfolio_cvar"] | None = None,
        lookback: int | None = None,
        confidence: float | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Return weights within a CVaR budget and a volatility ceiling, both fractions per day."""
        return await self._ask(
            "POST",
            "/api/portfolio/optimize",
            body={
                "symbols": symbols,
                "cvar_budget": cvar_budget,
                "vol_target": vol_target,
                "mode": mode,
                "lookback": lookback,
                "confidence": confidence,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def positions(self) -> Json:
        """Return what is held."""
        return await self._get("/api/portfolio/positions")

    async def risk(self, *, book: str = "default") -> Json:
        """Return what the positions use of the CVaR budget."""
        return await self._get("/api/portfolio/risk", book=book)

    async def performance(self, *, from_: str | int | None = None, to: str | int | None = None) -> Json:
        """Return what trading earned and cost between two moments: ms since 1970 UTC, or so long ago, -7d."""
        return await self._get("/api/performance", **{"from": from_, "to": to})
