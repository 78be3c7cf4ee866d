from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from libs.common.events import PolicyState
from libs.common.time_units import NS_PER_S
from tests.e2e.system import until
from tests.policies_world import GOOD, HOSTILE, alive, host, world, write

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the kernel's confinement is Linux"
)

WITHIN_S = 60.0  # all of them; a busy machine is slow
LATE_S = 5.0  # between two signals of a policy that is asked each second


async def test_each_is_quarantined_and_says_how_and_the_good_one_goes_on(
    fresh_kafka: str, tmp_path: Path
) -> None:
    write(
        tmp_path,
        "good",
        "import random\n" + GOOD.replace("market.features.obi", "random.random()"),
        on_tops=True,
    )
    async with world(fresh_kafka) as market:
        seen = market.seen
        with host(fresh_kafka, tmp_path, POLICIES_START_S="1") as hosting:

            async def good() -> bool:
                return seen.is_in("good", PolicyState.RUNNING)

            await until("the good one runs", good, WITHIN_S)
            begun_s = time.time()
            for name, (code, _) in HOSTILE.items():
                write(tmp_path, name, code)

            async def quarantined() -> bool:
                return all(seen.is_in(name, PolicyState.QUARANTINED) for name in HOSTILE)

            await until("all are quarantined", quarantined, WITHIN_S)
            for name, (_, words) in HOSTILE.items():
                entry = seen.entry(name)
                assert entry is not None
                assert words in entry.fault, (name, entry.fault)
                assert not seen.signals_of(name)
                assert entry.source == f"{name}.py"
            moments = [each.inputs_ts / NS_PER_S for each in seen.signals_of("good")]
            apart = [b - a for a, b in zip(moments, [*moments[1:], time.time()], strict=True) if b > begun_s]
            assert max(apart) < LATE_S
            assert len(apart) > 2

            async def only_the_good_one() -> bool:
                return len(hosting.descendants()) == 2

            await until("the zygote and the good one are left", only_the_good_one, WITHIN_S)
            processes = hosting.descendants()
            assert hosting.stop() == 0
            assert alive(processes) == []
            log = (tmp_path / "host.log").read_text()
            assert "a secret of the host" not in log


async def test_a_host_whose_zygote_is_gone_ends_so_that_it_is_started_again(
    fresh_kafka: str, tmp_path: Path
) -> None:
    write(tmp_path, "good", GOOD)
    async with world(fresh_kafka) as market:
        with host(fresh_kafka, tmp_path) as hosting:

            async def good() -> bool:
                return market.seen.is_in("good", PolicyState.RUNNING)

            await until("the good one runs", good, WITHIN_S)
            processes = hosting.descendants()
            os.kill(processes[0], signal.SIGKILL)
            assert hosting.process.wait(20) not in {0, 78}
            assert alive(processes) == []
            assert market.seen.is_in("good", PolicyState.RUNNING), "it broke nothing"


async def test_a_process_of_a_policy_does_not_outlive_a_killed_host(fresh_kafka: str, tmp_path: Path) -> None:
    write(tmp_path, "good", GOOD)
    async with world(fresh_kafka) as market:
        with host(fresh_kafka, tmp_path) as hosting:

            async def good() -> bool:
                return market.seen.is_in("good", PolicyState.RUNNING)

            await until("the good one runs", good, WITHIN_S)
            processes = hosting.descendants()
            assert len(processes) == 2
            hosting.kill()

            async def gone() -> bool:
                return not alive(processes)

            await until("none is left", gone)
