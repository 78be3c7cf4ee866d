"""Jars, as those of Kafka: locked by hash, fetched once, checked at every start."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.errors import JarsUnavailableError
from broker.jar_lock import KAFKA, MEGABYTE, JarLock, LockedJar


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
    jars = KAFKA.jars()
    complete(KAFKA, jars, cache, report)
    return [jar.path_in(cache) for jar in jars]


def complete(lock: JarLock, jars: list[LockedJar], cache: Path, report: Callable[[str], None]) -> None:
    """Make the cache hold these jars of a lock intact; as `classpath` otherwise."""
    if all(jar.is_intact_in(cache) for jar in jars):
        return
    from requests import RequestException  # noqa: PLC0415 -- for the first start only, as jgo

    from broker.jar_download import fetch  # noqa: PLC0415 -- see above

    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone_in(cache, report):
            fetch(lock, [jar for jar in jars if not jar.is_intact_in(cache)], cache, report)
    except RequestException as error:
        raise JarsUnavailableError(_no_network(lock, jars, cache, error)) from error
    except OSError as error:
        raise JarsUnavailableError(
            f"{cache} cannot take the jars of {lock.what} ({error.strerror or error}): free some space, "
            "correct the permissions, or set KAFKA_JARS_DIR to another folder"
        ) from error


def _no_network(lock: JarLock, jars: list[LockedJar], cache: Path, error: Exception) -> str:
    megabytes = sum(jar.size for jar in jars) / MEGABYTE
    help_ = (
        "set REQUESTS_CA_BUNDLE to the file of the certificate authority of the proxy that inspects TLS"
        if "CERTIFICATE_VERIFY_FAILED" in str(error)
        else "connect to the network (HTTPS_PROXY is honoured)"
    )
    return (
        f"the first start fetches {lock.what} ({len(jars)} jars, {megabytes:.0f} MB) from a "
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
            report("another process fetches jars; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
