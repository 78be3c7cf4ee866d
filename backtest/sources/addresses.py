"""What l2 asks for, as the venue's own server sees it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit


class Address(NamedTuple):
    """A path and its query, decoded."""

    path: str
    query: dict[str, str]

    @classmethod
    def of(cls, url: str) -> Address:
        """Return those of an URL."""
        parts = urlsplit(url)
        return cls(unquote(parts.path), dict(parse_qsl(parts.query, keep_blank_values=True)))

    @property
    def prefix(self) -> str:
        """The first name of the path, by which one server tells its venues apart."""
        return self.path.split("/", 2)[1]

    @property
    def rest(self) -> str:
        """What follows it."""
        return self.path[1 + len(self.prefix) :]
