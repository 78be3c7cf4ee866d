"""Folders that nobody but their owner can enter; standard library only."""

import os
import stat
from pathlib import Path

OWNER_ONLY = 0o077  # the umask under which files and folders are made: no rights for group and others
_FOLDER = 0o700


class NotOurOwnError(Exception):
    """Somebody else may decide what is in the folder; the text says why and what helps."""


def check(folder: Path, setting: str) -> None:
    """
    Make sure that the folder, if it is there, is this user's own; change nothing.

    Raises
    ------
    NotOurOwnError
        If it, or the link that it is, belongs to somebody else; the message names `setting`.
    """
    try:
        owners = {folder.lstat().st_uid, folder.stat().st_uid}
    except OSError:  # it is not there, or cannot be looked at: whoever makes or opens it is told why
        return
    if owners != {os.geteuid()}:
        what = f"{folder}, a link to {folder.resolve()}," if folder.is_symlink() else f"{folder}"
        raise NotOurOwnError(
            f"{what} belongs to another user, who could read and change what is written there: set {setting} "
            "to a folder of your own"
        )


def claim(folder: Path, setting: str) -> None:
    """
    Create the folder, or take from all others the rights on one that is there.

    Raises
    ------
    NotOurOwnError
        If it is not this user's own or is shared, or its file system keeps no rights.
    OSError
        If it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER)
    check(folder, setting)
    if folder.stat().st_mode & stat.S_ISVTX:
        raise NotOurOwnError(f"{folder} is a folder that users share: set {setting} to one of your own in it")
    if stat.S_IMODE(folder.stat().st_mode) & OWNER_ONLY:
        folder.chmod(_FOLDER)
        if stat.S_IMODE(folder.stat().st_mode) & OWNER_ONLY:
            raise NotOurOwnError(
                f"{folder} stays open to other users, for its file system keeps no rights: set {setting} to "
                "a folder on one that does"
            )
