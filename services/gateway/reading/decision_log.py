"""`DecisionLog`: how executions were decided, read from their audits once each; a shell.

An audit entry does not change, so what was read of a decision is kept. All that are not known yet are read by
one consumer, each in the stretch of its partition in which it was decided.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from libs.common.kafka import partition_of
from libs.common.time_units import NS_PER_MS, NS_PER_S
from libs.common.topics import EXECUTION_AUDIT
from services.gateway.http.problems import not_ready
from services.gateway.reading.decision_facts import decision_of, entries_of
from services.gateway.reading.kafka_within import kafka_within
from services.gateway.reading.logged import Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from libs.common.events import ExecutionRecord
    from services.gateway.reading.decision_facts import Decision
    from services.gateway.reading.logged import Logged
    from services.gateway.reading.window_log import ReadWindows
    from services.gateway.settings import GatewaySettings

KEPT: Final = 256  # decisions: a symbol has two at most that count, and each is some kB
DECIDED_NS: Final = 60 * NS_PER_S  # after its begin an execution has its size, or none: a step waits 5 s
SLACK_MS: Final = 1_000


@dataclass(eq=False)
class DecisionLog:
    """Reads the decisions of executions."""

    settings: GatewaySettings
    read: ReadWindows
    _known: OrderedDict[str, Decision] = field(default_factory=OrderedDict, init=False)

    async def decisions(self, records: Iterable[ExecutionRecord]) -> Mapping[str, Decision]:
        """Return how these executions were decided so far, by id; without those of which nothing is found.

        Raises
        ------
        ProblemError
            503 if Kafka is away, or the reading takes too long or too many bytes.
        """
        wanted = {record.execution_id: record for record in records}
        missing = [record for name, record in wanted.items() if name not in self._known]
        found = await self._found(missing) if missing else {}
        for name, decision in found.items():
            if wanted[name].status.final or decision.inputs is not None:  # nothing more comes of it
                self._known[name] = decision
        decisions = {name: self._known.get(name) or found.get(name) for name in wanted}
        for name in wanted.keys() & self._known.keys():
            self._known.move_to_end(name)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return {name: decision for name, decision in decisions.items() if decision is not None}

    async def _found(self, records: Sequence[ExecutionRecord]) -> Mapping[str, Decision]:
        seconds = self.settings.lineage_timeout_s
        late = not_ready(f"Kafka did not give the decisions within {seconds:g} s.")
        async with kafka_within(seconds, late):
            entries = await self.read([self._window(record) for record in records])
        chains: defaultdict[str, list[Logged]] = defaultdict(list)
        for entry in entries:
            chains[entry.key].append(entry)
        decisions = {
            record.execution_id: decision_of(entries_of(chains[record.execution_id])) for record in records
        }
        return {name: decision for name, decision in decisions.items() if decision is not None}

    def _window(self, record: ExecutionRecord) -> Window:
        key = record.execution_id.encode()
        begin, end = record.created_ts, min(record.ts, record.created_ts + DECIDED_NS)
        return Window(
            EXECUTION_AUDIT,
            partition_of(key, self.settings.topic_partitions),
            begin // NS_PER_MS - SLACK_MS,
            end // NS_PER_MS + SLACK_MS,
            key,
        )
