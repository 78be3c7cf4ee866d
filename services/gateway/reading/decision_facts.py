"""What an execution's audit says of how it was decided: the choice, the signal, the size's inputs; pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from libs.common.events import AuditEntry, PolicyChosen, PolicySignal
from services.gateway.reading.resized import SizingInputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from services.gateway.reading.logged import Logged

T = TypeVar("T")

REFERENCE: Final = "binance"  # whose book policies see and sizes are made on, by rule


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An audit entry, read, and where it stands."""

    kind: str
    ts: int  # ns UTC
    seq: int
    payload: Mapping[str, Any]
    id: str
    key: str

    def read(self, path: tuple[str, ...], kind: type[T]) -> T | None:
        """Return what stands under this path; None where nothing does, or what only another version knows."""
        value: Any = self.payload
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        try:
            return None if value is None else msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError:
            return None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """How a policy was chosen for a symbol, and what became of it until there was a size."""

    execution_id: str
    choice: PolicyChosen
    choice_id: str  # of the audit entry; of the others too
    signal: PolicySignal | None = None  # what the policy wanted; None: none was there to use
    signal_id: str = ""
    inputs: SizingInputs | None = None  # None: it was not sized
    inputs_id: str = ""
    venue: str = ""  # whose book it was sized on
    reference: str = ""  # whose candles the policies see; empty: it is not said


def entries_of(records: Iterable[Logged]) -> list[Entry]:
    """Return the entries of a chain in order, each with the id of its record.

    Raises
    ------
    ValueError
        If the payload of one is no JSON object, which nobody who writes the chain does.
    """
    found = []
    for record in records:
        event = record.event
        if isinstance(event, AuditEntry):
            found.append(
                Entry(
                    kind=event.kind,
                    ts=event.ts,
                    seq=event.seq,
                    payload=json.loads(event.payload),
                    id=record.id,
                    key=event.execution_id,
                )
            )
    return found


def decision_of(entries: Iterable[Entry]) -> Decision | None:
    """Return how an execution was decided so far; None before its policy is chosen."""
    by_kind: dict[str, Entry] = {}
    for entry in entries:
        by_kind.setdefault(entry.kind, entry)
    chosen = by_kind.get("policy_chosen")
    choice = None if chosen is None else chosen.read(("choice",), PolicyChosen)
    if chosen is None or choice is None:
        return None
    computed, told, sized = (by_kind.get(kind) for kind in ("signal", "told", "sizing"))
    said = computed or told
    path = ("output",) if computed else ("output", "signal")
    return Decision(
        execution_id=chosen.key,
        choice=choice,
        choice_id=chosen.id,
        signal=None if said is None else said.read(path, PolicySignal),
        signal_id="" if said is None else said.id,
        inputs=None if sized is None else sized.read(("inputs",), SizingInputs),
        inputs_id="" if sized is None else sized.id,
        venue="" if sized is None else sized.read(("book", "venue"), str) or "",
        reference="" if computed is None else computed.read(("inputs", "market", "venue"), str) or "",
    )
