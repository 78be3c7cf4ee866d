"""What `bookrunner doctor` says of what is installed and runs, beside `machine`; how its findings look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement
from rich.filesize import decimal

from libs.cli.findings import Finding, Verdict, parts_of
from libs.cli.screen import Text
from libs.cli.topics import LEADERLESS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from libs.common.budgets import Account

SHOWN: Final = 4  # of a list of troubles

_STYLES: Final[Mapping[Verdict, str]] = {
    Verdict.OK: "green",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "bold red",
}


def lines_of(finding: Finding) -> list[Text]:
    """Return a finding as text, with the way to mend it as a second line."""
    style = _STYLES[finding.verdict]
    mark, says, below = parts_of(finding)
    mend = [Text(below.removeprefix("\n"), style)] if below else []
    return [Text(mark, style).append(says, ""), *mend]


def locked_versions(lock: str) -> Mapping[str, str]:
    """Return name and version of each package of a lock that this machine needs."""
    versions = {}
    for line in lock.splitlines():
        if not line or line[0] in " #":
            continue
        try:
            requirement = Requirement(line.rstrip("\\ "))
        except InvalidRequirement as error:
            raise ValueError(f"{line!r} of the lock is no requirement") from error
        if requirement.marker is None or requirement.marker.evaluate():
            versions[requirement.name.lower()] = next(iter(requirement.specifier)).version
    return versions


def packages_finding(locked: Mapping[str, str], installed: Mapping[str, str | None]) -> Finding:
    """Compare installed versions (None: absent) with the locked ones."""
    wrong = [
        f"{name} {'is missing' if installed.get(name) is None else f'is {installed[name]}, not {version}'}"
        for name, version in locked.items()
        if installed.get(name) != version
    ]
    if not wrong:
        return Finding(Verdict.OK, "packages", f"all {len(locked)} are the locked ones")
    return Finding(Verdict.FAIL, "packages", _some(wrong), "run `make setup`")


def topics_finding(wrong: Mapping[str, Sequence[str]], total: int) -> Finding:
    """Judge the topics: `wrong` holds what differs, by name; empty where nothing does."""
    bad = {name: reasons for name, reasons in wrong.items() if reasons}
    if not bad:
        return Finding(Verdict.OK, "topics", f"all {total} are there as registered")
    says = _some([f"{name}: {', '.join(reasons)}" for name, reasons in bad.items()])
    if all(reasons == ["missing"] for reasons in bad.values()):
        return Finding(
            Verdict.FAIL, "topics", says, "run `bookrunner topics --create`, or start the services"
        )
    if any(LEADERLESS in reasons for reasons in bad.values()):
        return Finding(Verdict.FAIL, "topics", says, "start the Kafka brokers that are down")
    counts = any("partitions" in reason for reasons in bad.values() for reason in reasons)
    mend = (
        "set TOPIC_PARTITIONS to what is there" if counts else "`make clean` deletes the data and starts anew"
    )
    return Finding(Verdict.FAIL if counts else Verdict.WARN, "topics", says, mend)


def budgets_finding(accounts: Mapping[str, Account]) -> Finding:
    """Judge what the topics take beside what they may, by name."""
    over = {name: account for name, account in accounts.items() if account.share > 1}
    if over:
        fullest = sorted(over, key=lambda name: -over[name].share)
        return Finding(
            Verdict.WARN,
            "budgets",
            _some([f"{name} takes {taken(over[name])}" for name in fullest]),
            "docs/operations.md#topicoverbudget says what to look at",
        )
    unknown = [name for name, account in accounts.items() if account.bytes is None]
    if unknown:
        says = f"Kafka does not tell the bytes of {len(unknown)} topics; the records are within them"
        return Finding(Verdict.WARN, "budgets", says, "let this user Describe the cluster (docs/security.md)")
    total = sum(account.bytes or 0 for account in accounts.values())
    fullest_of_all = max(accounts, key=lambda name: accounts[name].share, default=None)
    says = f"no topic is over its own; {decimal(total)} in all"
    if fullest_of_all is not None:
        says += f", the fullest is {fullest_of_all} at {accounts[fullest_of_all].share:.0%}"
    return Finding(Verdict.OK, "budgets", says)


def taken(account: Account) -> str:
    """Return what a topic takes beside its budget: the one of bytes and records that is fuller."""
    budget, records, size = account.budget, account.records or 0, account.bytes or 0
    if size / budget.bytes >= records / budget.records:
        return f"{decimal(size)} of {decimal(budget.bytes)}"
    return f"{records:,} records of {budget.records:,}"


def books_finding(books: Sequence[Mapping[str, object]]) -> Finding:
    """Judge the books of ``GET /api/l2`` by their states."""
    away = [book for book in books if book.get("state") != "LIVE"]
    if not books:
        return Finding(
            Verdict.WARN, "books", "none is subscribed", "set L2_BOOKS, or POST /api/l2/subscriptions"
        )
    if not away:
        return Finding(Verdict.OK, "books", f"{len(books)} of {len(books)} are LIVE")
    says = [
        f"{book.get('venue')}:{book.get('symbol')} is {book.get('state')} {_reason(book)}".strip()
        for book in away
    ]
    return Finding(
        Verdict.FAIL if len(away) == len(books) else Verdict.WARN,
        "books",
        f"{len(books) - len(away)} of {len(books)} are LIVE; {_some(says)}",
        "they resynchronise by themselves; `bookrunner tail book-health` shows why they do not",
    )


def clock_finding(ahead_s: float, uncertain_s: float) -> Finding:
    """Judge how far this clock is ahead of a venue's, in seconds, by a request of this uncertainty."""
    says = f"{ahead_s * 1000:+.0f} ms against the exchange (± {uncertain_s * 1000:.0f} ms)"
    if abs(ahead_s) - uncertain_s > 1.0:
        return Finding(
            Verdict.WARN, "clock", says, "turn time synchronisation on: `timedatectl set-ntp true`"
        )
    return Finding(Verdict.OK, "clock", says)


def _reason(book: Mapping[str, object]) -> str:
    return f"({book['reason']})" if book.get("reason") else ""


def _some(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + more
