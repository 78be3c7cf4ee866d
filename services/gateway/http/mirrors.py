"""What the answers and requests that repeat an event's fields say of them: the event's own words; pure."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from libs.common import events
from libs.common.schemas import schemas_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
MIRRORS: Final[Mapping[str, type]] = {
    "AlternativeAnswer": events.PlanAlternative,
    "AuditEntryAnswer": events.AuditEntry,
    "AuditHeadAnswer": events.AuditHead,
    "BookAnswer": events.BookTop,
    "BookAsOf": events.BookTop,
    "BookSummary": events.BookHealth,
    "Candidate": events.VenueCandidate,
    "ChoiceAnswer": events.PolicyChosen,
    "CostAnswer": events.PlanCost,
    "EstimateAnswer": events.OffPolicyEstimate,
    "ExecuteBody": events.PlanAndExecute,
    "ExecutionAnswer": events.ExecutionRecord,
    "FillAnswer": events.RecordFill,
    "InstrumentAnswer": events.InstrumentTerms,
    "OptimizeBody": events.OptimizePortfolio,
    "OrderAnswer": events.PaperOrder,
    "PaperOrderAnswer": events.PaperOrderPlaced,
    "PaperOrderBody": events.SubmitPaperOrder,
    "PlanAnswer": events.ExecutionPlan,
    "PoliciesAnswer": events.PoliciesChanged,
    "PolicyAnswer": events.PolicySummary,
    "PortfolioAnswer": events.PortfolioOptimized,
    "PositionAnswer": events.Position,
    "RegisteredPolicy": events.PolicyRegistered,
    "RewardAnswer": events.PolicyRewarded,
    "RiskAnswer": events.RiskBudget,
    "ScoreAnswer": events.VenueScored,
    "ShortfallAnswer": events.ShortfallBps,
    "SimulateBody": events.SimulateExecution,
    "SimulationAnswer": events.ExecutionSimulated,
    "SizingAnswer": events.SizingSnapshot,
    "SnapshotAnswer": events.RouterSnapshot,
    "SymbolMetrics": events.VenueMetrics,
    "SymbolRiskAnswer": events.SymbolRisk,
    "TaughtAnswer": events.RewardOutcome,
    "UpdateBody": events.RewardPolicy,
    "VenueEntry": events.VenueMetrics,
}


def describe(schemas: Mapping[str, Any]) -> None:
    """Add to each field that says nothing of itself what it means in its event, else in another."""
    for name, schema in schemas.items():
        kind = MIRRORS.get(name) or getattr(events, name, None)
        own = _words().get(kind.__name__, {}) if kind else {}
        for field, about in schema.get("properties", {}).items():
            snake = _HUMP.sub("_", field).lower()
            said = own.get(snake) or next((w[snake] for w in _words().values() if snake in w), None)
            if said and "description" not in about:
                about["description"] = said


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    found = schemas_of([*dict.fromkeys(MIRRORS.values())], "{name}", "ms")
    return {
        name: {field: about["description"] for field, about in schema.get("properties", {}).items()}
        for name, schema in found.items()
    }
