"""Policies come, change, break, signal from outside and go under load, while processes are killed.

What the system then says on its topics is checked against its documents: executions end once, and each
version is taught what its own decisions earned, once. What hosted policies signalled all the while is made
again from the log. ``POLICY_KILLS`` (default 6) makes it longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import runpy
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import pytest_asyncio
from msgspec.structs import replace

from libs.common.audit_chain import broken_links
from libs.common.events import (
    AuditEntry,
    CommandRejected,
    ExecutionPlanned,
    PolicyRegistered,
    PolicyState,
    RewardPolicy,
)
from libs.common.kafka import Publisher, read
from libs.common.market_views import MarketViews
from libs.common.settings import ServiceSettings
from libs.common.topics import (
    EXECUTION_AUDIT,
    EXECUTION_PLANS,
    EXECUTION_RECORDS,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    ROUTER_CHOICES,
    ROUTER_COMMANDS,
    ROUTER_SNAPSHOTS,
)
from libs.policies.described import version_of
from services.execution.audit.rerun import rerun
from services.policies.settings import PoliciesSettings
from tests import kafka_cluster
from tests.cut_log import all_taped, differences, holes
from tests.e2e.policy_lives import PATIENCE_S, SCOPE, SEED, STAYS, VICTIMS, Run, refuse
from tests.e2e.system import System, until
from tests.policy_lessons import lessons_of
from tests.whole_records import whole_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from libs.common.events import Event
    from libs.common.kafka import Record
    from libs.common.topics import Topic

KILLS = int(os.environ.get("POLICY_KILLS", "6"))
SERVICES: Final = ("services.venues", "services.portfolio", *VICTIMS)
AGAIN: Final = 1_000  # signals are made again
MOVED: Final = 20  # of them of each version, with the log cut a little later
NO_DIGITS: Final = str.maketrans("", "", "0123456789.")

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300 + 15 * KILLS)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Run]:
    """Run it all; what remains are the topics."""
    kafka_cluster.wipe(kafka)
    folder = tmp_path_factory.mktemp("lives")
    for name in ("policies", "sources"):
        (folder / name).mkdir()
    environment = {
        "POLICIES_DIR": str(folder / "policies"),
        "POLICIES_RATE_PER_S": "10",
        "POLICIES_STARTS_PER_S": "20",
        "POLICIES_EXTERNAL_KEEP_S": "4",
        "ROUTER_POLICIES": "p_flat p_sma",
        "ROUTER_EPSILON": "0.7",  # so that each is chosen soon
        "EXECUTION_HORIZON_S": "8",
        "EXECUTION_S_MAX": "0.02",  # orders that their books take at once
        "EXECUTION_STEP_TIMEOUT_S": "300",
        "EXECUTION_PATIENCE_S": "15",
        "EXECUTION_ALLOW_SHORT": "true",
    }
    settings = ServiceSettings(kafka_bootstrap_servers=kafka)
    async with (
        System(kafka, folder, **environment) as system,
        Publisher(settings, compress=False) as publisher,
    ):
        system.start(*SERVICES)
        await system.ready()
        found = Run(system, publisher, settings, KILLS)
        endless = [
            asyncio.create_task(work)
            for work in (found.listen(), found.follow(), found.load(), found.signal())
        ]
        try:
            async with asyncio.timeout(240 + 15 * KILLS), asyncio.TaskGroup() as group:
                group.create_task(found.kill())
                group.create_task(found.live())
            found.flows.clear()
            endless[-1].cancel()  # the policy from outside is silent from now on
            await until("all is paid and gone", found.settled, PATIENCE_S)
            found.note("settled")
        finally:
            for task in endless:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
    yield found


async def test_each_execution_ends_once_and_what_it_decided_is_made_again(run: Run) -> None:
    asked = Counter(e.command_id for e in await _log(run, ROUTER_COMMANDS))
    assert set(asked.values()) == {1}
    answers = await _log(run, EXECUTION_PLANS)
    answered = Counter(e.command_id for e in answers if isinstance(e, ExecutionPlanned | CommandRejected))
    assert answered == Counter(run.names)
    refused = {e.command_id for e in answers if isinstance(e, CommandRejected)}
    records = {each.execution_id: each for each in whole_records(await _log(run, EXECUTION_RECORDS))}
    chains = await _chains(run)
    assert set(records) == set(chains) == set(run.names) - refused
    made = 0
    for name, chain in chains.items():
        assert records[name].status.final
        assert broken_links(chain) == []
        assert [entry.kind for entry in chain].count("ended") == 1
        assert chain[-1].hash == records[name].audit.head
        again = rerun(chain)
        assert (again.differences, again.others) == ((), ())
        made += again.decisions
    ended = Counter(str(record.status) for record in records.values())
    facts = {
        "kills": dict(run.kills),
        "executions": len(records),
        "refused": len(refused),
        "made again": made,
    }
    print(facts | {"ended": dict(ended), "seconds": run.seconds})  # noqa: T201 -- seen with -s
    assert ended["completed"] > len(records) / 10


async def test_each_version_is_taught_once_what_its_own_decisions_earned(run: Run) -> None:
    lessons = lessons_of(
        SCOPE, await _records(run, ROUTER_COMMANDS, ROUTER_CHOICES, ROUTER_SNAPSHOTS, POLICIES_REGISTRY)
    )
    print(dict(lessons.facts))  # noqa: T201 -- seen with -s
    assert set(lessons.rewarded) == set(lessons.decisions), "each decision is paid, or void"
    chains = await _chains(run)
    chosen = {
        payload["choice"]["command_id"]: name
        for name, chain in chains.items()
        for payload in _payloads(chain, "policy_chosen")
    }
    assert set(chosen) == set(lessons.decisions)
    commands = await _log(run, ROUTER_COMMANDS)
    void = {e.decision_id: e for e in commands if isinstance(e, RewardPolicy) and e.void}
    traded = 0
    for decision_id, decision in lessons.decisions.items():
        told = _payloads(chains[chosen[decision_id]], "told")
        assert (decision_id in void) == any(each["output"]["signal"] is None for each in told)
        for each in told:
            if decision_id not in void and each["inputs"]["policy"]["kind"] == "user":
                assert each["inputs"]["signal"]["version"] == decision.chosen.policy_version
                traded += 1
    why = Counter(each.void.partition(": ")[2].translate(NO_DIGITS) for each in void.values())
    print({"acted on a hosted signal": traded, "void": dict(why)})  # noqa: T201 -- likewise
    assert traded
    for what in ("began anew", "went on", "counted", "void", "of a version before", "retired or taken back"):
        assert lessons.facts[what], (what, lessons.facts)


async def test_the_registry_is_the_folder_and_no_signal_of_what_is_gone_is_left(run: Run) -> None:
    last: dict[Topic, dict[bytes, Event]] = {POLICIES_REGISTRY: {}, POLICIES_SIGNALS: {}}
    ends = Counter[bytes]()
    for record in await _records(run, *last):
        ends[record.key] += record.event is None and record.topic is POLICIES_REGISTRY
        last[record.topic].pop(record.key, None)
        if record.event is not None:
            last[record.topic][record.key] = record.event
    assert ends[b"x_desk"], "the policy from outside was never registered"
    assert ends[b"passes"]
    entries = [each for each in last[POLICIES_REGISTRY].values() if isinstance(each, PolicyRegistered)]
    hosted = {each.policy_id: (each.version, each.state) for each in entries if each.kind != "builtin"}
    folder = {name: (run.folder / f"{name}.py").read_bytes() for name in STAYS}
    assert {path.stem for path in run.folder.glob("*.py")} == set(STAYS)
    assert hosted == {name: (version_of(source), STAYS[name]) for name, source in folder.items()}
    signals = {key.partition(b":")[0].decode() for key in last[POLICIES_SIGNALS]}
    assert signals == {name for name, state in STAYS.items() if state is PolicyState.RUNNING}


async def test_what_hosted_policies_said_is_what_the_log_cut_at_their_instant_gives(run: Run) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        made = other.submit(made_again, run.system.kafka, str(run.sources))
        said, again, different, moved = await asyncio.wrap_future(made)
    print({"said": said, "made again": again, "different": len(different), "cut elsewhere": moved})  # noqa: T201 -- likewise
    assert different == []
    assert again == min(said, AGAIN)
    assert again >= AGAIN / 4
    assert moved > 0.5, "the cut makes no difference"


def made_again(kafka: str, sources: str) -> tuple[int, int, list[str], float]:
    """Make a sample of all signals again; called in another process, which knows the topics alone.

    Returns
    -------
    tuple
        How many there were, how many were made again, in words which came out otherwise, and what share does
        so where the log is cut a little later.
    """
    settings, hosting = ServiceSettings(kafka_bootstrap_servers=kafka), PoliciesSettings()

    def views() -> MarketViews:
        return MarketViews(hosting.reference_venue, hosting.minutes, hosting.days)

    records, signals = asyncio.run(all_taped(settings, views))
    assert holes(records) == [], "the tape is not whole"
    sample = random.Random(SEED).sample(signals, min(AGAIN, len(signals)))
    different: list[str] = []
    moved = found = 0
    for version in sorted({each.version for each in sample}):
        policy = runpy.run_path(str(Path(sources, f"{version}.py")))["POLICY"]
        mine = [each for each in sample if each.version == version]
        later = [
            replace(each, seen={name: end + 4 for name, end in each.seen.items()}) for each in mine[:MOVED]
        ]
        different += differences(records, mine, policy, views, settings.topic_partitions)
        moved += len(later)
        found += len(differences(records, later, policy, views, settings.topic_partitions))
    return len(signals), len(sample), different, found / moved


def _payloads(chain: list[AuditEntry], kind: str) -> list[dict[str, Any]]:
    return [json.loads(entry.payload) for entry in chain if entry.kind == kind]


async def _chains(run: Run) -> dict[str, list[AuditEntry]]:
    chains: dict[str, list[AuditEntry]] = {}
    for entry in await _log(run, EXECUTION_AUDIT):
        chains.setdefault(entry.execution_id, []).append(entry)
    return chains


async def _log(run: Run, *topics: Topic) -> list[Any]:
    return [record.event for record in await _records(run, *topics)]


async def _records(run: Run, *topics: Topic) -> list[Record]:
    found: list[Record] = []
    async with aclosing(read(run.settings, topics, on_undecodable=refuse, stop_at_end=True)) as batches:
        async for batch in batches:
            found += batch
    return found
