"""`bookrunner policy run`: host the policies of a folder on a running system, and say what becomes of them.

The host is `services.policies` as a process of its own, which libs may not import. What it does is read where
everybody reads it: on the topics of the registry and of the signals.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from broker import tether
from libs.cli.errors import INTERRUPTED, CommandError
from libs.cli.screen import Text
from libs.common.events import PolicyRegistered, PolicySignalled, PolicyState
from libs.common.kafka import Reader, Record
from libs.common.told import first_line
from libs.common.topics import POLICIES_REGISTRY, POLICIES_SIGNALS
from libs.policies.loading import UnreadableSourceError, files_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from libs.cli.screen import Screen
    from libs.common.events import Event
    from libs.common.settings import ServiceSettings

HOST: Final = "services.policies"
STOP_S: Final = 20.0
_SPARED: Final = ("_", "test_")  # what their names begin with is no policy


class Reporter:
    """Says what becomes of each policy of one host, and the first signal of each on each symbol."""

    def __init__(self, host: str, console: Screen) -> None:
        self._host = host
        self._console = console
        self._states: dict[str, PolicyRegistered] = {}
        self._signalled: set[tuple[str, str, str]] = set()

    def take(self, key: bytes, event: Event | None) -> None:
        """Take a record of the registry or of the signals; None is a tombstone."""
        match event:
            case PolicyRegistered(host=self._host):
                self._registered(event)
            case PolicySignalled() if event.policy_id in self._states:
                self._said(event)
            case None:
                if self._states.pop(name := key.decode("utf-8", "backslashreplace"), None) is not None:
                    self._say(name, "is registered no more", "dim")
            case _:
                pass

    def _registered(self, policy: PolicyRegistered) -> None:
        before = self._states.get(policy.policy_id)
        self._states[policy.policy_id] = policy
        if before is not None and (before.state, before.version) == (policy.state, policy.version):
            return
        match policy.state:
            case PolicyState.STARTING:
                self._say(policy.policy_id, f"version {policy.version} starts", "yellow")
            case PolicyState.RUNNING:
                scopes = f"; {', '.join(policy.joins)} may choose it" if policy.joins else ""
                self._say(policy.policy_id, f"version {policy.version} runs{scopes}", "green")
            case PolicyState.QUARANTINED:
                self._say(policy.policy_id, f"is quarantined: {first_line(policy.fault)}", "bold red")
                for line in policy.fault.splitlines()[1:]:
                    self._console.print(Text(f"    {line}", "red"), soft_wrap=True)

    def _said(self, signal: PolicySignalled) -> None:
        first = (signal.policy_id, signal.version, signal.symbol)
        if signal.version == self._states[signal.policy_id].version and first not in self._signalled:
            self._signalled.add(first)
            self._say(signal.policy_id, f"{signal.symbol} {signal.value:+.3f}  {signal.reason}", "")

    def _say(self, policy_id: str, what: str, style: str) -> None:
        self._console.print(Text.assemble((f"{policy_id}  ", "bold"), (what, style)), soft_wrap=True)


async def run(settings: ServiceSettings, folder: Path, files: Sequence[Path], console: Screen) -> int:
    """Host the files, or all policies of the folder (absolute paths), until a signal; return the exit code.

    Raises
    ------
    CommandError
        If there is no policy, or what hosts them is not installed.
    MissingTopicError, KafkaError
        If the running system is none, or does not answer.
    """
    hosted = sorted(file.stem for file in files) or _policies_in(folder)
    if importlib.util.find_spec(f"{HOST}.__main__") is None:
        raise CommandError(f"what hosts policies is not installed ({HOST}): run `make setup`")
    instance = instance_of(folder, hosted if files else ())
    stopped = _signals()
    # From the end of now on, before the host says anything; this is also what finds that Kafka is away.
    async with Reader(settings, (POLICIES_REGISTRY, POLICIES_SIGNALS), start="end") as reader:
        with _folder_with(folder, files) as shown:
            console.print(
                f"hosting {', '.join(hosted)} of {folder} on Kafka at "
                f"{settings.kafka_bootstrap_servers}; Ctrl-C ends it",
                soft_wrap=True,
            )
            host = await _started(shown, instance)
            ended = asyncio.create_task(host.wait())
            reporter = Reporter(f"policies:{instance}", console)
            try:
                while not (ended.done() or stopped.done()):
                    await _report(reader, reporter)
            finally:
                await _stopped(host, ended)
            while await _report(reader, reporter):
                pass
    if not stopped.done():
        console.print(Text(f"the host ended by itself, with code {ended.result()}", "bold red"))
        return ended.result() or 1
    console.print("stopped: nothing of it is hosted any more", soft_wrap=True)
    return INTERRUPTED if stopped.result() == signal.SIGINT else 0


def instance_of(folder: Path, names: Iterable[str]) -> str:
    """Return how the host of a folder, or of some of its policies, is called: alike at each start."""
    what = "\n".join((str(folder), *names))
    return f"folder-{hashlib.sha256(os.fsencode(what)).hexdigest()[:12]}"


def _policies_in(folder: Path) -> list[str]:
    try:
        found = sorted(files_of(folder))
    except UnreadableSourceError as error:
        raise CommandError(f"{folder}: {error}; `bookrunner policy new mine` makes one") from error
    if not found:
        raise CommandError(f"there is no policy in {folder}: `bookrunner policy new mine` writes one")
    return found


@contextmanager
def _folder_with(folder: Path, files: Sequence[Path]) -> Iterator[Path]:
    """Yield the folder; where only some of its policies are named, one that leads to those alone.

    What its policies import from beside them begins with `_`, or is a folder: else it would be a policy.
    """
    if not files:
        yield folder
        return
    with TemporaryDirectory(prefix="bookrunner-policies-") as made:
        beside = [each for each in folder.iterdir() if each.is_dir() or each.name.startswith(_SPARED)]
        for each in (*files, *beside):
            Path(made, each.name).symlink_to(each)
        yield Path(made)


def _signals() -> asyncio.Future[int]:
    """Return what is done with the first signal that asks for an end."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(number: int) -> None:
        if not stopped.done():
            stopped.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return stopped


async def _started(folder: Path, instance: str) -> asyncio.subprocess.Process:
    environment = {"LOG_FORMAT": "console", "LOG_LEVEL": "WARNING", "POLICIES_KEEP": "0"} | os.environ
    environment |= {"POLICIES_DIR": str(folder), "POLICIES_EXTERNAL": "0", "GROUP_INSTANCE_ID": instance}
    own = [sys.executable, "-m", HOST]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, tether.__file__, "SIGTERM", str(os.getpid()), *own), env=environment
    )


async def _report(reader: Reader, reporter: Reporter) -> bool:
    """Tell what has come; return whether anything has."""
    found = await reader.poll()
    for item in found:
        if isinstance(item, Record):
            reporter.take(item.key, item.event)
    return bool(found)


async def _stopped(host: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    if not ended.done():
        host.terminate()
        await asyncio.wait([ended], timeout=STOP_S)
    if not ended.done():
        host.kill()
    await ended
