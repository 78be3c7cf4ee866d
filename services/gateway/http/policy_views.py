"""The answers of what is told of policies and contexts: each is its event but for what is declared; pure."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from libs.common import events
from libs.common.time_units import NS_PER_MS
from services.gateway.http.view import Computed, View

_HORIZON: Final = "for how long what it decided is its own, s; null where its parameters do not say"


def _horizon(policy: events.PolicyRegistered) -> float | None:
    said = policy.parameters.get("horizon_s")
    return None if isinstance(said, bool | str | None) else said


REGISTERED_POLICY: Final = View(
    "RegisteredPolicy",
    events.PolicyRegistered,
    "A policy that somebody can turn into a signal.",
    rename={"ts": "ms"},
    computed={"horizon_s": Computed(float | None, _HORIZON, _horizon)},
)

_USABLE: Final = {
    "usable": Computed(bool, "whether it may be used now", lambda _, fault: not fault),
    "why": Computed(str, "why it may not be used, in words; empty where it may", lambda _, fault: fault),
}
_SIGNAL: Final = {"inputs_ts": "inputsMs", "valid_until_ts": "validUntilMs"}
SIGNAL_TAKEN: Final = View(
    "SignalTaken",
    events.PolicySignalled,
    "A signal as Kafka has it.",
    drop=("version", "seen"),
    rename=_SIGNAL,
    computed={
        "registered": Computed(
            bool,
            "false: its host does so within moments, and then it may be chosen",
            lambda _, policy: policy is not None,
        ),
        "state": Computed(
            events.PolicyState | None,
            "of the policy; null until it is registered",
            lambda _, policy: None if policy is None else policy.state,
        ),
    },
)
SIGNAL: Final = View(
    "PolicySignalAnswer",
    events.PolicySignalled,
    "The newest signal of a policy for a symbol.",
    drop=("seen",),
    rename=_SIGNAL,
    computed=_USABLE,
)

_INPUT: Final = {"ts": "ms", "valid_until_ts": "validUntilMs"}
INPUT_TAKEN: Final = View(
    "ContextInputTaken", events.ContextInput, "A context input as Kafka has it.", rename=_INPUT
)
INPUT: Final = View(
    "ContextInputAnswer",
    events.ContextInput,
    "The newest input of a symbol and a name.",
    rename=_INPUT,
    computed={
        **_USABLE,
        "age_ms": Computed(
            float, "since its moment, ms", lambda said, now: max(0, now - said.ts) / NS_PER_MS
        ),
    },
)
SOURCE: Final = View(
    "ContextSourceAnswer",
    events.ContextSource,
    "A source of context inputs, as it stands.",
    rename={"answered_ts": "answeredMs", "next_ts": "nextMs", "ts": "ms"},
)


class ContextsAnswer(Struct, frozen=True, kw_only=True):
    """What contexts are filled with, beside books and candles."""

    inputs: Annotated[tuple[INPUT.struct, ...], Meta(description="the newest first")]  # type: ignore[name-defined]  # made at import
    sources: Annotated[tuple[SOURCE.struct, ...], Meta(description="by name")]  # type: ignore[name-defined]  # made at import
