"""Fetches jars by jgo, several at a time, and says about once a second how far it is."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import requests
from jgo.config import GlobalSettings
from jgo.maven import MavenContext, PythonResolver

from broker.errors import JarsUnavailableError
from broker.jar_lock import MEGABYTE, JarLock, LockedJar

_CONNECTIONS = 4  # to the Maven repository at a time
_ATTEMPTS = 3
_SILENCE_S = 15  # without a byte, after which an attempt has failed
_REPORT_INTERVAL_S = 5.0


def fetch(lock: JarLock, jars: list[LockedJar], cache: Path, report: Callable[[str], None]) -> None:
    """
    Put these jars of a lock into the cache.

    Raises
    ------
    JarsUnavailableError
        If no repository has one, or not with the locked bytes.
    requests.RequestException
        If no repository answers.
    OSError
        If the cache cannot take one.
    """
    progress = _Progress(lock.what, sum(jar.size for jar in jars), report)
    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress.of_file),
        repo_cache=cache,
        # a [repositories] section in jgo's own configuration file names mirrors; else Maven Central
        remote_repos=GlobalSettings.load().repositories or None,
        timeout=_SILENCE_S,
    )
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        pending = [pool.submit(_fetch_one, lock, jar, cache, context) for jar in jars]
        try:
            for fetched in pending:
                fetched.result()
        except BaseException:  # Ctrl-C too: what has not begun never shall
            progress.cancel()
            pool.shutdown(cancel_futures=True)
            raise
    progress.say()


def _fetch_one(lock: JarLock, jar: LockedJar, cache: Path, context: MavenContext) -> None:
    path = jar.path_in(cache)
    artifact = context.create_dependency(jar.coordinate).artifact
    for attempt in range(1, _ATTEMPTS + 1):
        path.unlink(missing_ok=True)  # what is there is damaged, or half of an attempt
        try:
            context.resolver.download(artifact)
        except requests.RequestException:
            if attempt == _ATTEMPTS:
                path.unlink(missing_ok=True)
                raise
        except RuntimeError as error:  # jgo: no repository has it
            raise JarsUnavailableError(f"{jar.coordinate} cannot be fetched: {error}") from error
        if jar.is_intact_in(cache):
            return
    path.unlink(missing_ok=True)
    raise JarsUnavailableError(
        f"{jar.coordinate} arrives with other bytes than those locked in {lock.file.name}: "
        "a proxy or mirror on the way changes or truncates it"
    )


class _Progress:
    """Adds up what the connections receive, and says it about once a second."""

    def __init__(self, what: str, expected: int, report: Callable[[str], None]) -> None:
        self._what = what
        self._expected = expected
        self._report = report
        self._received: dict[str, int] = {}
        self._said_at = 0.0
        self._mutex = threading.Lock()
        self._cancelled = threading.Event()

    @contextmanager
    def of_file(self, name: str, _size: int) -> Iterator[Callable[[int], None]]:
        """Count one file, from zero again if it is fetched again."""
        self._received[name] = 0

        def add(count: int) -> None:
            if self._cancelled.is_set():
                raise CancelledError
            with self._mutex:
                self._received[name] += count
                if time.monotonic() - self._said_at >= _REPORT_INTERVAL_S:
                    self.say()

        yield add

    def cancel(self) -> None:
        """End every download at its next chunk."""
        self._cancelled.set()

    def say(self) -> None:
        """Say how far it is."""
        self._said_at = time.monotonic()
        received = sum(self._received.values())
        self._report(
            f"fetching {self._what}, once: {received / MEGABYTE:.1f} of {self._expected / MEGABYTE:.1f} MB"
        )
