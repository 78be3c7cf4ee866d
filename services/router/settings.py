"""What the router can be told from outside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from libs.common.command_rules import MAX_CONFIDENCE
from libs.common.context_fields import REWARD_LIMIT, features_of
from libs.common.live_books import PATIENCE
from libs.common.settings import ProcessorSettings
from libs.common.time_units import DAY_S, NS_PER_S
from services.router.rules import MOST_POLICIES, Rules

if TYPE_CHECKING:
    from services.router.live import LiveInputs


_NUMBER: Final = r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?"
MOST_COPIES: Final = 8  # of the model, the challenger not counted
STATED: Final = re.compile(
    rf"(?P<name>[A-Za-z0-9._-]{{1,64}})(?::(?P<reward>[+-]?{_NUMBER})x(?P<weight>{_NUMBER}))?", re.ASCII
)
"""A policy of a new scope, and what is expected of it."""


def _priors(text: str) -> dict[str, tuple[float, float]]:
    """Return the expected reward and its weight of each policy that states one."""
    stated = filter(None, map(STATED.fullmatch, text.split()))
    return {each["name"]: (float(each["reward"]), float(each["weight"])) for each in stated if each["reward"]}


class RouterSettings(ProcessorSettings):
    """Policies, memory and the model's constants; symbols as in ``services/router/thompson.py``."""

    model_config = SettingsConfigDict(env_prefix="ROUTER_")

    policies: str = Field(
        "p_sma p_breakout p_meanrev p_obi p_flat",
        description="policies of a scope used for the first time, separated by spaces; with what is expected "
        "of one as NAME:REWARDxWEIGHT: p_sma:0.0005x50 is 5 bps, worth 50 rewards",
    )
    features: str = Field(
        "",
        description="features that a scope has of its own from its first command on, separated by spaces: "
        "NAME:LOW..HIGH, or with what is expected of one NAME:LOW..HIGH:MEAN~SD, as vix:5..150:18~6",
    )
    reference_venue: str = Field("binance", description="whose book and candles fill a context")
    basis_venue: str = Field("binance-usdm", description="whose mid is compared for basisBps")
    live_horizon_s: float = Field(
        PATIENCE["features"].unproven_ns / NS_PER_S,
        gt=0,
        description="a book that nothing proved for longer, neither message nor heartbeat, is missing, s",
    )
    remember_s: float = Field(
        7 * DAY_S, gt=0, description="how long decisions and answers are remembered, seconds"
    )
    remember_most: int = Field(
        10_000, ge=1, le=1_000_000, description="decisions remembered per scope, and other answers"
    )
    answers_most: int = Field(
        160_000,
        ge=1,
        le=10_000_000,
        description="decisions and answers remembered in all, in equal parts by all partitions",
    )
    scope_idle_s: float = Field(
        DAY_S, gt=0, description="without a command, until a scope is archived, seconds"
    )
    scopes_per_minute: int = Field(
        60, ge=1, le=1_000_000, description="scopes that may begin in a minute, of each partition"
    )
    scopes_most: int = Field(
        10_000, ge=1, le=1_000_000, description="scopes kept, in equal parts by all partitions"
    )
    exploration_scale: float = Field(0.2, gt=0, le=10, description="c: width of the posterior draws")
    discounts: str = Field(
        "0.98 0.99 1",
        description="of the model's copies, per reward of its policy, separated by spaces; 1 forgets nothing",
    )
    epsilon: float = Field(0.0005, ge=0, le=1, description="share of choices made uniformly")
    prior_precision: float = Field(1.0, gt=0, description="lambda: precision of the prior, in noise units")
    noise_scale: float = Field(
        0.01, gt=0, description="s0: noise of rewards before ten are seen, return units"
    )
    noise_weight: float = Field(3.0, gt=1, description="a0: weight of the pooled noise in a policy's own")
    change: float = Field(
        9.0, gt=0, description="log likelihood ratio of a change from which on a challenger begins"
    )
    fade: float = Field(
        0.998, gt=0, le=1, description="what is left of a policy's posterior per reward of others; 1 is all"
    )
    fade_after: int = Field(150, ge=0, description="rewards of others from which on a policy fades")
    regimes: int = Field(3, ge=0, le=8, description="regimes remembered, for when they come back")

    @field_validator("policies")
    @classmethod
    def _named(cls, text: str) -> str:
        stated = [STATED.fullmatch(each) for each in text.split()]
        if not all(stated):
            raise ValueError(
                "a policy is 1-64 of A-Za-z0-9._-, or with an expected reward and the rewards it is worth "
                "NAME:REWARDxWEIGHT, as p_sma:0.0005x50"
            )
        names = [found["name"] for found in stated if found is not None]
        if not 1 <= len(names) <= MOST_POLICIES or len(set(names)) < len(names):
            raise ValueError(f"name 1 to {MOST_POLICIES} policies, each once")
        for expected, weight in _priors(text).values():
            if not abs(expected) <= REWARD_LIMIT or not 0 < weight <= MAX_CONFIDENCE:
                raise ValueError(
                    f"an expected reward is from {-REWARD_LIMIT:g} to {REWARD_LIMIT:g}, return units "
                    f"(0.01 is 1 %), and worth more than 0 and at most {MAX_CONFIDENCE} rewards"
                )
        return text

    @field_validator("features")
    @classmethod
    def _declared(cls, text: str) -> str:
        features_of(text)
        return text

    @field_validator("discounts")
    @classmethod
    def _forgetting(cls, text: str) -> str:
        words = text.split()
        if not 1 <= len(words) <= MOST_COPIES or not all(re.fullmatch(_NUMBER, each) for each in words):
            raise ValueError(f"name 1 to {MOST_COPIES} discounts, each a number over 0 and at most 1")
        discounts = list(map(float, words))
        if not all(0 < each <= 1 for each in discounts) or sorted(set(discounts)) != discounts:
            raise ValueError("a discount is over 0 and at most 1; name each once, the least first")
        return text

    def rules(self) -> Rules:
        """Return what the handler needs of these."""
        from services.router.thompson import Tuning  # noqa: PLC0415 -- who checks settings computes nothing

        tuning = Tuning(
            lam=self.prior_precision,
            a0=self.noise_weight,
            s0=self.noise_scale,
            c=self.exploration_scale,
            discounts=tuple(map(float, self.discounts.split())),
            epsilon=self.epsilon,
            change=self.change,
            fade=self.fade,
            grace=self.fade_after,
            memories=self.regimes,
        )
        return Rules(
            policies=tuple(each.partition(":")[0] for each in self.policies.split()),
            priors=_priors(self.policies),
            tuning=tuning,
            features=features_of(self.features),
            remember_ns=round(self.remember_s * NS_PER_S),
            remember_most=self.remember_most,
            scope_idle_ns=round(self.scope_idle_s * NS_PER_S),
            scopes_per_minute=self.scopes_per_minute,
            answers_most=max(1, self.answers_most // self.topic_partitions),
            scopes_most=max(1, self.scopes_most // self.topic_partitions),
        )

    def live(self) -> LiveInputs:
        """Return the views of live values, empty."""
        from services.router.live import LiveInputs  # noqa: PLC0415 -- as above

        return LiveInputs(
            reference_venue=self.reference_venue,
            basis_venue=self.basis_venue,
            patience=PATIENCE["features"]._replace(unproven_ns=round(self.live_horizon_s * NS_PER_S)),
        )
