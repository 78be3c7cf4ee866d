"""Whether a policy keeps its contract, found out on generated markets in the sandbox; for `policy check`.

Nothing of the policy is run in this process. What is found is said as findings, in the order of the checks;
the first that fails for good ends them.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
from numpy.random import Generator, Philox

from libs.policies.described import id_fault
from libs.policies.generated_markets import SYMBOL, cases
from libs.policies.loading import Source, UnreadableSourceError, read_source
from libs.policies.process import BrokenPolicyError
from libs.policies.sandbox import MIB, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path

    from libs.policies.described import Described
    from libs.policies.generated_markets import Case
    from libs.policies.process import PolicyProcess

DEADLINE_S: Final = 1.0  # of one signal
LOAD_S: Final = 10.0
MEMORY_MIB: Final = 512
MOST_TIME: Final = 0.5  # of the deadline: what takes longer here may be late where others run beside it
OTHER_CLOCK_S: Final = 10_000_019  # 115 days and 17 hours

Signals = list[tuple[float, str]]


class Finding(NamedTuple):
    """What one check found."""

    name: str
    ok: bool
    words: str


class DescribedPolicy(NamedTuple):
    """A policy as its file describes it."""

    policy: Described
    version: str


def check_policy(path: Path, policy_id: str) -> Iterable[Finding]:
    """Return what is found of a policy in a file: whether it keeps its contract, check by check.

    The checks: its name; that it loads; that it answers each generated market with a valid signal, in time
    and in memory; that it answers alike when asked again, in another order (the later markets first, which
    only one that looks ahead minds), and in another process with another clock and other hashes; that it
    opens no file when it is asked.
    """
    return asyncio.run(findings(path, policy_id))


def describe(path: Path) -> DescribedPolicy:
    """Return what a file says of its policy, which is run in the sandbox for that.

    Raises
    ------
    UnreadableSourceError
        If the file cannot be read.
    BrokenPolicyError
        If it does not load.
    """
    return asyncio.run(_describe(path))


async def _describe(path: Path) -> DescribedPolicy:
    source = read_source(path)
    async with Sandbox(memory_mib=MEMORY_MIB) as sandbox, _process(sandbox, source) as process:
        return DescribedPolicy(await process.load(source, LOAD_S), source.version)


async def findings(path: Path, policy_id: str) -> list[Finding]:
    """Return what `check_policy` does."""
    fault = id_fault(policy_id)
    found = [Finding("name", not fault, fault or f"{policy_id} may be a policy's name")]
    try:
        source = read_source(path)
    except UnreadableSourceError as error:
        return [*found, Finding("loads", ok=False, words=str(error))]
    async with (
        Sandbox(memory_mib=MEMORY_MIB) as sandbox,
        Sandbox(memory_mib=MEMORY_MIB, hash_seed=1) as other,
    ):
        return found + await _Check(source, sandbox, other).run()


@asynccontextmanager
async def _process(sandbox: Sandbox, source: Source) -> AsyncIterator[PolicyProcess]:
    process = await sandbox.start(source.path.parent)
    try:
        yield process
    finally:
        await process.end()


class _Check:
    """One run of the checks on one source."""

    def __init__(self, source: Source, sandbox: Sandbox, other: Sandbox) -> None:
        self._source = source
        self._sandbox = sandbox
        self._other = other
        self._seconds: list[float] = []

    async def run(self) -> list[Finding]:
        found: list[Finding] = []
        async with _process(self._sandbox, self._source) as process:
            try:
                said, load_s = await self._load(process)
            except BrokenPolicyError as error:
                return [Finding("loads", ok=False, words=error.fault)]
            words = f"{load_s * 1e3:.0f} ms, version {self._source.version}"
            found.append(Finding("loads", ok=True, words=words))
            before, asked = process.peak_bytes(), cases(said.symbols[0] if said.symbols else SYMBOL)
            try:
                signals = await self._ask(process, asked, range(len(asked)))
            except BrokenPolicyError as error:
                return [*found, Finding("signals", ok=False, words=error.fault)]
            found.append(Finding("signals", ok=True, words=_spread(signals)))
            found += [self._time(), _memory(before, process.peak_bytes())]
            found.append(await self._again(process, asked, signals))
        found.append(await self._look_ahead(asked, signals))
        found.append(await self._elsewhere(asked, signals))
        return found

    async def _load(self, process: PolicyProcess, clock_s: int = 0) -> tuple[Described, float]:
        begun_s = perf_counter()
        said = await process.load(self._source, LOAD_S, clock_s=clock_s, watched=True)
        return said, perf_counter() - begun_s

    async def _ask(self, process: PolicyProcess, asked: Sequence[Case], order: Iterable[int]) -> Signals:
        """Return the signals on the markets, by their places, whatever the order of asking."""
        found: dict[int, tuple[float, str]] = {}
        for place in order:
            market, begun_s = msgspec.msgpack.encode(asked[place].market), perf_counter()
            try:
                found[place] = await process.evaluate(market, DEADLINE_S)
            except BrokenPolicyError as error:
                first, _, rest = error.fault.partition("\n")
                raise BrokenPolicyError(f"{first} (on {asked[place].name})\n{rest}".strip()) from error
            self._seconds.append(perf_counter() - begun_s)
        return [found[place] for place in range(len(asked))]

    async def _again(self, process: PolicyProcess, asked: Sequence[Case], before: Signals) -> Finding:
        order = Generator(Philox(key=7)).permutation(len(asked)).tolist()
        return await self._compared("repeats", process, asked, order, before)

    async def _look_ahead(self, asked: Sequence[Case], before: Signals) -> Finding:
        return await self._anew(
            "look-ahead", self._sandbox, 0, asked, list(reversed(range(len(asked)))), before
        )

    async def _elsewhere(self, asked: Sequence[Case], before: Signals) -> Finding:
        return await self._anew("elsewhere", self._other, OTHER_CLOCK_S, asked, range(len(asked)), before)

    async def _anew(
        self,
        name: str,
        sandbox: Sandbox,
        clock_s: int,
        asked: Sequence[Case],
        order: Iterable[int],
        before: Signals,
    ) -> Finding:
        async with _process(sandbox, self._source) as process:
            try:
                await self._load(process, clock_s)
            except BrokenPolicyError as error:
                return Finding(name, ok=False, words=error.fault)
            return await self._compared(name, process, asked, order, before)

    async def _compared(
        self, name: str, process: PolicyProcess, asked: Sequence[Case], order: Iterable[int], before: Signals
    ) -> Finding:
        try:
            after = await self._ask(process, asked, order)
        except BrokenPolicyError as error:
            return Finding(name, ok=False, words=error.fault)
        for case, first, second in zip(asked, before, after, strict=True):
            if first != second:
                words = (
                    f"on {case.name} it said {first}, then {second} {_HOW[name]}: "
                    "a signal follows from its market alone"
                )
                return Finding(name, ok=False, words=words)
        return Finding(name, ok=True, words=f"the same signals on {len(asked)} markets {_HOW[name]}")

    def _time(self) -> Finding:
        most, p99 = max(self._seconds), float(np.quantile(self._seconds, 0.99))
        words = f"p99 {p99 * 1e3:.1f} ms, at most {most * 1e3:.1f} ms of {DEADLINE_S * 1e3:.0f}"
        return Finding("time", p99 <= MOST_TIME * DEADLINE_S, words)


_HOW: Final = {
    "repeats": "when it was asked again in another order",
    "look-ahead": "in a new process that was asked of the later markets first",
    "elsewhere": "in a process with another clock and other hashes",
}


def _memory(before: int, after: int) -> Finding:
    words = f"{(after - before) / MIB:.0f} MiB more than at its start, of {MEMORY_MIB}"
    return Finding(
        "memory", after - before <= MEMORY_MIB * MIB, words if after else "not known on this system"
    )


def _spread(signals: Signals) -> str:
    values = [value for value, _ in signals]
    return f"{len(values)} markets, values from {min(values):g} to {max(values):g}"
