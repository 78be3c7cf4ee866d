"""The broker's data folder: writable, roomy, owned by one broker at a time."""

import fcntl
import os
import shutil
import time
from pathlib import Path

from broker.errors import DataFolderInUseError, DataFolderUnusableError

LEAST_FREE_BYTES = 256 * 1024 * 1024  # a few segments and their indexes
HANDOVER_S = 5.0  # a killed predecessor's Java needs a moment to be gone


class DataFolder:
    """
    What lies where below KAFKA_DATA_DIR, held by one broker at a time.

    The lock is an flock on an open file that Java inherits: it is free again when wrapper and Java
    are both gone, however they ended.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.log_dir = self.root / "logs"
        self.properties = self.root / "server.properties"
        self.server_log = self.root / "server.log"
        self._lock = -1

    @property
    def lock_descriptor(self) -> int:
        """The file descriptor that Java must inherit."""
        return self._lock

    def acquire(self, handover_s: float = HANDOVER_S) -> None:
        """
        Create the folder and become its only user.

        Parameters
        ----------
        handover_s
            How long the former user may take to be gone, seconds.

        Raises
        ------
        DataFolderInUseError
            If another broker holds it.
        DataFolderUnusableError
            If it cannot be written or its disk is full.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root / "broker.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DataFolderUnusableError(
                f"{self.root} cannot be written ({error.strerror}): correct its permissions, "
                "or set KAFKA_DATA_DIR to a folder that can"
            ) from error
        try:
            self._take(descriptor, handover_s)
            self._check_room()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def release(self) -> None:
        """Let go of the folder; without effect if it is not held."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _take(self, descriptor: int, handover_s: float) -> None:
        deadline = time.monotonic() + handover_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    owner = os.pread(descriptor, 100, 0).decode(errors="replace") or "unknown"
                    raise DataFolderInUseError(self.root, owner) from None
                time.sleep(0.1)
            else:
                return

    def _check_room(self) -> None:
        free = shutil.disk_usage(self.root).free
        if free < LEAST_FREE_BYTES:
            raise DataFolderUnusableError(
                f"the disk that holds {self.root} has {free >> 20} MiB left, and Kafka needs "
                f"{LEAST_FREE_BYTES >> 20} MiB: free some space, or set KAFKA_DATA_DIR to a folder elsewhere"
            )
