"""What ends the work with history; a person at the terminal reads the text."""

from __future__ import annotations


class HistoryError(Exception):
    """History cannot be read or written; the text says which file, what is wrong and what would be right."""


class FileExistsAlreadyError(HistoryError):
    """A file is there, and is not to be overwritten."""
