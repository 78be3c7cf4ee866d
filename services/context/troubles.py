"""Which trouble of a source is worth a line of the log, and which end of one; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.events import SourceState

if TYPE_CHECKING:
    from libs.common.events import ContextSource

TOLD_AFTER: Final = 2  # failures: one in passing, as at a start, is no news
TROUBLED: Final = "source_troubled"
RECOVERED: Final = "source_recovered"


class Troubles:
    """The sources whose trouble was told, and not yet its end."""

    def __init__(self) -> None:
        self._told: dict[str, SourceState] = {}

    def line(self, stands: ContextSource, failures: int) -> str | None:
        """Return the line to be written now, if any.

        Parameters
        ----------
        failures
            Polls in a row that failed.
        """
        told = self._told.get(stands.source)
        if stands.state is SourceState.FRESH:
            self._told.pop(stands.source, None)
            return RECOVERED if told else None
        if failures == TOLD_AFTER or (not failures and told is not stands.state):
            self._told[stands.source] = stands.state
            return TROUBLED
        return None
