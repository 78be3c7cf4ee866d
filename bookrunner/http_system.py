"""Requests for what was and what is: moments, records of topics, the system, simulated faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bookrunner.http_requests import Requests, part

if TYPE_CHECKING:
    from bookrunner.http_requests import Json


class SystemRequests(Requests):
    """Moments, records, the system at a glance, faults on demand."""

    async def get_moment(self, *, ts: int | None = None, symbol: str | None = None) -> Json:
        """Return the newest record of every key at a moment (ms since 1970 UTC), by default now."""
        return await self._get("/api/at", ts=ts, symbol=symbol)

    async def topic_record(self, topic: str, partition: int | str, offset: int | str) -> Json:
        """Return the record at a place of a topic."""
        return await self._get(f"/api/records/{part(topic)}/{part(str(partition))}/{part(str(offset))}")

    async def topic_history(
        self,
        topic: str,
        *,
        from_: str | int | None = None,
        to: str | int | None = None,
        key: str | None = None,
        every: str | None = None,
        limit: int = 1000,
    ) -> Json:
        """Return the newest records of a topic between two moments: ms since 1970 UTC, or -15m."""
        asked = {"from": from_, "to": to, "key": key, "every": every, "limit": limit}
        return await self._get(f"/api/records/{part(topic)}", **asked)

    async def get_system(self) -> Json:
        """Return processes, topics, dead letters and alerts."""
        return await self._get("/api/system")

    async def get_simulation(self) -> Json:
        """Return what goes wrong at the simulated exchanges, and what can."""
        return await self._get("/api/simulation")

    async def add_fault(  # noqa: PLR0913 -- the fields of the request
        self,
        kind: str,
        venue: str,
        *,
        symbol: str | None = None,
        endpoint: str | None = None,
        once: bool | None = None,
        probability: float | None = None,
        duration_s: float | None = None,
        status: int | None = None,
        at: Literal["socket", "rest", "both"] | None = None,
        system: Literal["maintenance", "cancel_only", "post_only", "limit_only"] | None = None,
        side: Literal["bids", "asks"] | None = None,
        grace_s: float | None = None,
        age_s: float | None = None,
        bytes_per_s: int | None = None,
        bps: float | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Let something go wrong at a simulated exchange."""
        return await self._ask(
            "POST",
            "/api/simulation/faults",
            body={
                "kind": kind,
                "venue": venue,
                "symbol": symbol,
                "endpoint": endpoint,
                "once": once,
                "probability": probability,
                "duration_s": duration_s,
                "status": status,
                "at": at,
                "system": system,
                "side": side,
                "grace_s": grace_s,
                "age_s": age_s,
                "bytes_per_s": bytes_per_s,
                "bps": bps,
            },
            correlation_id=correlation_id,
            idempotency_key=idempotency_key,
        )

    async def end_faults(self) -> Json:
        """End every fault."""
        return await self._delete("/api/simulation/faults")

    async def end_fault(self, number: int | str) -> Json:
        """End one fault."""
        return await self._delete(f"/api/simulation/faults/{part(str(number))}")
