"""Features that a scope has of its own: stated, declared, seen by the model, and learnt from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.random import Generator, Philox

from libs.common.codec import decode, encode
from libs.common.context_fields import (
    FIELDS,
    MOST_FEATURES,
    NAMES,
    as_text,
    features_of,
    layout_version,
    learnable,
    unknown_fault,
    unknown_keys,
    value_faults,
)
from libs.common.events import (
    CommandRejected,
    DeclaredFeature,
    DeclareFeatures,
    FeaturesDeclared,
    PolicyChosen,
    Refusal,
    RouterScopeState,
)
from libs.common.topics import ROUTER_CHOICES, ROUTER_STATE
from services.router.context import layout_of
from services.router.records import scope_key
from services.router.settings import RouterSettings
from services.router.thompson import Tuning
from tests.router_world import BULL, POLICIES, World, choose, command_id, reward

TEXT = "vix:5..150:18~6 social:-1..1"
OWN = features_of(TEXT)


def declare(name: object, scope: str = "s", features: tuple[DeclaredFeature, ...] = OWN) -> DeclareFeatures:
    return DeclareFeatures(command_id=command_id(name), scope=scope, features=features)


def shared_of(world: World, scope: str = "s") -> RouterScopeState:
    found = world.state[scope_key(scope)]
    assert isinstance(found, RouterScopeState)
    return found


# --- as text ---


def test_a_text_states_features_and_what_it_leaves_out_is_the_middle_and_a_quarter_of_the_range() -> None:
    assert features_of("") == ()
    assert (
        DeclaredFeature(name="vix", low=5.0, high=150.0, mean=18.0, sd=6.0),
        DeclaredFeature(name="social", low=-1.0, high=1.0, mean=0.0, sd=0.5),
    ) == OWN
    assert features_of("a:.5...75 b:-1e-3..2.5e2")[0].low == 0.5
    assert features_of(as_text(OWN)) == OWN


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vix", "feature 1 must be NAME:LOW..HIGH"),
        ("a:0..1 vix:0-1", "feature 2 must be NAME:LOW..HIGH"),
        ("vix:0..1:0.5", "feature 1 must be"),
        ("vix:nan..1", "feature 1 must be"),
        ("1st:0..1", "feature 1: its name must be a letter"),
        (f"{'a' * 65}:0..1", "feature 1: its name must be a letter"),
        ("obi:0..1", "its name is that of an input or a feature that every scope has"),
        ("symbol:0..1", "that every scope has"),
        ("signal:0..1", "that every scope has"),
        ("bias:0..1", "that every scope has"),
        ("regime.bull:0..1", "that every scope has"),
        ("a:0..1 a.missing:0..1", "feature 2: its name must not end with .missing"),
        ("a:0..1 b:0..1 a:0..2", "feature 3: its name stands there twice"),
        ("a:1..1", "its high must be over low"),
        ("a:0..1e13", "its high must be a number from -1e+12 to 1e+12"),
        ("a:0..1:2~1", "its mean must be within low and high"),
        ("a:0..1:.5~0", "its sd must be from 1e-12 to the width of the range"),
        ("a:0..1:.5~2", "its sd must be from"),
        (" ".join(f"a{n}:0..1" for n in range(MOST_FEATURES + 1)), "33 features; 32 at most are right"),
    ],
)
def test_a_text_that_is_wrong_says_which_feature_and_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace(".", r"\.").replace("+", r"\+")):
        features_of(text)


def test_the_setting_is_read_as_features_of_scopes_that_begin() -> None:
    assert RouterSettings(features=TEXT).rules().features == OWN
    assert RouterSettings().rules().features == ()
    with pytest.raises(ValueError, match="feature 1: its high must be over low"):
        RouterSettings(features="a:2..1")


def test_the_version_of_a_layout_changes_with_every_part_of_a_feature_and_with_their_order() -> None:
    assert layout_version(()) == ""
    others = [
        OWN[::-1],
        OWN[:1],
        *((replace(OWN[0], **{part: value}), OWN[1]) for part, value in _OTHER.items()),
    ]
    versions = [layout_version(each) for each in (OWN, *others)]
    assert len(set(versions)) == len(versions)
    assert all(version.startswith("2-") and len(version) == 10 for version in versions)
    assert layout_version(features_of(TEXT)) == versions[0]


_OTHER: dict[str, Any] = {"name": "vixx", "low": 4.0, "high": 151.0, "mean": 19.0, "sd": 7.0}


# --- contexts ---


def test_a_declared_key_is_known_in_its_scope_with_its_range_and_a_near_one_is_named() -> None:
    context: dict[str, float | str] = {"vix": 20.0, "vixx": 1.0}
    assert unknown_keys(context) == ("vix", "vixx")
    assert unknown_keys(context, OWN) == ("vixx",)
    assert "did you mean vix?" in unknown_fault("vixx", OWN).message
    assert "vix" not in unknown_fault("vixx").message
    assert value_faults({"vix": 4.0}) == []
    (fault,) = value_faults({"vix": 4.0}, OWN)
    assert (fault.field, fault.message) == (
        "context.vix",
        "must be a number from 5 to 150: as this scope declares it",
    )
    assert [fault.field for fault in value_faults({"vix": math.nan, "social": "x"}, OWN)] == [
        "context.vix",
        "context.social",
    ]
    assert learnable({"symbol": "BTC-USDT", "vix": 20.0}, OWN)
    assert not learnable({"symbol": "BTC-USDT", "vix": 20.0})


# --- the vector ---


def test_without_features_of_its_own_the_vector_is_layout_2_as_ever() -> None:
    names = ["bias", "regime.bull", "regime.bear", "regime.sideways", "regime.volatile"]
    book = ("sigmaHAR", "obi", "micropriceBps", "tradeImbalance", "spreadBps", "depthBid", "depthAsk")
    for name in (*book, "rr25", "fundingRate", "basisBps", "sentiment", "onchain"):
        names += [name, f"{name}.missing"]
    names += ["bull*sigmaHAR", "bull*obi", "bear*sigmaHAR", "bear*obi", "signal"]
    layout = layout_of()
    assert list(layout.names) == names
    assert (layout.version, layout.common, layout.dimension) == ("", 33, 34)
    chosen = World().choose(choose(1))
    assert list(chosen.features) == names
    assert (chosen.layout, chosen.layout_version) == (2, "")


def test_own_features_stand_behind_those_of_all_and_before_what_is_a_policy_s_alone() -> None:
    plain, layout = layout_of(), layout_of(OWN)
    own = ("vix", "vix.missing", "social", "social.missing")
    assert layout.names == (*plain.names[:33], *own, "signal")
    statistics = layout.declared_statistics()
    x = layout.vector({**BULL, "vix": 30.0}, statistics)
    assert x[:33].tolist() == plain.vector(BULL, plain.declared_statistics())[:33].tolist()
    assert x[33:].tolist() == [2.0, 0.0, 0.0, 0.25, 0.0]
    assert layout.vector({"vix": 150.0}, statistics)[33] == 4  # clipped
    assert layout.missing({"regime": "bull"})[-2:] == ("vix", "social")
    assert layout.decided_on(dict(zip(layout.names, x.tolist(), strict=True))).tolist() == x.tolist()


def test_the_statistics_of_an_own_feature_follow_its_values_as_those_of_all_do() -> None:
    layout = layout_of(OWN)
    values = Generator(Philox(key=1)).uniform(12.0, 30.0, 400)
    statistics = layout.declared_statistics()
    for value in values:
        statistics = layout.after(statistics, {"vix": float(value)})
    n = 20 + len(values)
    mean = (20 * 18.0 + values.sum()) / n
    second = (20 * (6.0**2 + 18.0**2) + (values**2).sum()) / n
    j = len(FIELDS)
    assert statistics.means[j] == pytest.approx(mean, rel=1e-12)
    assert statistics.variances[j] == pytest.approx(second - mean**2, rel=1e-9)
    assert statistics.counts[j:] == (n, 20)


# --- scopes ---


def test_a_scope_that_begins_by_a_choice_has_the_features_of_the_setting_and_keeps_them() -> None:
    world = World(features=OWN)
    chosen = world.choose(choose(1, {**BULL, "vix": 30.0, "other": 1.0}))
    assert chosen.features["vix"] == pytest.approx(2.0)
    assert chosen.inputs["vix"] == 30.0
    assert chosen.ignored == ("other",)
    assert chosen.missing[-1] == "social"
    assert chosen.layout_version == layout_version(OWN)
    assert world.snapshot is not None
    assert (world.snapshot.declared, world.snapshot.layout_version) == (OWN, chosen.layout_version)
    later = World()  # a router set otherwise goes on with the same scope
    later.state = world.state
    assert later.choose(choose(2, {"vix": 30.0})).layout_version == chosen.layout_version
    assert shared_of(later).declared == OWN


def test_a_scope_can_be_declared_once_and_the_same_again_changes_nothing() -> None:
    world = World()
    first = world.do(declare(1), FeaturesDeclared)
    assert (first.changed, first.features, first.layout_version) == (True, OWN, layout_version(OWN))
    assert world.do(declare(1), FeaturesDeclared) == first
    assert world.snapshot is not None
    assert (world.snapshot.declared, world.snapshot.choices) == (OWN, 0)
    before = shared_of(world)
    assert not world.do(declare(2), FeaturesDeclared).changed
    assert replace(shared_of(world), used_ts=0) == replace(before, used_ts=0)
    refused = world.refused(declare(3, features=OWN[:1]))
    (fault,) = refused.faults
    assert (refused.refusal, fault.field) == (Refusal.INVALID, "features")
    assert "scope s has vix:5.0..150.0:18.0~6.0 social:-1.0..1.0:0.0~0.5" in fault.message
    assert "for a new scope" in fault.message
    assert decode(ROUTER_CHOICES, encode(first)) == first


def test_a_scope_that_began_without_features_cannot_get_any() -> None:
    world = World()
    world.choose(choose(1))
    (fault,) = world.refused(declare(2)).faults
    assert "scope s has none of its own" in fault.message
    assert world.choose(choose(3, {"vix": 30.0})).ignored == ("vix",)


def test_a_declared_scope_counts_as_one_that_begins() -> None:
    world = World(scopes_per_minute=1)
    world.do(declare(1, "a"), FeaturesDeclared)
    assert world.refused(declare(2, "b")).refusal is Refusal.UNAVAILABLE


def test_a_value_out_of_a_declared_range_is_refused_where_the_scope_knows_it() -> None:
    world = World(features=OWN)
    refusals = [
        world.do(choose(1, {"vix": 4.0}), CommandRejected),
        world.do(reward(2, "p_sma", 0.01, context={"vix": 4.0}), CommandRejected),
    ]
    for refused in refusals:
        assert (refused.refusal, refused.faults[0].field) == (Refusal.INVALID, "context.vix")
    assert dict(world.state) == {}


def test_a_reward_can_be_learnt_from_an_own_feature_alone_and_from_no_unknown_key() -> None:
    world = World(features=OWN)
    assert world.reward(reward(1, "p_sma", 0.01, context={"vix": 30.0})).counted
    (fault,) = World().refused(reward(1, "p_sma", 0.01, context={"vix": 30.0})).faults
    assert fault.field == "decisionId"
    assert "nothing is known" in fault.message


def test_a_state_with_features_of_its_own_is_exact() -> None:
    world = World(features=OWN)
    for n in range(5):
        policy = world.choose(choose(n, {"vix": 20.0 + n})).policy_id
        world.reward(reward(f"r{n}", policy, 0.001 * n, decision=n))
    for record in world.state.values():
        assert decode(ROUTER_STATE, encode(record)) == record


# --- what is learnt ---

PLAIN_RIDGE = Tuning(discounts=(1.0,), memories=0, tails=1e12, decays=(), fade=1.0, change=1e9)
"""One copy that forgets nothing, and noise that is normal and of one scale: then it is a ridge regression."""


def test_the_posterior_means_are_those_of_a_ridge_regression_on_vectors_of_its_own() -> None:
    """Vectors by two-pass statistics, and one solve per policy: nothing of the router's own arithmetic."""
    world = World(features=OWN, tuning=PLAIN_RIDGE, policies=POLICIES[:2])
    random = Generator(Philox(key=7))
    seen: dict[str, list[float]] = {"vix": [], "social": []}
    guess = {"vix": (18.0, 6.0), "social": (0.0, 0.5)}
    X: dict[str, list[Any]] = {name: [] for name in POLICIES[:2]}
    R: dict[str, list[float]] = {name: [] for name in POLICIES[:2]}
    for n in range(120):
        context = {"vix": float(random.uniform(12, 26)), "social": float(random.uniform(-0.9, 0.9))}
        if n % 5 == 0:
            del context["social"]
        x = np.zeros(layout_of(OWN).dimension)
        x[0] = 1.0
        x[6:29:2] = 0.25  # of all scopes' numbers none is known
        for at, (name, (mean, sd)) in zip((33, 35), guess.items(), strict=True):
            weight, values = 20 + len(seen[name]), np.array(seen[name])
            centre = (20 * mean + values.sum()) / weight
            spread = math.sqrt((20 * (sd**2 + mean**2) + (values**2).sum()) / weight - centre**2)
            if name in context:
                x[at] = (context[name] - centre) / spread
            else:
                x[at + 1] = 0.25
        chosen = world.choose(choose(n, dict(context)))
        for name, mean in chosen.means.items():
            rows = np.array(X[name]).reshape(-1, len(x))
            theta = np.linalg.solve(np.eye(len(x)) + rows.T @ rows, rows.T @ np.array(R[name]))
            assert mean == pytest.approx(float(x @ theta), rel=1e-6, abs=1e-9)
        for name, value in context.items():
            seen[name].append(value)
        r = 0.004 * x[33] * (1 if chosen.policy_id == POLICIES[0] else -1) + float(random.normal(0, 0.002))
        world.reward(reward(f"r{n}", chosen.policy_id, r, decision=n))
        X[chosen.policy_id].append(x)
        R[chosen.policy_id].append(r)
    assert min(map(len, R.values())) > 10


