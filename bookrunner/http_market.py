"""Requests about books, venues, and what policies and contexts are told from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bookrunner.http_requests import Requests, part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bookrunner.http_requests import Json


class MarketRequests(Requests):
    """Books, venues, signals, context."""

    async def list_books(self) -> Json:
        """Return every book's state, epoch, sequence, best prices, gaps, resyncs and age."""
        return await self._get("/api/l2")

    async def get_book(self, venue: str, symbol: str, *, depth: int = 20, at: int | None = None) -> Json:
        """Return a book: bids, asks, sequence, state, features; or as it was `at` ms since 1970 UTC."""
        return await self._get(f"/api/l2/{part(venue)}/{part(symbol)}", depth=depth, at=at)

    async def subscribe(
        self,
        venue: str,
        symbol: str,
        *,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Start a book."""
        return await self._ask(
            "POST",
            "/api/l2/subscriptions",
            body={"venue": venue, "symbol": symbol},
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def unsubscribe(self, venue: str, symbol: str) -> Json:
        """Stop a book."""
        return await self._delete(f"/api/l2/subscriptions/{part(venue)}/{part(symbol)}")

    async def registry(self, *, symbol: str | None = None) -> Json:
        """Return what is measured of each venue, best first."""
        return await self._get("/api/venues/registry", symbol=symbol)

    async def score(
        self,
        symbol: str,
        size: float,
        *,
        side: Literal["buy", "sell"] = "buy",
        max_venues: int | None = None,
        venues: Sequence[str] | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Return the venue, and the split, that take an order (base units) at the least expected cost."""
        return await self._ask(
            "POST",
            "/api/venues/score",
            body={"symbol": symbol, "size": size, "side": side, "max_venues": max_venues, "venues": venues},
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def get_policies(self) -> Json:
        """Return the registered policies: what each is, its version, and what became of it."""
        return await self._get("/api/policies")

    async def signal(
        self,
        policy_id: str,
        symbol: str,
        value: float,
        ttl_s: float,
        *,
        reason: str | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Say what a policy from outside (x_…) wants of a symbol for a while: +1 fully long, -1 short."""
        return await self._ask(
            "POST",
            "/api/signals",
            body={
                "policy_id": policy_id,
                "symbol": symbol,
                "value": value,
                "ttl_s": ttl_s,
                "reason": reason,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def get_signals(
        self, *, policy_id: str | None = None, symbol: str | None = None, limit: int | None = None
    ) -> Json:
        """Return the newest signals of hosted policies and of those from outside."""
        return await self._get("/api/signals", policy_id=policy_id, symbol=symbol, limit=limit)

    async def context_input(
        self,
        symbol: str,
        name: str,
        value: float,
        ttl_s: float,
        *,
        source: str | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Say a number for contexts of a symbol, or of all (*), for a while."""
        return await self._ask(
            "POST",
            "/api/context",
            body={"symbol": symbol, "name": name, "value": value, "ttl_s": ttl_s, "source": source},
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def get_context(self, *, symbol: str | None = None, limit: int | None = None) -> Json:
        """Return the newest numbers for contexts, and what each source of them does."""
        return await self._get("/api/context", symbol=symbol, limit=limit)

    async def readyz(self) -> Json:
        """Return what is degraded of a system that is ready; one that is not is a problem with `missing`."""
        return await self._get("/readyz")

    async def healthz(self) -> Json:
        """Return that the gateway lives."""
        return await self._get("/healthz")

    async def asyncapi_document(self) -> Json:
        """Return every topic and message, as AsyncAPI 3."""
        return await self._get("/asyncapi.json")
