"""`Client`: the gateway's HTTP, a method a route, under the names that the routes have in /openapi.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bookrunner.http_execution import ExecutionRequests
from bookrunner.http_market import MarketRequests
from bookrunner.http_router import DecisionRequests
from bookrunner.http_system import SystemRequests

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_OFFERED: Final[Mapping[str, str]] = {
    "stream": "`bookrunner.subscribe` reads the same messages from Kafka, whole and from any moment on",
    "signal_webhook": "it is for those who cannot choose the form of a body; `signal` says the same",
    "metrics": "they are for Prometheus, and no JSON",
}
"""Routes without a method, by their names in /openapi.json, and why."""


class Client(MarketRequests, DecisionRequests, ExecutionRequests, SystemRequests):
    """What the gateway does for who asks; an asynchronous context manager.

    Fields and parameters are those of the routes in /docs, in snake case; None leaves one out. Answers are
    what the JSON says. Every POST and PUT has an Idempotency-Key: the one given, else one of its own, which
    is the same whenever the same is asked under the same `correlation_id`; so what is asked again because no
    answer came is done once.

    Raises
    ------
    ProblemError
        By each method, if the answer is no success.

    Examples
    --------
    ::

        async with Client() as client:
            chosen = await client.choose({"symbol": "BTC-USDT", "regime": "bull"})
            print(chosen["policyId"], chosen["propensity"])
    """
