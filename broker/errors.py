"""What can go wrong around the broker, said as what happened and what to do about it."""

import re
from pathlib import Path

_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device",
        "the disk of {data_dir} is full: free some space, or set {setting} to a folder elsewhere",
    ),
    (
        r"Permission denied|AccessDeniedException|Read-only file system",
        "{data_dir} is not writable: correct its permissions, or set {setting} to a folder that is",
    ),
    (
        r"Address already in use|BindException",
        "port {port} or {controller_port} was just taken: set KAFKA_PORT, KAFKA_CONTROLLER_PORT to free ones",
    ),
    (
        r"Failed to acquire lock on file \.lock",
        "another Kafka already uses {data_dir}: stop it, or set {setting} to another folder",
    ),
    (
        r"OutOfMemoryError|Could not reserve enough space|insufficient memory",
        "there is not enough memory for Java: close something, or change KAFKA_HEAP_MB (now {heap_mb})",
    ),
    (
        r"InconsistentClusterIdException|doesn't match stored clusterId|UnsupportedVersionException",
        "{data_dir} is of another cluster or a newer Kafka: remove it, or set {setting} to another one",
    ),
    (
        r"NoClassDefFoundError|ClassNotFoundException|Could not find or load main class|ZipException",
        "the jars of Kafka are not complete: remove {jars_dir} and start again",
    ),
)


class BrokerError(Exception):
    """The broker cannot run; the message is written for the person at the terminal."""

    permanent = False  # whether each further start will fail in the same way until a person has acted


class MisconfiguredError(BrokerError):
    """The broker cannot run as it is set up."""

    permanent = True


class PortTakenError(MisconfiguredError):
    """A port the broker needs is already in use."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        super().__init__(
            f"port {port} on {host} is taken: stop the program that uses it, or set {setting} to a free port"
        )


class DataFolderInUseError(MisconfiguredError):
    """Another broker runs on the data folder."""

    def __init__(self, data_dir: Path, owner: str, setting: str) -> None:
        super().__init__(
            f"another broker ({owner}) already runs on {data_dir}: stop it, "
            f"or set {setting} to another folder"
        )


class DataFolderUnusableError(MisconfiguredError):
    """The data folder cannot be written, or its disk is full."""


class JarsUnavailableError(MisconfiguredError):
    """Kafka's jars are neither in the cache nor to be fetched."""


def cause_in(log: str, **facts: object) -> str | None:
    """
    Find a known cause of failure in the broker's own log.

    Parameters
    ----------
    log
        The last lines of the log.
    **facts
        Values for the placeholders: data_dir and the setting that moves it, jars_dir, port,
        controller_port, heap_mb.
    """
    for pattern, advice in _CAUSES:
        if re.search(pattern, log):
            return advice.format(**facts)
    return None
