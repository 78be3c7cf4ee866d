from __future__ import annotations

import time
from typing import TYPE_CHECKING

from libs.common.events import PolicySignalled, PolicyState
from libs.common.kafka import partition_of
from libs.common.time_units import NS_PER_S
from libs.common.topics import L2_BOOK_HEALTH, L2_BOOK_TOPS, L2_CANDLES, POLICIES_SIGNALS, signal_key
from libs.policies.described import version_of
from tests.e2e.system import until
from tests.policies_world import GOOD, SYMBOL, alive, host, world, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.policies_world import World


async def test_a_file_becomes_a_policy_changes_and_goes(fresh_kafka: str, tmp_path: Path) -> None:
    async with world(fresh_kafka) as market:
        seen = market.seen
        with host(fresh_kafka, tmp_path, POLICIES_EXTERNAL="false") as hosting:
            write(tmp_path, "mine", GOOD)
            write(tmp_path, "test_mine", GOOD)
            write(tmp_path, "_shared", GOOD)
            write(tmp_path, "p_mine", GOOD)

            async def first() -> bool:
                return seen.is_in("mine", PolicyState.RUNNING)

            await until("it runs", first, 30)
            entry, [signal] = seen.entry("mine"), seen.signals_of("mine")
            assert entry is not None
            assert entry.version == version_of((tmp_path / "mine.py").read_bytes()) == signal.version
            assert (entry.kind, entry.host, entry.joins) == ("user", "policies:0", ("default",))
            assert entry.summary == "does what the test says"
            assert signal.reason == str(signal.inputs_ts), "it saw the market of that moment"
            assert signal.valid_until_ts - signal.inputs_ts == 60 * NS_PER_S
            assert {L2_BOOK_TOPS.name, L2_BOOK_HEALTH.name, L2_CANDLES.name} <= signal.seen.keys()
            partition = partition_of(SYMBOL.encode(), market.settings.topic_partitions)
            [record] = [each for each in seen.records if each.event is signal]
            assert (record.partition, record.key) == (partition, signal_key("mine", SYMBOL))

            await market.minute()

            async def second() -> bool:
                return len(seen.signals_of("mine")) > 1

            await until("a closed minute is a new signal", second, 10)
            assert seen.signals_of("mine")[1].seen[L2_CANDLES.name] > signal.seen[L2_CANDLES.name]

            [_, process] = hosting.descendants()
            write(tmp_path, "mine", GOOD + "# another\n")
            version = version_of((tmp_path / "mine.py").read_bytes())

            async def swapped() -> bool:
                entry = seen.entry("mine")
                return entry is not None and entry.version == version and entry.state is PolicyState.RUNNING

            await until("the other version runs", swapped, 10)
            assert not alive([process])

            (tmp_path / "mine.py").unlink()

            async def gone() -> bool:
                return not seen.registry.items and not seen.signals.items

            await until("entry and signals are deleted", gone, 10)
            assert {each.key for each in seen.records if each.topic is not POLICIES_SIGNALS} == {b"mine"}
            log = (tmp_path / "host.log").read_text()
            assert log.count("policy_refused") == 1
            assert "p_mine" in log
            assert hosting.stop() == 0


async def test_over_a_restart_a_quarantine_stays_and_a_good_one_goes_on(
    fresh_kafka: str, tmp_path: Path
) -> None:
    write(tmp_path, "good", GOOD)
    write(tmp_path, "bad", "def signal(m): raise ValueError('no')")
    write(tmp_path, "left", GOOD)
    async with world(fresh_kafka) as market:
        seen = market.seen

        async def settled() -> bool:
            running = all(seen.is_in(name, PolicyState.RUNNING) for name in ("good", "left"))
            return running and seen.is_in("bad", PolicyState.QUARANTINED)

        with host(fresh_kafka, tmp_path) as hosting:
            await until("all have their state", settled, 30)
            assert hosting.stop() == 0
        assert seen.entry("good") is not None, "they stay registered"
        (tmp_path / "left.py").unlink()
        before = len(seen.signals_of("good"))
        written = sum(each.key == b"bad" for each in seen.records)
        with host(fresh_kafka, tmp_path, POLICIES_KEEP="false") as hosting:

            async def again() -> bool:
                return len(seen.signals_of("good")) > before and seen.entry("left") is None

            await until("the good one goes on, and the one without a file is gone", again, 30)
            assert seen.is_in("bad", PolicyState.QUARANTINED)
            assert sum(each.key == b"bad" for each in seen.records) == written, "it was not run again"
            assert hosting.stop() == 0

            async def nothing() -> bool:
                return not seen.registry.items and not seen.signals.items

            await until("a host that keeps nothing deletes all", nothing, 10)


async def test_a_policy_from_outside_is_registered_by_its_first_valid_signal(
    fresh_kafka: str, tmp_path: Path
) -> None:
    async def tell(market: World, policy_id: str, ahead_s: float) -> None:
        ts = time.time_ns() + round(ahead_s * NS_PER_S)
        told = PolicySignalled(
            policy_id=policy_id, symbol=SYMBOL, value=0.5, inputs_ts=ts, valid_until_ts=ts + 60 * NS_PER_S
        )
        await market.publisher.send(POLICIES_SIGNALS, signal_key(policy_id, SYMBOL), told, time.time_ns())

    async with world(fresh_kafka) as market:
        with host(fresh_kafka, tmp_path) as hosting:
            await tell(market, "x_early", 30)
            await tell(market, "mine", 0)
            await tell(market, "x_mine", 0)

            async def registered() -> bool:
                return market.seen.entry("x_mine") is not None

            await until("it is registered", registered, 30)
            assert market.seen.registry.items.keys() == {b"x_mine"}
            assert hosting.stop() == 0


async def test_a_policy_of_an_installed_package_is_hosted(fresh_kafka: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    info = site / "strategies-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strategies\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bookrunner.policies]\ntrend = strategies.trend\n")
    package = site / "strategies"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "size.py").write_text("SIZE = 0.25\n")
    (package / "trend.py").write_text(
        "from bookrunner import Policy, Signal\nfrom .size import SIZE\n"
        "POLICY = Policy(signal=lambda market: Signal(SIZE, ''), summary='packaged')\n"
    )
    async with world(fresh_kafka) as market:
        with host(fresh_kafka, tmp_path, POLICIES_DIR="", PYTHONPATH=str(site)) as hosting:

            async def running() -> bool:
                return market.seen.is_in("trend", PolicyState.RUNNING)

            await until("it runs", running, 30)
            entry, [signal] = market.seen.entry("trend"), market.seen.signals_of("trend")
            assert entry is not None
            assert entry.source == "strategies.trend:POLICY"
            assert signal.value == 0.25
            assert hosting.stop() == 0


async def test_a_folder_that_is_not_there_is_said_in_words(fresh_kafka: str, tmp_path: Path) -> None:
    with host(fresh_kafka, tmp_path, POLICIES_DIR=str(tmp_path / "nowhere")) as hosting:
        assert hosting.process.wait(30) == 78  # EX_CONFIG
    log = (tmp_path / "host.log").read_text()
    assert "POLICIES_DIR names no folder" in log
    assert "nowhere" not in log
