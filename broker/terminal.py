"""
Lines on the terminal, shaped like those of the services: clock, who speaks, what; or as JSON.

LOG_FORMAT says which, as it does for the services.
"""

import json
import os
import re
import sys
import time

from libs.common.printable import indented_lines, printable_json

CANNOT_RUN = "cannot run: "  # begins the last words of a process that no restart can help
_MILLISECOND = 1000
_LEVELS = {"WARN": "WARNING", "WARNING": "WARNING", "ERROR": "ERROR", "CRITICAL": "CRITICAL"}
_LEVEL = re.compile(rf"({'|'.join(_LEVELS)})\b:? *")


def prefixed(speaker: str, text: str, now_s: float) -> str:
    """Return ``12:03:04.123 kafka    ready`` for a wall clock of `now_s` seconds UTC."""
    clock = f"{time.strftime('%H:%M:%S', time.localtime(now_s))}.{_ms(now_s):03d}"
    return f"{clock} {speaker:<8} {indented_lines(text)}"


def as_json(speaker: str, text: str, now_s: float) -> str:
    """Return the line as the services write JSON; a level at the beginning of the text becomes its level."""
    level = _LEVEL.match(text)
    moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now_s))}.{_ms(now_s):03d}Z"
    facts = {
        "ts": moment,
        "level": _LEVELS[level[1]] if level else "INFO",
        "service": speaker,
        "event": text[level.end() :] if level else text,
    }
    return printable_json(json.dumps(facts, ensure_ascii=False, separators=(",", ":")))


def line(speaker: str, text: str) -> str:
    """Return the line in the format that LOG_FORMAT names; for people, unless that is json."""
    shape = as_json if os.environ.get("LOG_FORMAT") == "json" else prefixed
    return shape(speaker, text, time.time())


def say(speaker: str, text: str) -> None:
    """Write a line that a reader of the common log sees at once."""
    sys.stdout.write(line(speaker, text) + "\n")
    sys.stdout.flush()


def _ms(now_s: float) -> int:
    return int(now_s * _MILLISECOND) % _MILLISECOND
