"""Lines on the terminal, shaped like the console log of the services: clock, who speaks, what."""

import sys
import time


def prefixed(speaker: str, text: str, now_s: float) -> str:
    """Return ``12:03:04.123 kafka    ready`` for a wall clock of `now_s` seconds UTC."""
    clock = f"{time.strftime('%H:%M:%S', time.localtime(now_s))}.{int(now_s * 1000) % 1000:03d}"
    return f"{clock} {speaker:<8} {text}"


def say(speaker: str, text: str) -> None:
    """Write a line that a reader of the common log sees at once."""
    sys.stdout.write(prefixed(speaker, text, time.time()) + "\n")
    sys.stdout.flush()