@pytest.mark.parametrize("seed", range(3))
def test_a_signal_that_an_own_feature_alone_carries_is_learnt(seed: int) -> None:
    """Which of two policies earns follows the sign of a feature that only one of the worlds declares.

    Of 100 choices at random over 68 are right with probability 2e-4; seeded, so either way for ever.
    """
    right = {}
    for features in ((), OWN):
        world, random, found = World(features=features, policies=POLICIES[:2]), Generator(Philox(key=seed)), 0
        for n in range(300):
            social = float(random.uniform(-1, 1))
            policy = world.choose(choose(f"{seed}/{n}", {"social": social})).policy_id
            sign = 1 if policy == POLICIES[0] else -1
            found += n >= 200 and sign * social > 0
            earned = 0.01 * sign * social + float(random.normal(0, 0.005))
            world.reward(reward(f"r{seed}/{n}", policy, earned, decision=f"{seed}/{n}"))
        right[features] = found
    assert right[OWN] > 85
    assert right[()] < 68


def test_a_key_that_the_scope_does_not_declare_changes_nothing_of_its_decision() -> None:
    plain, other = World(), World()
    one = plain.choose(choose(1, BULL))
    two = other.choose(choose(1, {**BULL, "vix": 20.0}))
    assert isinstance(one, PolicyChosen)
    assert replace(two, ignored=()) == one
    assert set(NAMES) >= {*one.inputs, *one.missing}
