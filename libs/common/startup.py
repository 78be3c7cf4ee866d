"""How a process begins: its rights, its settings, its log; and how one ends that no restart can help.

Such a process writes one line, ``cannot run: `` and what a person must change, and exits with `os.EX_CONFIG`;
the supervisor of `make run` then ends the whole system with that sentence instead of starting it again.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Never, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from broker.owned_folder import OWNER_ONLY
from broker.setting_errors import sentences
from broker.terminal import CANNOT_RUN
from libs.common import log
from libs.common.settings import ServiceSettings

if TYPE_CHECKING:
    from libs.common.settings import Settings

S = TypeVar("S", bound="Settings")


def begin(kind: type[S], service: str) -> S:
    """Return the settings of this process, its log configured by them; end it if one of them is wrong.

    What it writes from here on can be read by its owner only.
    """
    os.umask(OWNER_ONLY)
    try:
        settings = kind()
    except (ValidationError, SettingsError) as error:
        end(service, "; ".join(sentences(kind, error)))
    if isinstance(settings, ServiceSettings):
        log.configure(service, settings)
    return settings


def end(service: str, sentence: str) -> Never:
    """Say why this process cannot run as it is set up, and end it for good."""
    log_format = os.environ.get("LOG_FORMAT", "json")
    sys.stderr.write(log.line(service, "CRITICAL", f"{CANNOT_RUN}{sentence}", log_format) + "\n")
    sys.exit(os.EX_CONFIG)
