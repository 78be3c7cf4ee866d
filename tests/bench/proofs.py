"""The ten commands that a person types first, and what of an answer shows that the command was done."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_S: Final = 10.0
_OK: Final = 200
_CONTEXT: Final = {"regime": "bull", "sigmaHAR": 0.02, "obi": 0.2, "rr25": 0.1}
_BLIND: Final = {"no_equity", "no_cvar", "no_vol"}  # an execution is skipped for want of what a start brings


class Proof(NamedTuple):
    """One command."""

    name: str
    path: str
    body: object  # None: GET
    holds: Callable[[Any], object]


PROOFS: Final = (
    Proof(
        "book", "/api/l2/binance/BTCUSDT", None, lambda book: book["bids"] and book["asks"] and book["seq"]
    ),
    Proof("choose", "/api/router/choose", {"context": _CONTEXT}, lambda answer: answer["policyId"]),
    Proof(
        "update",
        "/api/router/update",
        {"policyId": "p_sma", "reward": 0.004, "context": {"regime": "bull"}},
        lambda answer: answer["updates"],
    ),
    Proof("snapshot", "/api/router/snapshot", None, lambda answer: answer["policies"]),
    Proof("registry", "/api/venues/registry", None, len),
    Proof("score", "/api/venues/score", {"symbol": "BTCUSDT", "size": 0.02}, lambda answer: answer["venue"]),
    Proof(
        "simulate", "/api/exec/simulate", {"symbol": "BTCUSDT", "size": 0.02}, lambda answer: answer["plan"]
    ),
    Proof(
        "plan-and-execute",
        "/api/exec/plan-and-execute",
        {"symbol": "BTCUSDT"},
        lambda record: record["executionId"] and record.get("reason") not in _BLIND,
    ),
    Proof("sizing", "/api/exec/sizing/last?symbol=BTCUSDT", None, lambda answer: answer["symbol"]),
    Proof(
        "optimize",
        "/api/portfolio/optimize",
        {"symbols": ["BTCUSDT", "ETHUSDT"], "cvarBudget": 0.05, "volTarget": 0.02},
        lambda answer: answer["weights"],
    ),
)
BY_NAME: Final = {proof.name: proof for proof in PROOFS}


def ask(port: int, path: str, body: object = None, patience_s: float = ANSWER_S) -> Any:
    """Return the JSON of a 200 from the gateway on this machine, else None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience_s)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return json.loads(content) if response.status == _OK else None


def holds(proof: Proof, port: int, patience_s: float = ANSWER_S) -> bool:
    """Give the command once and tell whether it was done."""
    answer = ask(port, proof.path, proof.body, patience_s)
    return answer is not None and bool(proof.holds(answer))
