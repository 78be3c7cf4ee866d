"""What the topics take and how fast they grow, by the last two looks at them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from libs.common.time_units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from libs.common.budgets import Usage


class _Look(NamedTuple):
    usage: Usage
    at: int  # monotonic, ns


class TopicFigures:
    """The newest figures of each topic; changes in place."""

    def __init__(self) -> None:
        self._newest: dict[str, _Look] = {}
        self._per_s: dict[str, float] = {}

    @property
    def usage(self) -> Mapping[str, Usage]:
        """What each topic took when it was found last."""
        return {name: look.usage for name, look in self._newest.items()}

    def take(self, found: Mapping[str, Usage | None], now: int) -> None:
        """Take a look at all topics, at `now` (monotonic, ns); None keeps the figures of the one before."""
        kept, self._newest = self._newest, {}
        for name, usage in found.items():
            before = kept.get(name)
            if usage is None:
                if before is not None:
                    self._newest[name] = before
                continue
            self._newest[name] = _Look(usage, now)
            if before is None or usage.written < before.usage.written:  # made anew
                self._per_s.pop(name, None)
            elif now > before.at:
                grown = usage.written - before.usage.written
                self._per_s[name] = grown * NS_PER_S / (now - before.at)

    def per_second(self, name: str) -> float | None:
        """Return the records a second between the last two looks; None before there were two."""
        return self._per_s.get(name) if name in self._newest else None
