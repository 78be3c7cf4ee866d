"""
Ask the database at osv.dev what is known of all that is locked: ``python -m install.audit [DATABASE]``.

Of Python's packages, jars and the JavaScript of the pages. What was found is kept in ``audited.json``, so
that who cannot reach the database learns when somebody last could, and whether the locks are still those.

References
----------
https://google.github.io/osv.dev/post-v1-querybatch/ (2026-11)
https://google.github.io/osv.dev/get-v1-vulns/ (2026-11)
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import requests

from install.components import Component, NoBundleError, components, lock_files

if TYPE_CHECKING:
    from collections.abc import Sequence

DATABASE: Final = "https://api.osv.dev"
RECORD: Final = Path(__file__).with_name("audited.json")
ROOT: Final = Path(__file__).resolve().parents[1]
_BATCH: Final = 1_000  # the most that the database takes at once
_PAGES: Final = 20  # of one batch; an answer that never ends is none
_PATIENCE_S: Final = 30.0
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,99}")  # GHSA-..., CVE-..., PYSEC-...
CLEAN, KNOWN, NOT_AUDITED = 0, 1, 2


class Finding(NamedTuple):
    """A known vulnerability of something that is locked."""

    name: str
    version: str
    vulnerability: str
    summary: str

    @property
    def line(self) -> str:
        """Return it for a terminal."""
        return f"{self.name} {self.version}: {self.vulnerability}{self.summary and f' ({self.summary})'}"


class Audit(NamedTuple):
    """What was asked and found, once."""

    at: str  # the day, UTC
    database: str
    locks: dict[str, str]  # SHA-256 by path
    asked: int  # components
    findings: tuple[Finding, ...]


class UnansweredError(Exception):
    """The database did not answer, or not in its own form."""


def main(arguments: Sequence[str] = (), record: Path = RECORD) -> int:
    """Return 0 where nothing is known, 1 where something is, 2 where nothing was audited."""
    database = arguments[0] if arguments else DATABASE
    try:
        asked = components()
        found = ask(database, asked)
    except NoBundleError as error:
        sys.stderr.write(f"{error}: nothing was audited\n")
        return NOT_AUDITED
    except UnansweredError as error:
        sys.stderr.write(f"{database} {error}: nothing was audited. {last_told(read_record(record))}\n")
        return NOT_AUDITED
    audit = Audit(time.strftime("%Y-%m-%d", time.gmtime()), database, digests(), len(asked), tuple(found))
    write_record(record, audit)
    for finding in found:
        sys.stdout.write(f"{finding.line}\n")
    known = f"{len(found)} known" if found else "none known"
    sys.stdout.write(
        f"{len(asked)} packages, vulnerabilities: {known}; kept in {record.name}, to be committed\n"
    )
    return KNOWN if found else CLEAN


def ask(database: str, asked: Sequence[Component]) -> list[Finding]:
    """
    Return what the database knows of them.

    Raises
    ------
    UnansweredError
        If it does not answer for all.
    """
    found: set[tuple[Component, str]] = set()
    with requests.Session() as session:
        for first in range(0, len(asked), _BATCH):
            found |= _batch(session, database, asked[first : first + _BATCH])
        return [
            Finding(each.name, each.version, vulnerability, summary)
            for each, vulnerability in sorted(found)
            if (summary := _summary(session, database, vulnerability)) is not None
        ]


def _batch(
    session: requests.Session, database: str, asked: Sequence[Component]
) -> set[tuple[Component, str]]:
    found = set()
    left = [(each, _query(each)) for each in asked]
    for _ in range(_PAGES):
        answer = _answer(
            session, "POST", f"{database}/v1/querybatch", {"queries": [query for _, query in left]}
        )
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(left):
            raise UnansweredError("did not answer for each package")
        more = []
        for (each, query), result in zip(left, results, strict=True):
            told, token = _page(result)
            found |= {(each, vulnerability) for vulnerability in told}
            if token:
                more.append((each, query | {"page_token": token}))
        if not more:
            return found
        left = more
    raise UnansweredError(f"has more than {_PAGES} pages")


def _page(result: object) -> tuple[list[str], str]:
    """Return the ids of a result, and how to ask for more, empty at the end."""
    match result:
        case None:
            return [], ""
        case dict():
            told, token = result.get("vulns", []), result.get("next_page_token", "")
            if isinstance(told, list) and isinstance(token, str):
                ids = [str(each.get("id", "")) for each in told if isinstance(each, dict)]
                if len(ids) == len(told) and all(map(_ID.fullmatch, ids)):
                    return ids, token
    raise UnansweredError("answered in another form than osv.dev does")


def _query(component: Component) -> dict[str, Any]:
    package = {"name": component.name, "ecosystem": component.ecosystem}
    return {"package": package, "version": component.version}


def _summary(session: requests.Session, database: str, vulnerability: str) -> str | None:
    """Return what it is about, in a line; empty if that is not told, None if it was withdrawn."""
    try:
        told = _answer(session, "GET", f"{database}/v1/vulns/{vulnerability}", None)
    except UnansweredError:  # it is known all the same
        return ""
    if told.get("withdrawn"):
        return None
    aliases = told.get("aliases")
    named = ", ".join(map(str, aliases)) if isinstance(aliases, list) else ""
    words = " ".join(f"{named} {told.get('summary') or ''}".split())
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in words)


def _answer(
    session: requests.Session, method: str, address: str, body: dict[str, Any] | None
) -> dict[str, Any]:
    try:
        reply = session.request(method, address, json=body, timeout=_PATIENCE_S)
        reply.raise_for_status()
        answer = reply.json()
    except requests.HTTPError as error:
        status = "with an error" if error.response is None else error.response.status_code
        raise UnansweredError(f"answered {status}") from error
    except requests.JSONDecodeError as error:
        raise UnansweredError("answered something else than JSON") from error
    except requests.RequestException as error:
        raise UnansweredError("cannot be reached from here") from error
    if not isinstance(answer, dict):
        raise UnansweredError("answered something else than an object")
    return answer


def digests() -> dict[str, str]:
    """Return what tells one state of the locks from another."""
    return {
        str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest() for path in lock_files()
    }


def last_told(audit: Audit | None) -> str:
    """Return when somebody last audited, what was found then, and what has changed since."""
    if audit is None:
        return f"No audit is on record ({RECORD.name}): run it where the database can be reached"
    found = "nothing was known" if not audit.findings else f"{len(audit.findings)} vulnerabilities were known"
    today = digests()
    changed = sorted(
        name for name in today.keys() | audit.locks.keys() if today.get(name) != audit.locks.get(name)
    )
    since = f"since then changed: {', '.join(changed)}" if changed else "the locks are the same since"
    told = f"The last audit was on {audit.at}, of {audit.asked} packages: {found}; {since}"
    return "\n  ".join([told, *(finding.line for finding in audit.findings)])


def read_record(record: Path) -> Audit | None:
    """Return the last audit, None if none is on record."""
    try:
        told = json.loads(record.read_text(encoding="utf-8"))
        return Audit(**told | {"findings": tuple(Finding(*each) for each in told["findings"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(record: Path, audit: Audit) -> None:
    """Keep an audit, to be committed."""
    record.write_text(json.dumps(audit._asdict(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
