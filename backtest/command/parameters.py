"""The settings of services that a run can be made with, by the names that their environment has; pure."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError
from pydantic_settings import SettingsError

from backtest.command.market import market_variables, simulator_settings
from backtest.command.reading import interval_named
from backtest.profile import SERVICES, Profile, meant, variables
from broker.setting_errors import sentences
from libs.cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVAL: Final = "interval"
URGENCY: Final = "urgency"
DOCUMENT: Final = "docs/backtesting.md"
SHOWN: Final = 60  # characters of a name that is none
MOST_NEAR: Final = 4  # names that are told in its place
LEAST_PART: Final = 3  # characters of a name that others may have in them
OPTIONS: Final = (INTERVAL, URGENCY)  # of the command, that can be swept
INSTEAD: Final[Mapping[str, str]] = {  # settings that a run has from its options
    "ROUTER_POLICIES": "--policies",
    "PORTFOLIO_CAPITAL": "--capital",
    "POLICIES_DIR": "--policies",
}


def swept_settings() -> list[str]:
    """Return the settings that a sweep may have."""
    return sorted((variables() | market_variables()) - INSTEAD.keys())


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what an environment says of the services' settings, where it is not what holds anyway.

    Raises
    ------
    UsageError
        If one is wrong.
    """
    said = {name: text for name, text in meant(environment).items() if name not in INSTEAD}
    found = {name: text for name, text in said.items() if profile_of({name: text}) != Profile.of()}
    made = {name: environment[name] for name in market_variables() if name in environment}
    return found | {
        name: text
        for name, text in made.items()
        if simulator_settings({name: text}) != simulator_settings({})
    }


def check(name: str, text: str) -> None:
    """Find out whether a parameter of a sweep exists and may have this value.

    Raises
    ------
    UsageError
        If it may not, or there is none of this name: the nearest ones are named.
    """
    if name == INTERVAL:
        interval_named(text)
    elif name == URGENCY:
        urgency_named(text)
    elif name in market_variables():
        simulator_settings({name: text})
    elif name in variables() and name not in INSTEAD:
        profile_of({name: text})
    else:
        raise UsageError(_unknown(name))


def urgency_named(text: str) -> float:
    """Return an urgency.

    Raises
    ------
    UsageError
        If it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"urgency {text!r} is wrong: a number from 0 to 1 is right")
    return value


def profile_of(given: Mapping[str, str]) -> Profile:
    """Return the services' settings with these.

    Raises
    ------
    UsageError
        If one is wrong; its value is not repeated.
    """
    try:
        return Profile.of({name: text for name, text in given.items() if name not in market_variables()})
    except (ValidationError, SettingsError) as error:
        kinds = {kind.__name__: kind for kind in SERVICES}
        kind = kinds.get(getattr(error, "title", ""), SERVICES[0])
        raise UsageError("; ".join(sentences(kind, error))) from None


def _unknown(name: str) -> str:
    if (instead := INSTEAD.get(name.upper())) is not None:
        return f"--sweep cannot have {name!r}: it is what {instead} says"
    known = swept_settings()
    near = get_close_matches(name.lower(), OPTIONS, n=1) + get_close_matches(name.upper(), known, n=MOST_NEAR)
    having = [each for each in known if len(name) >= LEAST_PART and name.upper() in each]
    nearest = list(dict.fromkeys([*near, *having]))[:MOST_NEAR]
    listed = f"nearest: {', '.join(nearest)}" if nearest else f"there are {', '.join(OPTIONS)} and settings"
    return f"--sweep has no parameter {name[:SHOWN]!r}; {listed}; {DOCUMENT} has all"
