"""Views on the bus: each record that arrives is folded, as `libs.common.kafka.follow` folds Kafka's."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from libs.common.codec import UndecodableMessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from backtest.bus import Bus, Record
    from libs.common.views import View


def follow(
    bus: Bus, views: Iterable[View[Any]], changed: Callable[[Record], None] = lambda _record: None
) -> None:
    """Let views have what arrives from now on; they are ready at once, as nothing was there before.

    Parameters
    ----------
    changed
        Called with each record after its view has folded it.
    """
    for view in views:
        view.begin({})
        bus.subscribe(view.topic, partial(_fold, bus, view, changed))


def _fold(bus: Bus, view: View[Any], changed: Callable[[Record], None], record: Record) -> None:
    if not view.wants(record.key):
        view.advance(record.partition, record.offset + 1)
        return
    try:
        event = record.event
    except UndecodableMessageError as error:
        view.advance(record.partition, record.offset + 1)
        bus.reject(record, error)
        return
    view.fold(record.partition, record.offset, record.key, event)
    changed(record)
