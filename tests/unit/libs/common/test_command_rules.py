from __future__ import annotations

import ast
import math
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from msgspec.structs import replace

from libs.common.command_rules import command_faults, refused_at_the_door, rejected
from libs.common.events import (
    AddPolicy,
    CancelExecution,
    ChoosePolicy,
    DeclaredFeature,
    DeclareFeatures,
    Fault,
    OptimizePortfolio,
    PlanAndExecute,
    Refusal,
    RewardPolicy,
    ScoreVenues,
    SimulateExecution,
    SubmitPaperOrder,
)

if TYPE_CHECKING:
    from libs.common.events import Command

ID = str(UUID(int=7))
SCORE = ScoreVenues(command_id=ID, symbol="BTC-USDT", size=1.0)
CHOOSE = ChoosePolicy(command_id=ID, context={"regime": "bull", "sigmaHAR": 0.02})
VIX = DeclaredFeature(name="vix", low=5.0, high=150.0, mean=18.0, sd=6.0)
DECLARE = DeclareFeatures(command_id=ID, scope="own", features=(VIX,))
REWARD = RewardPolicy(command_id=ID, policy_id="p_sma", reward=0.01, context={"regime": "bull"})
OPTIMIZE = OptimizePortfolio(command_id=ID, symbols=("BTC-USDT",), cvar_budget=0.05, vol_target=0.02)
EXECUTE = PlanAndExecute(command_id=ID, symbol="BTC-USDT")
ORDER = SubmitPaperOrder(command_id=ID, symbol="BTC-USDT", side="buy", order_qty=Decimal(1))
ADD = AddPolicy(command_id=ID, policy_id="p_sma")
GOOD = (SCORE, CHOOSE, REWARD, DECLARE, ADD, OPTIMIZE, EXECUTE, ORDER)


@pytest.mark.parametrize("command", GOOD)
def test_a_command_as_it_should_be_passes(command: Command) -> None:
    assert refused_at_the_door(command, "key", 1) is None


@pytest.mark.parametrize("command", GOOD)
def test_an_id_that_is_no_uuid_and_an_endless_reply_key_are_refused(command: Command) -> None:
    wrong = replace(command, command_id="one", reply_key="x" * 256)
    assert [fault.field for fault in command_faults(wrong)] == ["command_id", "reply_key"]


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (replace(SCORE, symbol="BTCUSDT"), "symbol"),
        (replace(SCORE, symbol="\u017fOL-USDT"), "symbol"),
        *((replace(SCORE, size=size), "size") for size in (0.0, -1.0, math.nan, math.inf, 1e13)),
        *((replace(EXECUTE, max_venues=most), "maxVenues") for most in (0, -1, 10)),
        *((replace(SCORE, max_venues=most), "maxVenues") for most in (0, 10)),
        (replace(EXECUTE, venues=("okx", "okx")), "venues"),
        (replace(SCORE, venues=("binanse",)), "venues"),
        (replace(SCORE, venues=tuple(f"v{at}" for at in range(41))), "venues"),
        (replace(CHOOSE, scope="a/b"), "scope"),
        (replace(CHOOSE, context={"obi": math.nan}), "context.obi"),
        (replace(CHOOSE, context={f"k{n}": 1.0 for n in range(65)}), "context"),
        (replace(CHOOSE, context={"x" * 65: 1.0}), f"context.{'x' * 64}"),
        (replace(CHOOSE, context={"note": "x" * 65}), "context.note"),
        *((replace(REWARD, reward=r), "reward") for r in (math.nan, 1.0001, -1.0001, 3.0)),
        (replace(REWARD, context={}), "decisionId"),
        (replace(REWARD, context={"symbol": "BTC-USDT"}), "decisionId"),
        (replace(REWARD, context={}, void="no signal"), "decisionId"),
        (replace(REWARD, decision_id=ID, void=" "), "void"),
        (replace(REWARD, decision_id=ID, void="x" * 1001), "void"),
        (replace(DECLARE, features=()), "features"),
        (replace(DECLARE, features=(VIX,) * 33), "features"),
        (replace(DECLARE, features=(VIX, VIX)), "features.1.name"),
        (replace(DECLARE, features=(replace(VIX, name="obi"),)), "features.0.name"),
        (replace(DECLARE, features=(replace(VIX, name="1st"),)), "features.0.name"),
        (replace(DECLARE, features=(replace(VIX, low=200.0),)), "features.0.high"),
        (replace(DECLARE, features=(replace(VIX, high=math.inf),)), "features.0.high"),
        (replace(DECLARE, features=(replace(VIX, mean=math.nan),)), "features.0.mean"),
        (replace(DECLARE, features=(replace(VIX, sd=0.0),)), "features.0.sd"),
        (replace(DECLARE, scope="a b"), "scope"),
        (replace(CHOOSE, policies=("p_a", "p a")), "policies"),
        (replace(CHOOSE, policies=("p_a", "p_a")), "policies"),
        (replace(CHOOSE, policies=tuple(f"p_{n}" for n in range(65))), "policies"),
        (replace(CHOOSE, arms={"p a": {"signal": 0.5}}), "arms.p a"),
        (replace(CHOOSE, arms={"p_a": {"signal": 1.5}}), "arms.p_a.signal"),
        (replace(CHOOSE, arms={"p_a": {"x" * 65: 1.5}}), "arms.p_a"),
        (replace(CHOOSE, arms={f"p_{n}": {} for n in range(65)}), "arms"),
        *((replace(CHOOSE, reward_within_s=s), "rewardWithinS") for s in (0.0, -1.0, math.nan, 604_801.0)),
        (replace(CHOOSE, default_reward=1.5), "defaultReward"),
        (replace(ADD, expected_reward=1.5, confidence=3.0), "expectedReward"),
        (replace(ADD, expected_reward=0.5), "confidence"),
        (replace(ADD, confidence=3.0), "expectedReward"),
        *((replace(ADD, expected_reward=0.1, confidence=c), "confidence") for c in (0.0, math.inf, 1e5)),
        (replace(REWARD, decision_id="x" * 256), "decisionId"),
        (replace(ADD, policy_id="p sma"), "policyId"),
        (replace(OPTIMIZE, symbols=()), "symbols"),
        (replace(OPTIMIZE, symbols=("BTC-USDT",) * 2), "symbols"),
        (replace(OPTIMIZE, symbols=("BTC",)), "symbols"),
        (replace(OPTIMIZE, cvar_budget=math.inf), "cvarBudget"),
        (replace(OPTIMIZE, vol_target=-0.01), "volTarget"),
        (replace(OPTIMIZE, confidence=1.0), "confidence"),
        (replace(OPTIMIZE, lookback=19), "lookback"),
        (replace(EXECUTE, urgency=1.1), "urgency"),
        (SimulateExecution(command_id=ID, symbol="BTC-USDT", size=1.0, urgency=math.nan), "urgency"),
        (replace(ORDER, order_qty=Decimal("NaN")), "size"),
        (replace(ORDER, order_qty=Decimal("1e-19")), "size"),
        (replace(ORDER, price=Decimal(-1)), "limit"),
        (CancelExecution(command_id=ID, symbol="BTC-USDT", execution_id="one"), "executionId"),
    ],
)
def test_a_field_that_no_handler_may_see_is_named(command: Command, field: str) -> None:
    refused = refused_at_the_door(command, "key", 1)
    assert refused is not None
    assert (refused.refusal, refused.command_id, refused.key) == (Refusal.INVALID, ID, "key")
    assert [fault.field for fault in refused.faults] == [field]
    assert field in refused.detail


