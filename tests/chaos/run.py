"""One chaos run from nothing to its outcome, with every process ended afterwards."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tests.chaos.campaign import Campaign
from tests.chaos.choices import Choices
from tests.chaos.conditions import conditions
from tests.chaos.follower import Follower
from tests.chaos.readiness import Readiness
from tests.chaos.report import Outcome, rows
from tests.chaos.schedule import schedule
from tests.chaos.truth import Comparer
from tests.chaos.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

WORKERS: Final = 2
RATE: Final = 1500.0  # messages/s of the simulated exchanges


async def run(
    folder: Path,
    *,
    seconds: float,
    seed: int,
    say: Callable[[str], None],
    workers: int = WORKERS,
    rate: float = RATE,
    levels: int = 0,
) -> Outcome:
    """Start a system, bring `seconds` of faults over it, and return what came of it.

    Parameters
    ----------
    folder
        Is there already; takes the schedule, the logs of the processes, and every wrong book in full.
    """
    began = time.gmtime()
    with tempfile.TemporaryDirectory(prefix="bookrunner-chaos-") as kafka_folder:
        async with World(folder, Path(kafka_folder), workers, rate, levels) as world:
            faults = (*schedule(seed, seconds, world.books, workers), *conditions(seed, seconds, world.books))
            actions = sorted(faults, key=lambda action: action.at_s)
            (folder / "schedule.json").write_bytes(msgspec.json.format(msgspec.json.encode(actions)))
            say(f"seed {seed}: {len(actions)} faults over {len(world.books)} books, Kafka on {world.kafka}")
            async with Follower(world.kafka) as follower:
                comparer = Comparer(world, follower, folder)
                choices = Choices(world)
                campaign = Campaign(world, follower, comparer, Readiness(world), choices, actions, say)
                await campaign.run(seconds)
                replicas = follower.replicas.values()
                return Outcome(
                    run=time.strftime("%Y%m%dT%H%M%SZ", began),
                    seed=seed,
                    seconds=seconds,
                    books=len(world.books),
                    workers=workers,
                    rate=rate,
                    rows=rows(campaign.done),
                    live_after_s=round(campaign.live_after_s, 3),
                    ready_after_s=round(campaign.ready_after_s, 3),
                    choices_asked=choices.asked,
                    choices_answered=choices.answered,
                    not_reached=campaign.not_reached,
                    records=follower.records,
                    epochs=sum(replica.epochs for replica in replicas),
                    keyframes_equal=sum(replica.keyframes_equal for replica in replicas),
                    late_records=sum(replica.late for replica in replicas),
                    compared_running=dict(sorted(comparer.running.items())),
                    compared_paused=comparer.paused,
                    compared_gateway=comparer.gateway,
                    unanswered=comparer.unanswered,
                    wrong=tuple(comparer.wrong),
                    broken=tuple(follower.broken),
                    failed=tuple(campaign.failed),
                    ended=tuple(world.ended),
                )
