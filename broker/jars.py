"""Kafka's jars: locked by hash in ``jars.lock``, fetched once by jgo, checked at every start."""

import fcntl
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import requests
from jgo.config import GlobalSettings
from jgo.maven import MavenContext, PythonResolver

from broker.errors import JarsUnavailableError

KAFKA_VERSION = "4.3.0"
LOCK_FILE = Path(__file__).with_name("jars.lock")
MEGABYTE = 1_000_000

_CONNECTIONS = 4  # to the Maven repository at a time
_ATTEMPTS = 3
_SILENCE_S = 15  # without a byte, after which an attempt has failed
_REPORT_INTERVAL_S = 5.0


class LockedJar(NamedTuple):
    """One line of the lock file."""

    sha256: str
    size: int  # bytes
    coordinate: str  # group:artifact:version

    def path_in(self, cache: Path) -> Path:
        """Where a Maven repository layout has it."""
        group, artifact, version = self.coordinate.split(":")
        return cache.joinpath(*group.split("."), artifact, version, f"{artifact}-{version}.jar")

    def is_intact_in(self, cache: Path) -> bool:
        """Whether the cache holds exactly the locked bytes."""
        path = self.path_in(cache)
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as jar:
            return hashlib.file_digest(jar, "sha256").hexdigest() == self.sha256


def read_lock(text: str) -> list[LockedJar]:
    """Parse lines of ``sha256 size coordinate``; a line that starts with # is a comment."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [LockedJar(sha256, int(size), coordinate) for sha256, size, coordinate in lines]


def classpath(cache: Path, report: Callable[[str], None]) -> list[Path]:
    """
    Return the path of every jar of Kafka, fetching what the cache lacks or holds damaged.

    Parameters
    ----------
    cache
        A folder in the layout of a Maven repository.
    report
        Takes a line of progress every few seconds while jars are fetched.

    Raises
    ------
    JarsUnavailableError
        If a jar cannot be fetched, is not the locked one, or cannot be stored.
    """
    jars = read_lock(LOCK_FILE.read_text(encoding="utf-8"))
    complete(jars, cache, report)
    return [jar.path_in(cache) for jar in jars]


def complete(jars: list[LockedJar], cache: Path, report: Callable[[str], None]) -> None:
    """Make the cache hold these jars intact; as `classpath` otherwise."""
    if all(jar.is_intact_in(cache) for jar in jars):
        return
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone_in(cache, report):
            _fetch([jar for jar in jars if not jar.is_intact_in(cache)], cache, report)
    except requests.RequestException as error:
        raise JarsUnavailableError(_no_network(jars, cache, error)) from error
    except OSError as error:
        raise JarsUnavailableError(
            f"{cache} cannot take the jars of Kafka ({error.strerror or error}): free some space, "
            "correct the permissions, or set KAFKA_JARS_DIR to another folder"
        ) from error


def _no_network(jars: list[LockedJar], cache: Path, error: Exception) -> str:
    megabytes = sum(jar.size for jar in jars) / MEGABYTE
    help_ = (
        "set REQUESTS_CA_BUNDLE to the file of the certificate authority of the proxy that inspects TLS"
        if isinstance(error, requests.exceptions.SSLError)
        else "connect to the network (HTTPS_PROXY is honoured)"
    )
    return (
        f"the first start fetches Kafka {KAFKA_VERSION} ({len(jars)} jars, {megabytes:.0f} MB) from a "
        f"Maven repository, and it cannot be reached ({_root_cause(error)}): {help_}, or copy {cache} from a "
        "machine that has it, then start again"
    )


def _root_cause(error: BaseException) -> BaseException:
    cause = error.__cause__ or error.__context__
    return error if cause is None else _root_cause(cause)


@contextmanager
def _alone_in(cache: Path, report: Callable[[str], None]) -> Iterator[None]:
    with (cache / ".lock").open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("another process fetches the jars of Kafka; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(jars: list[LockedJar], cache: Path, report: Callable[[str], None]) -> None:
    progress = _Progress(sum(jar.size for jar in jars), report)
    context = MavenContext(
        resolver=PythonResolver(progress_callback=progress.of_file),
        repo_cache=cache,
        # a [repositories] section in jgo's own configuration file names mirrors; else Maven Central
        remote_repos=GlobalSettings.load().repositories or None,
        timeout=_SILENCE_S,
    )
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        pending = [pool.submit(_fetch_one, jar, cache, context) for jar in jars]
        try:
            for fetched in pending:
                fetched.result()
        except BaseException:  # Ctrl-C too: what has not begun never shall
            progress.cancel()
            pool.shutdown(cancel_futures=True)
            raise
    progress.say()


def _fetch_one(jar: LockedJar, cache: Path, context: MavenContext) -> None:
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
        f"{jar.coordinate} arrives with other bytes than those locked in {LOCK_FILE.name}: "
        "a proxy or mirror on the way changes or truncates it"
    )


class _Progress:
    """Adds up what the connections receive, and says it every few seconds."""

    def __init__(self, expected: int, report: Callable[[str], None]) -> None:
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
            f"fetching Kafka {KAFKA_VERSION}, once: "
            f"{received / MEGABYTE:.1f} of {self._expected / MEGABYTE:.1f} MB"
        )
