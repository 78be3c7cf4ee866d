"""The answers of the router's routes: each is its event but for what is declared here; pure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from libs.common import events
from libs.common.told import STUB
from services.gateway.http.view import Computed, View

CHOICE: Final = View(
    "ChoiceAnswer",
    events.PolicyChosen,
    "The policy chosen, and all that explains it.",
    drop=("features", "ignored", "layout"),
    rename={"command_id": "decisionId", "width": "uncertaintyWidth"},
)
REWARD: Final = View(
    "RewardAnswer", events.PolicyRewarded, "What the policy has earned so far.", drop=("command_id",)
)
POLICIES: Final = View(
    "PoliciesAnswer", events.PoliciesChanged, "The policies of a scope.", drop=("command_id",)
)
FEATURES: Final = View(
    "FeaturesAnswer",
    events.FeaturesDeclared,
    "The features that a scope has beside those of all.",
    drop=("command_id", "ts"),
)


class ProviderAnswer(Struct, frozen=True):
    """Who said an input that the caller left out."""

    name: Annotated[str, Meta(description="of the input")]
    stub: Annotated[bool, Meta(description="true: its number means nothing")]
    source: Annotated[
        str, Meta(description="books, candles, or a source of context inputs, as in `sources`")
    ] = ""


def _drift(scope: events.RouterSnapshot) -> dict[str, float]:
    return {"alarms": scope.drift_alarms}


def _providers(scope: events.RouterSnapshot) -> tuple[ProviderAnswer, ...]:
    sources = scope.sources | dict.fromkeys(scope.stubs, STUB)  # older snapshots tell of their stubs alone
    return tuple(ProviderAnswer(name, stub=source == STUB, source=source) for name, source in sources.items())


ESTIMATE: Final = View("EstimateAnswer", events.OffPolicyEstimate)
BELIEF: Final = View("BeliefAnswer", events.PolicyBelief)
POLICY: Final = View("PolicyAnswer", events.PolicySummary, parts=(ESTIMATE, BELIEF))
_NEVER: Final = "; null: the scope was never used"
_NOISE: Final = "present scale of rewards around their means, return units" + _NEVER
SNAPSHOT: Final = View(
    "SnapshotAnswer",
    events.RouterSnapshot,
    "A scope of the router as it is; `ts`, `noise` and `layout` are null if it was never used.",
    drop=("noise", "drift_alarms", "stubs", "layout", "ts"),
    computed={
        "noise": Computed(float | None, _NOISE, lambda scope: scope.noise),
        "drift": Computed(dict[str, float], "`alarms`: challengers that began, so far", _drift),
        "providers": Computed(
            tuple[ProviderAnswer, ...],
            "of each input of the last choice that was filled in: who said it",
            _providers,
        ),
        "layout": Computed(int | None, "version of the feature layout" + _NEVER, lambda scope: scope.layout),
        "ts": Computed(int | None, "when this was said, ms since 1970 UTC" + _NEVER, lambda scope: scope.ts),
    },
    parts=(POLICY, View("MemoryAnswer", events.RouterMemory)),
)
_UNUSED: Final[dict[str, object]] = {
    **dict.fromkeys(("lastChoice", "decisionId", "decidedTs", "best", "noise", "layout", "ts")),
    "bestWhy": "",
    "layoutVersion": "",
    **{name: {} for name in ("sampledScores", "features", "inputs", "sources", "drift")},
    **dict.fromkeys(("filled", "missing", "policies", "retired", "memories", "weights"), ()),
    **dict.fromkeys(("providers", "declared"), ()),
    **dict.fromkeys(("choices", "updates", "ignoredKeys", "pending"), 0),
}


def unused_scope(scope: str) -> Struct:
    """Return the snapshot of a scope that was never used."""
    return msgspec.convert({"scope": scope, **_UNUSED}, SNAPSHOT.struct)
