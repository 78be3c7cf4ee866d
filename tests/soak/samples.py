"""What is looked at again and again: memory and descriptors of processes, the lags they tell, the disk."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import aiohttp
import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from libs.cli.run_folder import RunFolder

MIB: Final = 1024 * 1024
RSS: Final = "RSS MiB"
DESCRIPTORS: Final = "descriptors"
THREADS: Final = "threads"
BEHIND: Final = "messages behind"
LATE: Final = "seconds behind"
FILES: Final = "MiB of other files"
TOPIC: Final = "MiB of a topic"
SUPERVISOR: Final = "supervisor"
ENDS: Final = "ready"  # the program that says so, and is done
LAGS: Final[
    Mapping[str, str]
] = {  # of a process, by the metric that tells it; the worst or the sum of labels
    "bookrunner_l2_publish_lag_seconds": LATE,
    "bookrunner_venues_input_age_seconds": LATE,
    "bookrunner_processor_input_lag_messages": BEHIND,
    "bookrunner_gateway_view_lag_messages": BEHIND,
}
_SAMPLE: Final = re.compile(r"^(bookrunner_\w+)(?:{.*})? (\S+)$", re.MULTILINE)
_SEGMENT: Final = re.compile(r"(.+)-\d+")  # a folder of Kafka's: topic and partition

Series: TypeAlias = tuple[str, str]  # what, and whose


class Sample(msgspec.Struct, frozen=True):
    """One look; `pids` are of the programs that run."""

    at_s: float
    pids: dict[str, int]
    values: list[tuple[str, str, float]]

    def series(self) -> dict[Series, float]:
        """Return the values by what they are."""
        return {(what, whose): value for what, whose, value in self.values}


class Looks:
    """Takes samples of the system of a folder."""

    def __init__(self, folder: RunFolder, gateway: str, http: aiohttp.ClientSession) -> None:
        self._folder = folder
        self._gateway = gateway
        self._http = http

    async def look(self, at_s: float) -> Sample:
        """Return what there is now."""
        pids = {each.name: each.pid for each in self._folder.running() if each.name != ENDS}
        if supervisor := self._folder.supervisor():
            pids[SUPERVISOR] = supervisor
        values = [*_of_processes(pids), *[each async for each in self._lags()], *of_files(self._folder.root)]
        return Sample(at_s, pids, values)

    async def _lags(self) -> AsyncIterator[tuple[str, str, float]]:
        addresses = {"gateway": f"{self._gateway}/metrics"}
        for file in self._folder.metrics.glob("*.json"):
            try:
                (target,) = json.loads(file.read_bytes())
            except (OSError, ValueError):
                continue  # its process has just ended
            addresses[target["labels"]["job"]] = f"http://{target['targets'][0]}/metrics"
        for name, address in addresses.items():
            try:
                async with self._http.get(address) as reply:
                    text = await reply.text()
            except (aiohttp.ClientError, TimeoutError):
                continue  # it is being started again
            for what, value in lags_in(text).items():
                yield what, name, value


def lags_in(exposition: str) -> dict[str, float]:
    """Return what a process says of its lags: the sum of messages, the most of seconds."""
    found: dict[str, float] = {}
    for name, value in _SAMPLE.findall(exposition):
        what = LAGS.get(name)
        if what is not None:
            before = found.get(what, 0.0)
            found[what] = before + float(value) if what == BEHIND else max(before, float(value))
    return found


def _of_processes(pids: Mapping[str, int]) -> Iterator[tuple[str, str, float]]:
    for name, pid in pids.items():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            continue  # it has just ended
        facts = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.MULTILINE))
        if len(facts) == 2:
            yield RSS, name, int(facts["VmRSS"]) / 1024
            yield THREADS, name, float(facts["Threads"])
            yield DESCRIPTORS, name, float(descriptors)


def of_files(root: Path) -> Iterator[tuple[str, str, float]]:
    """Yield the size of each topic's segments, and what all other files but Kafka's indexes take."""
    topics: defaultdict[str, int] = defaultdict(int)
    others = 0
    for folder, _, names in os.walk(root):  # leaves out a folder that has just been removed
        segment = _SEGMENT.fullmatch(Path(folder).name)
        for name in names:
            file = Path(folder) / name
            try:
                if segment is None:
                    others += file.stat().st_size
                elif file.suffix == ".log":
                    topics[segment[1]] += file.stat().st_size
            except OSError:
                continue  # it has just been removed
    yield FILES, "RUN_DIR", others / MIB
    for topic, size in topics.items():
        yield TOPIC, topic, size / MIB
