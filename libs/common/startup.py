"""How a process begins: its settings, its log; and how one ends that no restart can help.

Such a process writes one line, ``cannot run: `` and what a person must change, and exits with `os.EX_CONFIG`;
the supervisor of `make run` then ends the whole system with that sentence instead of starting it again.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, Never, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from broker.terminal import CANNOT_RUN
from libs.common import log
from libs.common.settings import ServiceSettings

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

S = TypeVar("S", bound="BaseSettings")

SENTENCE_ENDS: Final = ".!?"


def begin(kind: type[S], service: str) -> S:
    """Return the settings of this process, its log configured by them; end it if one of them is wrong."""
    try:
        settings = kind()
    except ValidationError as error:
        end(service, "; ".join(sentences(kind, error)))
    except SettingsError as error:
        end(service, str(error))
    if isinstance(settings, ServiceSettings):
        log.configure(service, settings)
    return settings


def end(service: str, sentence: str) -> Never:
    """Say why this process cannot run as it is set up, and end it for good."""
    log_format = os.environ.get("LOG_FORMAT", "json")
    sys.stderr.write(log.line(service, "CRITICAL", f"{CANNOT_RUN}{sentence}", log_format) + "\n")
    sys.exit(os.EX_CONFIG)


def sentences(kind: type[BaseSettings], error: ValidationError) -> list[str]:
    """Return a sentence for each wrong setting: variable, value if it is no secret, what is right."""
    return [_sentence(kind, str(e["loc"][0]) if e["loc"] else "", e["msg"]) for e in error.errors()]


def _sentence(kind: type[BaseSettings], field: str, message: str) -> str:
    right = message.removeprefix("Value error, ")
    prefix = str(kind.model_config.get("env_prefix") or "").upper()
    bare = field.upper()
    name = bare if bare in os.environ or bare.startswith(prefix) else f"{prefix}{bare}"
    if not field or right.startswith(name):
        return right
    known = kind.model_fields.get(field)
    secret = known is None or "Secret" in str(known.annotation)
    value = "" if secret or name not in os.environ else f"={os.environ[name]}"
    return f"{name}{value} is wrong: {right[:1].lower()}{right[1:]}"
