"""What docs/policies.md says of policies is what the code says."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from libs.cli.policy_template import policy_source
from libs.common.policy import VALID_S, Market, Policy
from libs.policies.described import version_of
from services.policies.settings import PoliciesSettings

PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text()


def settings_named() -> dict[str, object]:
    return {
        PoliciesSettings.variable(name): each.default for name, each in PoliciesSettings.model_fields.items()
    }


def test_the_policy_shown_is_the_one_that_new_writes() -> None:
    (shown,) = re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown in policy_source("mine")
    assert set(re.findall(r"version ([0-9a-f]{12})", PAGE)) == {version_of(policy_source("mine").encode())}


def test_every_field_of_a_market_and_of_a_policy_is_told() -> None:
    for name in (
        *Market.__struct_fields__,
        *(each.name for each in fields(Policy) if each.name != "revision"),
    ):
        assert f"`{name}`" in PAGE or f"`{name}`," in PAGE, name


def test_the_numbers_are_those_of_the_settings() -> None:
    told = settings_named()
    assert {told["POLICIES_DEADLINE_S"], told["POLICIES_START_S"]} == {1.0, 10.0}
    assert "1 s an answer, 10 s to load" in PAGE
    assert f"{told['POLICIES_MEMORY_MIB']} MiB beside Python and numpy" in PAGE
    assert f"up to {told['POLICIES_MINUTES']} and {told['POLICIES_DAYS']}" in PAGE
    assert f"| `valid_s` | {VALID_S:g} |" in PAGE
    for name in re.findall(r"POLICIES_[A-Z_]+", PAGE):
        assert name in told, name


def test_the_page_can_be_read_at_once() -> None:
    assert len(PAGE.splitlines()) <= 200
