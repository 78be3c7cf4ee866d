"""How records are fetched: what has not changed since the fetch before is not said again; a shell.

aiokafka names every partition in every request, and Kafka answers with every partition, however little came:
of 100 partitions that is more than 1 CPU ms, most of what an idle reader costs, and half as much in Kafka. So
each fetcher has a session at each broker (`fetch_protocol`); with a Kafka that has none, all are named again.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import FetchSessionIdNotFound, InvalidFetchSessionEpoch, NoError, for_code
from aiokafka.protocol.fetch import FetchRequest

from libs.common.fetch_protocol import NOBODY, VERSION, Answer, Places, Reply, Session, Terms, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What a fetch leaves out, as its records wait here or it is paused, is asked for when that fetch has ended.
PART_MS: Final = 100


class _Request(FetchRequest):  # type: ignore[misc]  # aiokafka is untyped
    """A request for what is wanted, of which that is said which the broker does not know."""

    def __init__(self, wanted: Places, session: Session, terms: Terms) -> None:
        super().__init__(*terms, [])
        self.wanted = wanted
        self.reply = Reply()
        self._session = session
        self._terms = terms

    @property
    def topics(self) -> list[tuple[str, list[tuple[int, int, int]]]]:
        """What is wanted, of that which the answer names, if there is one."""
        answer = self.reply.answer
        return _by_topic(self.wanted if answer is None else _told(self.wanted, answer))

    def build(self, request_struct_class: type[Any]) -> Any:  # noqa: ANN401 -- aiokafka's
        """Return what a connection sends to a broker that speaks this version."""
        if request_struct_class.API_VERSION == VERSION:
            return Wire(self._session.encoded(self.wanted, self._terms), self.reply)
        self._topics = _by_topic(self.wanted)
        return super().build(request_struct_class)


def _by_topic(places: Places) -> list[tuple[str, list[tuple[int, int, int]]]]:
    topics: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for partition, place in places.items():
        topics[partition.topic].append((partition.partition, *place))
    return list(topics.items())


def _told(wanted: Places, answer: Answer) -> Places:
    named = (TopicPartition(topic, each[0]) for topic, partitions in answer.topics for each in partitions)
    return {partition: wanted[partition] for partition in named}


class _Assigned(NamedTuple):
    """The partitions that a consumer reads, by the broker that leads them."""

    assignment: Any
    metadata: object  # of the cluster; another one with each update
    by_leader: Mapping[int | None, Mapping[TopicPartition, Any]]  # with the state of each


class SessionFetcher(fetcher.Fetcher):  # type: ignore[misc]  # aiokafka is untyped
    """A fetcher with a session at each broker."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 -- aiokafka's
        super().__init__(*given, **named)
        self._assigned = _Assigned(None, None, {})
        self._sessions: dict[int, Session] = {}

    def _states(self, assignment: Any) -> Mapping[int | None, Mapping[TopicPartition, Any]]:  # noqa: ANN401 -- aiokafka's
        cluster = self._client.cluster
        found = self._assigned
        if found.assignment is not assignment:  # nobody holds what was answered to the one before
            for session in self._sessions.values():
                session.renew()
        if found.assignment is not assignment or found.metadata is not cluster._partitions:  # noqa: SLF001 -- aiokafka's
            by_leader: defaultdict[int | None, dict[TopicPartition, Any]] = defaultdict(dict)
            for partition in assignment.tps:
                by_leader[cluster.leader_for_partition(partition)][partition] = assignment.state_value(
                    partition
                )
            self._assigned = _Assigned(assignment, cluster._partitions, by_leader)  # noqa: SLF001 -- as above
        return self._assigned.by_leader

    def _get_actions_per_node(self, assignment: Any) -> Any:  # noqa: ANN401 -- aiokafka's
        """Return the same as aiokafka: requests and resets by node, how long to wait, and for what else."""
        by_leader, buffered = self._states(assignment), self._records
        waits = {
            partition: wait for partition, each in buffered.items() if (wait := each.calculate_backoff())
        }
        delayed = {node: [waits[each] for each in waits if each in led] for node, led in by_leader.items()}
        requests: list[tuple[int, FetchRequest]] = []
        resets: dict[int, list[TopicPartition]] = {}
        resumed: list[asyncio.Future[None]] = []
        leaderless = False
        for node, led in by_leader.items():
            if node in self._in_flight:
                continue
            if node is None or node == NOBODY:
                leaderless = leaderless or any(partition not in buffered for partition in led)
                continue
            wanted: Places = {}
            for partition, state in led.items():
                if partition in buffered:
                    continue
                if not state.has_valid_position:
                    resets.setdefault(node, []).append(partition)
                elif state.paused:
                    resumed.append(state.resume_fut)
                else:
                    wanted[partition] = (state.position, self._max_partition_fetch_bytes)
            if wanted and node not in resets and not delayed[node]:
                requests.append((node, self._request(node, wanted, whole=len(wanted) == len(led))))
        patience = min(
            (max(of_node) for of_node in delayed.values() if of_node), default=self._fetcher_timeout
        )
        return requests, resets, patience, leaderless, resumed

    def _request(self, node: int, wanted: Places, *, whole: bool) -> _Request:
        wait_ms = self._fetch_max_wait_ms if whole else min(self._fetch_max_wait_ms, PART_MS)
        terms = Terms(wait_ms, self._fetch_min_bytes, self._fetch_max_bytes, self._isolation_level)
        return _Request(wanted, self._sessions.setdefault(node, Session()), terms)

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: _Request) -> bool:  # noqa: ANN401 -- aiokafka's
        found: bool = await super()._proc_fetch_request(assignment, node_id, request)
        session, answer = self._sessions[node_id], request.reply.answer
        if answer is None or not assignment.active:  # what Kafka has told, or takes for told, reached nobody
            session.renew()
            return found
        error = for_code(answer.error_code)
        if error is NoError:
            session.go_on(answer.session, request.wanted)
            _note(assignment, request.wanted, answer)
            return found
        session.renew()
        if error not in (FetchSessionIdNotFound, InvalidFetchSessionEpoch):  # it may forget one: see KIP-227
            fetcher.log.warning("Kafka refused a fetch: %s", error.__name__)
            await asyncio.sleep(self._retry_backoff)
        return found


def _note(assignment: Any, asked: Iterable[TopicPartition], answer: Answer) -> None:  # noqa: ANN401 -- aiokafka's
    """Let all partitions be heard of that Kafka has no news of, and no news be lost: it is told once.

    One that Kafka refuses is not heard of.
    """
    heard = set(asked)
    for topic, partitions in answer.topics:
        for number, error_code, end, stable, *_ in partitions:
            partition = TopicPartition(topic, number)
            if error_code:
                heard.discard(partition)
                continue
            state = assignment.state_value(partition)
            state.highwater, state.lso = end, stable
    now_ms = int(1000 * time.time())
    for partition in heard:
        assignment.state_value(partition).timestamp = now_ms