@pytest.mark.parametrize(
    ("command", "field", "said"),
    [
        (ORDER, "order_qty", "size"),
        (ORDER, "price", "limit"),
        (ORDER, "time_in_force", "timeInForce"),
        (ORDER, "venue", "venue"),
        (REWARD, "policy_id", "policyId"),
        (OPTIMIZE, "cvar_budget", "cvarBudget"),
        (CHOOSE, "context.spread_now", "context.spread_now"),
        (CHOOSE, "", ""),
    ],
)
def test_a_fault_names_its_field_as_callers_of_the_gateway_do(
    command: Command, field: str, said: str
) -> None:
    refused = rejected(command, "key", Refusal.INVALID, 1, Fault(field=field, message="is wrong"))
    assert refused.faults == (Fault(field=said, message="is wrong"),)
    assert refused.detail == f"{said}: is wrong."


def test_a_reward_of_percents_is_refused_with_the_unit_and_an_example() -> None:
    (fault,) = command_faults(replace(REWARD, reward=1.5))
    assert fault.message == "must be from -1 to 1, return units: 0.01 is 1 %"


def test_a_confidence_is_what_its_command_means_by_it() -> None:
    """A weight in rewards of a policy's prior, a probability of a CVaR."""
    assert command_faults(replace(ADD, expected_reward=0.001, confidence=50.0)) == ()
    assert command_faults(replace(OPTIMIZE, confidence=50.0)) != ()


def test_a_reward_of_a_decision_needs_no_context() -> None:
    assert command_faults(replace(REWARD, context={}, decision_id=ID)) == ()
    assert command_faults(replace(REWARD, context={}, decision_id=ID, void="no usable signal")) == ()


def test_what_a_key_of_a_reward_means_is_for_its_scope_to_say() -> None:
    assert command_faults(replace(REWARD, context={"vix": 20.0})) == ()


def test_what_is_invalid_names_a_field_and_any_refusal_says_why() -> None:
    with pytest.raises(ValueError, match="names no field that is wrong"):
        rejected(ORDER, "key", Refusal.INVALID, 1, detail="It is wrong.")
    with pytest.raises(ValueError, match="names no field that is wrong"):
        rejected(ORDER, "key", Refusal.UNAVAILABLE, 1)
    assert rejected(ORDER, "key", Refusal.UNAVAILABLE, 1, detail="Not now.").faults == ()


def test_no_service_makes_a_refusal_of_its_own() -> None:
    root = Path(__file__).parents[4]
    makers = {
        path.relative_to(root).as_posix()
        for folder in ("libs", "services", "simulator")
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "CommandRejected"
    }
    assert makers == {"libs/common/command_rules.py"}
