"""Requests to execution: plans, orders on paper, records, halts and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bookrunner.http_requests import Requests, part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from bookrunner.http_requests import Json


class ExecutionRequests(Requests):
    """Executions, orders, audits, halts, limits; all on paper."""

    async def simulate(
        self,
        symbol: str,
        size: float,
        *,
        side: Literal["buy", "sell"] = "buy",
        urgency: float | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Return the plan of an order (base units) and its expected cost; nothing is changed."""
        return await self._ask(
            "POST",
            "/api/exec/simulate",
            body={"symbol": symbol, "size": size, "side": side, "urgency": urgency},
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def plan_and_execute(  # noqa: PLR0913 -- the fields of the request
        self,
        symbol: str,
        *,
        urgency: float | None = None,
        context: Mapping[str, float | str] | None = None,
        max_venues: int | None = None,
        venues: Sequence[str] | None = None,
        wait: Literal["plan", "final"] | None = None,
        timeout_s: float | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Choose a policy, size, plan and execute; return the record, once planned or once ended."""
        return await self._ask(
            "POST",
            "/api/exec/plan-and-execute",
            query={"wait": wait, "timeout_s": timeout_s},
            body={
                "symbol": symbol,
                "urgency": urgency,
                "context": context,
                "max_venues": max_venues,
                "venues": venues,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def execution(self, execution_id: str) -> Json:
        """Return an execution's record."""
        return await self._get(f"/api/exec/{part(execution_id)}")

    async def records(self, *, symbol: str | None = None, limit: int | None = None) -> Json:
        """Return the newest records."""
        return await self._get("/api/exec/records", symbol=symbol, limit=limit)

    async def cancel(self, execution_id: str) -> Json:
        """Cancel what is open of an execution."""
        return await self._delete(f"/api/exec/{part(execution_id)}")

    async def last_sizing(self, *, symbol: str | None = None) -> Json:
        """Return the last sizing with every factor."""
        return await self._get("/api/exec/sizing/last", symbol=symbol)

    async def why(self, *, symbol: str | None = None) -> Json:
        """Return the gates between a signal and an order as they stand now, and the first that is closed."""
        return await self._get("/api/why", symbol=symbol)

    async def lineage(self, execution_id: str) -> Json:
        """Return how an execution came about, from the book's change to what was learnt."""
        return await self._get(f"/api/exec/{part(execution_id)}/lineage")

    async def audit(self, execution_id: str) -> Json:
        """Return an execution's hash-chained audit, recomputed."""
        return await self._get(f"/api/audit/{part(execution_id)}")

    async def paper_order(  # noqa: PLR0913 -- the fields of the request
        self,
        symbol: str,
        side: Literal["buy", "sell"],
        size: Decimal | float | str,
        *,
        ord_type: Literal["market", "limit"] | None = None,
        limit: Decimal | float | str | None = None,
        time_in_force: Literal["ioc", "gtc"] | None = None,
        venue: str | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Send a paper order (base units; `limit` in quote units) to the live book."""
        return await self._ask(
            "POST",
            "/api/paper/orders",
            body={
                "symbol": symbol,
                "side": side,
                "size": size,
                "ord_type": ord_type,
                "limit": limit,
                "time_in_force": time_in_force,
                "venue": venue,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def cancel_order(self, order_id: str, symbol: str) -> Json:
        """Cancel a paper order."""
        return await self._delete(f"/api/paper/orders/{part(order_id)}", symbol=symbol)

    async def halt(
        self,
        reason: str,
        *,
        scope: str = "all",
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Send no order of a scope from now on (all, symbol:…, policy:… or venue:…), and cancel its own."""
        return await self._ask(
            "POST",
            "/api/exec/halt",
            body={"reason": reason, "scope": scope},
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def resume(
        self,
        *,
        scope: str = "all",
        reason: str | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """End the halt of a scope; halts of other scopes stand."""
        return await self._ask(
            "POST",
            "/api/exec/resume",
            body={"scope": scope, "reason": reason},
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def get_limits(self) -> Json:
        """Return every trading limit with its use, and what is halted."""
        return await self._get("/api/exec/limits")

    async def set_limits(  # noqa: PLR0913 -- the fields of the request
        self,
        *,
        scope: str = "all",
        gross_exposure: float | None = None,
        symbol_exposure: float | None = None,
        order_notional: float | None = None,
        orders_per_minute: int | None = None,
        daily_loss: float | None = None,
        drawdown: float | None = None,
        failed_share: float | None = None,
        min_live_venues: int | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Set trading limits of a scope, all or symbol:…; 0 is off, None leaves one as it is."""
        return await self._ask(
            "PUT",
            "/api/exec/limits",
            body={
                "scope": scope,
                "gross_exposure": gross_exposure,
                "symbol_exposure": symbol_exposure,
                "order_notional": order_notional,
                "orders_per_minute": orders_per_minute,
                "daily_loss": daily_loss,
                "drawdown": drawdown,
                "failed_share": failed_share,
                "min_live_venues": min_live_venues,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )
