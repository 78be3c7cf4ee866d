"""What is said of a wrong setting: its name and what would be right; never its value: it may be a secret."""

import os
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError


def sentences(kind: type[BaseSettings], error: ValidationError | SettingsError) -> list[str]:
    """Return a sentence for each wrong setting: its variable, its place in a list, what is right."""
    if isinstance(
        error, SettingsError
    ):  # raised before it is known which field; its text may quote the value
        return [f"a setting of {kind.__name__} cannot be read: write it as the setting's description says"]
    return [_sentence(kind, found["loc"], found["msg"]) for found in error.errors(include_input=False)]


def variable(kind: type[BaseSettings], field: str) -> str:
    """Return the environment variable that a field is read from."""
    if (named := getattr(kind, "variable", None)) is not None:
        return str(named(field))
    prefix = str(kind.model_config.get("env_prefix") or "").upper()
    bare = field.upper()
    return bare if bare in os.environ or bare.startswith(prefix) else f"{prefix}{bare}"


def _sentence(kind: type[BaseSettings], location: Sequence[int | str], message: str) -> str:
    right = message.removeprefix("Value error, ")
    if not location:  # of several settings together: their validator names them
        return right
    name = variable(kind, str(location[0]))
    if right.startswith(name):
        return right
    place = f"place {location[1] + 1}: " if len(location) > 1 and isinstance(location[1], int) else ""
    return f"{name} is wrong: {place}{right[:1].lower()}{right[1:]}"
