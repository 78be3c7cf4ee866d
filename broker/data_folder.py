"""The broker's data folder: writable, roomy, owned by one broker at a time."""

import os
import shutil
from pathlib import Path

from broker import file_lock, owned_folder
from broker.errors import DataFolderInUseError, DataFolderUnusableError

LEAST_FREE_BYTES = 256 * 1024 * 1024  # a few segments and their indexes
HANDOVER_S = 5.0  # a killed predecessor's Java needs a moment to be gone


class DataFolder:
    """
    What lies where below KAFKA_DATA_DIR, held by one broker at a time.

    The lock is an flock on an open file that Java inherits: it is free again when wrapper and Java
    are both gone, however they ended.

    Parameters
    ----------
    setting
        The variable that moves the folder, for what is told to a person.
    """

    def __init__(self, root: Path, setting: str = "KAFKA_DATA_DIR") -> None:
        self.root = root.absolute()
        self._setting = setting
        self._lock_file = self.root / "broker.lock"
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
        Create the folder, or close it to other users, and become the only broker that uses it.

        Parameters
        ----------
        handover_s
            How long the former user may take to be gone, seconds.

        Raises
        ------
        DataFolderInUseError
            If another broker holds it.
        DataFolderUnusableError
            If it is somebody else's, cannot be written or its disk is full.
        """
        try:
            owned_folder.claim(self.root, self._setting)
            self._lock = file_lock.take(self._lock_file, handover_s)
        except file_lock.HeldError as held:
            raise DataFolderInUseError(self.root, str(held), self._setting) from None
        except owned_folder.NotOurOwnError as error:
            raise DataFolderUnusableError(str(error)) from error
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error
        try:
            self._check_room()
            file_lock.sign(self._lock, f"process {os.getpid()}")
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """
        Find what would make `acquire` fail, and change nothing.

        Raises
        ------
        DataFolderInUseError, DataFolderUnusableError
            As `acquire` does.
        """
        try:
            owned_folder.check(self.root, self._setting)
        except owned_folder.NotOurOwnError as error:
            raise DataFolderUnusableError(str(error)) from error
        there = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise self._unwritable("Permission denied" if there.is_dir() else f"{there} is a file")
        if (owner := file_lock.holder(self._lock_file)) is not None:
            raise DataFolderInUseError(self.root, owner, self._setting)
        self._check_room()

    def write_properties(self, text: str) -> None:
        """Write the settings handed to Kafka, which may hold passwords, for their owner alone."""
        self.properties.unlink(missing_ok=True)  # one of other rights
        descriptor = os.open(self.properties, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)

    def release(self) -> None:
        """Let go of the folder; without effect if it is not held."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _unwritable(self, reason: str) -> DataFolderUnusableError:
        return DataFolderUnusableError(
            f"{self.root} cannot be written ({reason}): correct its permissions, "
            f"or set {self._setting} to a folder that can"
        )

    def _check_room(self) -> None:
        there = next(folder for folder in (self.root, *self.root.parents) if folder.exists())
        free = shutil.disk_usage(there).free
        if free < LEAST_FREE_BYTES:
            raise DataFolderUnusableError(
                f"the disk that holds {self.root} has {free >> 20} MiB left, and Kafka needs "
                f"{LEAST_FREE_BYTES >> 20} MiB: free some space, or set {self._setting} to a folder elsewhere"
            )
