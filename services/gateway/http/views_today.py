"""The views, over today's answer functions, until the declarations of ``views.py`` are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from services.gateway.http import execution_answers as ea
from services.gateway.http import execution_shown as es
from services.gateway.http import field_docs
from services.gateway.http import portfolio_answers as pa
from services.gateway.http import router_answers as ra
from services.gateway.http import venues_answers as va

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class View:
    """An answer type, and what makes it of an event."""

    def __init__(self, struct: type[msgspec.Struct], made: Callable[..., msgspec.Struct]) -> None:
        self.struct = struct
        self._made = made

    def __call__(self, event: object, **given: object) -> msgspec.Struct:
        """Return the answer."""
        return self._made(event, **given)


EXECUTION: Final = View(ea.ExecutionAnswer, es.execution_answer)
SIZING: Final = View(ea.SizingAnswer, es.sizing_answer)
SIMULATION: Final = View(ea.SimulationAnswer, es.simulation_answer)
PAPER_ORDER: Final = View(ea.PaperOrderAnswer, es.paper_order_answer)
CHOICE: Final = View(ra.ChoiceAnswer, ra.choice_answer)
REWARD: Final = View(ra.RewardAnswer, ra.reward_answer)
POLICIES: Final = View(ra.PoliciesAnswer, ra.policies_answer)
REGISTERED_POLICY: Final = View(ra.RegisteredPolicy, ra.registered_policy)
SNAPSHOT: Final = View(ra.SnapshotAnswer, lambda event, scope: ra.snapshot_answer(scope, event))
PORTFOLIO: Final = View(pa.PortfolioAnswer, pa.portfolio_answer)
POSITION: Final = View(pa.PositionAnswer, pa.position_answer)
RISK: Final = View(pa.RiskAnswer, pa.risk_answer)
SCORE: Final = View(va.ScoreAnswer, va.score_answer)


def schemas_of(
    kinds: Sequence[type], ref_template: str, moment: Literal["ns", "ms"]
) -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of struct types, by name."""
    _, found = msgspec.json.schema_components(kinds, ref_template=ref_template)
    field_docs.describe(found, field_docs.HTTP_MOMENT if moment == "ms" else field_docs.TOPIC_MOMENT)
    return found
