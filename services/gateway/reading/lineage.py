"""The way of an execution from a book's change to what was learnt, joined from its audit and the logs; pure.

The audit entries hold what was decided, and of what. Each stage names the record of the topic on which the
same was told; where that is not kept any more, its audit entry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from libs.common import events, topics
from libs.common.time_units import NS_PER_MS
from services.gateway.reading.decision_facts import decision_of, entries_of
from services.gateway.reading.gate import number
from services.gateway.reading.logged import Window
from services.gateway.reading.stage import LineageAnswer, RecordRef, Stage
from services.gateway.stream.sse import json_ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from libs.common.events import ExecutionRecord
    from libs.common.topics import Topic
    from services.gateway.reading.decision_facts import Decision, Entry
    from services.gateway.reading.logged import Logged

SLACK_MS: Final = 1_000  # around a time at which something was told


@dataclass(eq=False)
class Lineage:
    """An execution's audit, what was found in the logs, and the stages of both.

    Parameters
    ----------
    chain
        Its audit entries as they stand on their topic, in order; at least one.
    record
        The execution as it stands; None: it is older than those that are held.
    record_id
        Where that stands; empty: not known.
    """

    execution_id: str
    chain: Sequence[Logged]
    record: ExecutionRecord | None = None
    record_id: str = ""
    _found: dict[tuple[str, Any], Logged] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.entries = entries_of(self.chain)
        self.decision: Decision | None = decision_of(self.entries)

    @property
    def symbol(self) -> str:
        """Which symbol it is of; empty if its first entry does not say so."""
        return self.entries[0].read(("symbol",), str) or ""

    def windows(self, partition: int) -> list[Window]:
        """Return where in the logs its records may stand; all of a symbol stand in one partition."""
        return [each for each in self._windows(partition) if each.begin_ms > 0]

    def _windows(self, partition: int) -> Iterator[Window]:
        def around(topic: Topic, key: str | None, *times_ns: int) -> Window:
            begin, end = (each(times_ns) // NS_PER_MS for each in (min, max))
            wanted = None if key is None else key.encode()
            return Window(topic, partition, begin - SLACK_MS, end + SLACK_MS, wanted)

        book = self._book
        if book is not None:
            seen_ns = _number_of(book.payload["book"].get("receivedMs")) * NS_PER_MS
            key = f"{book.payload['book'].get('venue')}:{self.symbol}"
            yield around(topics.L2_BOOK_DELTAS, key, seen_ns)
            yield around(topics.L2_BOOK_TOPS, key, seen_ns)
        if self.decision is not None:
            yield around(topics.ROUTER_CHOICES, None, self.decision.choice.ts)
        for kind, topic in (
            ("sizing", topics.EXECUTION_SIZINGS),
            ("venue_scored", topics.VENUES_SCORES),
            ("plan", topics.EXECUTION_PLANS),
            ("split", topics.EXECUTION_PLANS),
            ("order_submitted", topics.EXECUTION_ORDERS),
            ("fill", topics.EXECUTION_FILLS),
        ):
            times = [entry.ts for entry in self._of(kind)]
            if times:
                yield around(topic, self.symbol, *times)
        for entry in self._of("rewarded"):
            yield around(topics.ROUTER_CHOICES, None, entry.ts)

    def take(self, records: Iterable[Logged]) -> None:
        """Note what was found in the windows."""
        for record in records:
            for name in _names(record.event):
                self._found.setdefault(name, record)

    def answer(self) -> LineageAnswer:
        """Return the stages that it has come to."""
        before = (*self._seen(), *self._chosen(), *self._sized(), *self._scored(), *self._planned())
        stages = (*before, *self._worked(), *self._ended(), *self._cost(), *self._taught())
        fills = [entry.read(("fill", "exec_id"), str) for entry in self._of("fill")]
        return LineageAnswer(
            execution_id=self.execution_id, stages=stages, fills=tuple(each for each in fills if each)
        )

    def _of(self, *kinds: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in kinds]

    @property
    def _book(self) -> Entry | None:
        """The first entry that tells which book was used."""
        return next((each for each in self.entries if isinstance(each.payload.get("book"), dict)), None)

    def _ref(self, entry: Entry | None, *names: tuple[str, Any]) -> RecordRef | None:
        """Return the first of these records that was found, else the audit entry."""
        for name in names:
            record = self._found.get(name)
            if record is not None:
                return RecordRef(id=record.id, topic=record.topic, key=record.key)
        if entry is None:
            return None
        return RecordRef(id=entry.id, topic=topics.EXECUTION_AUDIT.name, key=entry.key)

    def _seen(self) -> Iterator[Stage]:
        """Yield the book of the decision, and what was seen in it."""
        entry = self._book
        if entry is None:
            return
        book = dict(entry.payload["book"])
        at = (book.get("venue"), book.get("epoch"), book.get("seq"))
        received_ms = _number_of(book.get("receivedMs"))
        mids = self.entries[0].payload.get("mids", {})
        yield Stage(
            stage="book",
            ts=received_ms,
            words=f"the book of {at[0]} at seq {at[2]} of epoch {at[1]}: what was decided was decided on it",
            record=self._ref(entry, ("delta", at), ("top", at)),
            data={"venue": at[0], "epoch": at[1], "seq": at[2], "receivedTs": received_ms, "mids": mids},
        )
        if self.decision is None:
            return
        choice = self.decision.choice
        features = next(
            (
                found
                for each in self._of("signal")
                if (found := each.read(("inputs", "market", "features"), events.Features))
            ),
            None,
        )
        told = "" if features is None else f"mid {features.mid:.10g}, imbalance {features.obi:+.3f}; "
        missing = f", {len(choice.missing)} are missing" if choice.missing else ""
        yield Stage(
            stage="features",
            ts=choice.ts // NS_PER_MS,
            words=f"{told}{len(choice.inputs)} inputs were known to the router{missing}",
            record=self._ref(None, ("top", at), ("choice", choice.command_id)) or self._ref(entry),
            data={
                "book": None if features is None else json_ready(features),
                "mids": mids,
                "inputs": choice.inputs,
                "vector": choice.features,
                "filled": choice.filled,
                "missing": choice.missing,
            },
        )

    def _chosen(self) -> Iterator[Stage]:
        if self.decision is None:
            return
        choice = self.decision.choice
        (entry,) = self._of("policy_chosen")[:1]
        how = (
            "drawn by the uniform part of the mixture"
            if choice.explored
            else "its sampled score was the best"
        )
        yield Stage(
            stage="choice",
            ts=choice.ts // NS_PER_MS,
            words=f"{choice.policy_id} was chosen among {len(choice.scores)}, with a probability of"
            f" {choice.propensity:.3g}: {how}, {number(choice.score)}",
            record=self._ref(entry, ("choice", choice.command_id)),
            data=json_ready(choice),
        )

    def _sized(self) -> Iterator[Stage]:
        signal = None if self.decision is None else self.decision.signal
        for entry in self._of("sizing"):
            sizing = entry.read(("output",), events.SizingSnapshot)
            if sizing is None:
                continue
            wanted = "" if signal is None else f" ({signal.reason})"
            target = f"{number(sizing.signal)}{wanted}, certainty {number(sizing.sigmoid)}, volatility scale"
            cut = f", cut by the {sizing.binding} cap" if sizing.binding else ""
            order = f"{sizing.side} {sizing.qty:f}" if sizing.side else f"no order: {sizing.reason}"
            yield Stage(
                stage="sizing",
                ts=entry.ts // NS_PER_MS,
                words=f"signal {target} {number(sizing.vol_scale or 0.0)}{cut}: {order}",
                record=self._ref(entry, ("sizing", sizing.execution_id)),
                data=json_ready(sizing) | {"policySignal": None if signal is None else json_ready(signal)},
            )

    def _scored(self) -> Iterator[Stage]:
        for entry in self._of("venue_scored"):
            scored = entry.read(("scored",), events.VenueScored)
            if scored is None:
                continue
            among = sum(each.eligible for each in scored.candidates)
            reasons = "; ".join(scored.reasons)
            yield Stage(
                stage="venues",
                ts=scored.ts // NS_PER_MS,
                words=f"{scored.venue} costs least of {among} venues, {number(-scored.score)} bps: {reasons}",
                record=self._ref(entry, ("scored", scored.command_id)),
                data=json_ready(scored),
            )

    def _planned(self) -> Iterator[Stage]:
        made = self._of("plan", "split")
        if not made:
            return
        entry, plan = made[-1], None if self.record is None else self.record.plan
        plan = plan or next(
            (found for each in made if (found := each.read(("output",), events.ExecutionPlan))), None
        )
        legs = () if self.record is None else self.record.legs
        split = "" if self.record is None else self.record.split_reason
        words = (
            "split over venues"
            if plan is None
            else f"{plan.style}: {len(plan.slices)} children, {plan.size:f}"
        )
        yield Stage(
            stage="plan",
            ts=made[0].ts // NS_PER_MS,
            words=f"{words}; {split}" if split else words,
            record=self._ref(entry, ("planned", self.execution_id)),
            data=({} if plan is None else json_ready(plan))
            | {"legs": [json_ready(leg) for leg in legs], "splitReason": split},
        )

    def _worked(self) -> Iterator[Stage]:
        """Yield each child as it became, followed by its fills."""
        newest: dict[str, events.PaperOrder] = {}
        children: dict[str, Entry] = {}
        fills: dict[str, list[tuple[Entry, events.OrderFilled]]] = {}
        for entry in self.entries:
            order = entry.read(("order",), events.PaperOrder) if entry.kind.startswith("order_") else None
            if order is not None:
                newest[order.cl_ord_id] = order
                children.setdefault(order.cl_ord_id, entry)
            fill = entry.read(("fill",), events.OrderFilled) if entry.kind == "fill" else None
            if fill is not None:
                fills.setdefault(fill.cl_ord_id, []).append((entry, fill))
        for told in () if self.record is None else self.record.orders:
            newest[told.cl_ord_id] = told
        for name, entry in children.items():
            yield self._child(entry, newest[name])
            for said, fill in fills.get(name, ()):
                yield self._fill(said, fill)

    def _child(self, entry: Entry, order: events.PaperOrder) -> Stage:
        limit = "" if order.price is None else f", limit {order.price:f}"
        text = f": {order.text}" if order.text else ""
        return Stage(
            stage="child",
            ts=order.submitted_ts // NS_PER_MS,
            words=f"{order.side} {order.order_qty:f} at {order.venue}{limit}, seen at seq {order.seq}; "
            f"{order.ord_status}{text}",
            record=self._ref(entry, ("order", order.cl_ord_id)),
            data=json_ready(order),
        )

    def _fill(self, entry: Entry, fill: events.OrderFilled) -> Stage:
        return Stage(
            stage="fill",
            ts=fill.ts // NS_PER_MS,
            words=f"{fill.last_qty:f} at {fill.last_px:f} on {fill.venue}, fee {fill.fee:f}; expected"
            f" {fill.expected_px:.10g}, the mid was {fill.mid:.10g}",
            record=self._ref(entry, ("fill", fill.exec_id)),
            data=json_ready(fill),
        )

    def _ended(self) -> Iterator[Stage]:
        """Yield the end where there is a reason for it."""
        for entry in self._of("ended"):
            status, reason = str(entry.payload.get("step", "")), str(entry.payload.get("reason", ""))
            if reason:
                yield Stage(
                    stage="ended",
                    ts=entry.ts // NS_PER_MS,
                    words=f"{status}: {reason}",
                    record=self._own() or self._ref(entry),
                    data={"status": status, "reason": reason},
                )

    def _cost(self) -> Iterator[Stage]:
        entries = self._of("shortfall")
        legs = [(each, each.read(("output",), events.ShortfallBps)) for each in entries]
        by_venue = {str(each.payload.get("venue", "")): json_ready(cost) for each, cost in legs if cost}
        total = None if self.record is None else self.record.shortfall
        if total is None and len(legs) == 1:
            total = legs[0][1]
        if total is None:
            return
        yield Stage(
            stage="shortfall",
            ts=entries[0].ts // NS_PER_MS if entries else 0,
            words=f"{number(total.total_bps)} bps of the value at the decision: delay"
            f" {number(total.delay_bps)}, impact {number(total.impact_bps)}, opportunity"
            f" {number(total.opportunity_bps)}, fees {number(total.fees_bps)}",
            record=self._own() or self._ref(entries[0] if entries else None),
            data=json_ready(total) | {"legs": by_venue},
        )

    def _taught(self) -> Iterator[Stage]:
        """Yield what was learnt; nothing while the window of the decision is open."""
        outcome = None if self.record is None else self.record.reward
        earned, told = self._of("earned"), self._of("rewarded")
        answer = next(
            (found for each in told if (found := each.read(("answer",), events.PolicyRewarded))), None
        )
        entry = next(iter((*told, *earned)), None)
        if entry is None and outcome is None:
            return
        value = answer.reward if answer is not None else None if outcome is None else outcome.reward
        if value is None and earned:
            value = earned[0].read(("output", "reward"), float)
        said = (
            "nothing was taught" if value is None else f"{number(value)} was earned, and told to the router"
        )
        when = entry.ts if entry is not None else self.record.ts if self.record is not None else 0
        decision_id = None if self.decision is None else self.decision.choice.command_id
        yield Stage(
            stage="reward",
            ts=when // NS_PER_MS,
            words=said if outcome is None else f"{said}: {outcome.reason}",
            record=self._ref(None, ("rewarded", decision_id)) or self._own() or self._ref(entry),
            data={"outcome": None if outcome is None else json_ready(outcome)}
            | {"answer": None if answer is None else json_ready(answer)},
        )

    def _own(self) -> RecordRef | None:
        """Return where the execution's own record stands."""
        if not self.record_id:
            return None
        return RecordRef(id=self.record_id, topic=topics.EXECUTION_RECORDS.name, key=self.execution_id)


def _number_of(value: object) -> int:
    return value if isinstance(value, int) else 0


def _names(event: object) -> Iterator[tuple[str, Any]]:
    """Yield what a record is looked up by."""
    match event:
        case events.BookDelta() | events.BookSnapshot():
            yield "delta", (event.venue, event.epoch, event.seq)
        case events.BookTop():
            yield "top", (event.venue, event.epoch, event.seq)
        case events.PolicyChosen():
            yield "choice", event.command_id
        case events.PolicyRewarded():
            yield "rewarded", event.decision_id
        case events.SizingSnapshot():
            yield "sizing", event.execution_id
        case events.VenueScored():
            yield "scored", event.command_id
        case events.ExecutionPlanned():
            yield "planned", event.command_id
        case events.OrderSubmitted():
            yield "order", event.order.cl_ord_id
        case events.OrderFilled():
            yield "fill", event.exec_id
