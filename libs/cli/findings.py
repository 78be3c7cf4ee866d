"""A finding of `bookrunner doctor`: a line for a person. Standard library alone; Python 3.8 and later."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

GIB: Final = 1024**3
NAME_WIDTH: Final = 12


class Verdict(str, Enum):  # noqa: UP042 -- StrEnum came with Python 3.11, whose absence is to be told
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One line of the report; `mend` says what to do, and is empty when there is nothing to do."""

    verdict: Verdict
    name: str
    says: str
    mend: str = ""


MARKS: Final = {Verdict.OK: "✓ ok  ", Verdict.WARN: "! warn", Verdict.FAIL: "✗ fail"}


def parts_of(finding: Finding) -> tuple[str, str, str]:
    """Return the mark, the finding, and below it the way to mend it, as they follow each other."""
    mark = MARKS[finding.verdict]
    below = f"\n{'':{len(mark) + 2 + NAME_WIDTH}} → {finding.mend}" if finding.mend else ""
    return mark, f"  {finding.name:<{NAME_WIDTH}} {finding.says}", below


def failed(findings: Iterable[Finding]) -> bool:
    """Whether anything must be mended."""
    return any(finding.verdict is Verdict.FAIL for finding in findings)


def space_finding(name: str, free_bytes: int, fail_below: int, warn_below: int, mend: str) -> Finding:
    """Judge free space of disk or memory, in bytes."""
    says = f"{free_bytes / GIB:.1f} GiB free"
    if free_bytes < fail_below:
        return Finding(Verdict.FAIL, name, f"{says}; at least {fail_below / GIB:.1f} GiB are needed", mend)
    if free_bytes < warn_below:
        return Finding(Verdict.WARN, name, f"{says}; {warn_below / GIB:.1f} GiB are comfortable", mend)
    return Finding(Verdict.OK, name, says)
