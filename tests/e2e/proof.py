"""The ten proof commands of a running system: what is typed, and what the answer must hold."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONTEXT: Final = {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}
REWARD: Final = {"policyId": "p_sma", "reward": 0.004, "context": {"regime": "bull"}}
ORDER: Final = {"symbol": "BTCUSDT", "size": 0.02}
TIMEOUT_S: Final = 10.0
BLIND: Final = {"no_equity", "no_cvar", "no_vol"}  # reasons for want of something; others are decisions
SYMBOLS: Final = ["BTCUSDT", "ETHUSDT"]
PORTFOLIO: Final = {"symbols": SYMBOLS, "cvarBudget": 0.05, "volTarget": 0.02}


class Proof(NamedTuple):
    """A request and what its answer must be."""

    path: str
    body: Mapping[str, Any] | None
    holds: Callable[[Any], bool]


PROOFS: Final = (
    Proof(
        "/api/l2/binance/BTCUSDT",
        None,
        lambda a: a["state"] == "LIVE" and a["bids"][0][0] < a["asks"][0][0] and a["seq"] >= 1,
    ),
    Proof("/api/router/choose", {"context": CONTEXT}, lambda a: 0 < a["propensity"] <= 1 and a["policyId"]),
    Proof("/api/router/update", REWARD, lambda a: a["updates"] >= 1 and a["counted"]),
    Proof("/api/router/snapshot", None, lambda a: len(a["policies"]) >= 5 and a["lastChoice"]),
    Proof("/api/venues/registry", None, lambda a: len({each["venue"] for each in a[0:3]}) == 3),
    Proof("/api/venues/score", ORDER, lambda a: a["venue"] and a["reasons"] and a["allocation"]),
    Proof("/api/exec/simulate", ORDER, lambda a: a["plan"]["slices"] and a["cost"]["totalBps"] > 0),
    Proof(
        "/api/exec/plan-and-execute",
        {"symbol": "BTCUSDT"},
        lambda a: (
            a["status"] in {"working", "completed"}
            or (a["status"] == "skipped" and a["reason"].partition(":")[0] not in BLIND)
        ),
    ),
    Proof("/api/exec/sizing/last", None, lambda a: a["forecastVol"] > 0 and a["sMax"] > 0),
    Proof(
        "/api/portfolio/optimize",
        PORTFOLIO,
        lambda a: a["status"] == "optimal" and a["weights"].keys() == set(SYMBOLS),
    ),
)


def ask(gateway: str, path: str, body: object = None, method: str | None = None) -> tuple[int, Any]:
    """Return status and JSON of one request to ``host:port``; 0 and why where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {} if data is None else {"Content-Type": "application/json"}
    connection = http.client.HTTPConnection(gateway, timeout=TIMEOUT_S)
    try:
        connection.request(method or ("GET" if data is None else "POST"), path, data, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


def failures(gateway: str) -> list[str]:
    """Type the ten commands, each once; return what did not hold."""
    found = []
    for proof in PROOFS:
        status, answer = ask(gateway, proof.path, proof.body)
        if status != 200 or not proof.holds(answer):
            found.append(f"{proof.path} {status} {str(answer)[:300]}")
    return found
