"""How the body of a webhook becomes a signal, as the setting GATEWAY_SIGNAL_WEBHOOK says; pure.

The setting names, for each field of ``POST /api/signals``, where it stands in the JSON that somebody else
sends, separated by spaces::

    policyId=strategy.name symbol=ticker value=action{buy:1,sell:-1,flat:0} reason=comment ttlS=900

``strategy.name`` is the member ``name`` of the object ``strategy``. Braces say what a text means; one that
they do not name is refused. A number, or a text in quotes as ``'x_trend'``, is the same for every body.
``secret=key`` names the member that holds GATEWAY_WEBHOOK_SECRET, for who cannot send a header.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.gateway.http.problems import FieldError
from services.gateway.http.requests import AMOUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET: Final = "secret"  # noqa: S105 -- a field's name
NEEDED: Final = ("policyId", "symbol", "value", "ttlS")
FIELDS: Final = (*NEEDED, "reason", SECRET)
MAX_BITS: Final = 64  # of a whole number
NUMBERS: Final = frozenset({"value", "ttlS"})
EXAMPLE: Final = (
    "policyId=strategy symbol=ticker value=action{buy:1,sell:-1,flat:0} reason=comment ttlS=900 secret=key"
)

_NUMBER: Final = re.compile(f"[+-]?{AMOUNT}")
_PATH: Final = r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*"
_TERM: Final = re.compile(
    rf"""(?P<field>[A-Za-z]+)=(?:
        '(?P<single>[^']*)' | "(?P<double>[^"]*)" | (?P<number>[+-]?{AMOUNT})
        | (?P<path>{_PATH})(?:\{{(?P<words>[^{{}}]*)\}})?
    )""",
    re.VERBOSE,
)
_BETWEEN: Final = re.compile(r"\s+")
# As charts name them: the exchange in front, and what tells a perpetual from the pair.
_CHART_SYMBOL: Final = re.compile(r"(?:[A-Za-z0-9_]+:)?(?P<symbol>.+?)(?:\.P)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Term:
    """Where a field's value comes from: a constant, or a place in the body."""

    constant: str | None = None
    path: tuple[str, ...] = ()
    words: Mapping[str, str] | None = None  # what a text in the body means; None: itself

    @property
    def place(self) -> str:
        """The place in the body; empty of a constant."""
        return ".".join(self.path)


class MappingError(Exception):
    """A body that the mapping makes no signal of."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class WebhookMapping:
    """What each field of a signal is made of."""

    terms: Mapping[str, Term]

    @property
    def has_secret(self) -> bool:
        """Whether a body must hold the secret."""
        return SECRET in self.terms

    def shows(self, body: Mapping[str, Any], secret: bytes) -> bool:
        """Tell, in a time that does not depend on where it differs, whether a body holds the secret."""
        shown = _found(body, self.terms[SECRET].path)
        return isinstance(shown, str) and hmac.compare_digest(shown.encode("utf-8", "replace"), secret)

    def fields_of(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a signal, as ``POST /api/signals`` takes them.

        Raises
        ------
        MappingError
            With what of the body is missing, or is no text or number.
        """
        fields: dict[str, Any] = {}
        errors = []
        for field, term in self.terms.items():
            if field == SECRET:
                continue
            found = term.constant if term.constant is not None else _found(body, term.path)
            if found is None and field not in NEEDED:
                continue
            if (fault := _fault(field, term, found)) is not None:
                errors.append(FieldError(term.place or field, fault))
                continue
            text = str(found) if term.words is None else term.words[str(found)]
            fields[field] = float(text) if field in NUMBERS else text
        if errors:
            raise MappingError(errors)
        return fields | {"symbol": _plain_symbol(fields["symbol"])}

    def place_of(self, field: str) -> str:
        """Return where in the body a field of a signal comes from; the field itself if it is a constant."""
        term = self.terms.get(field)
        return field if term is None else term.place or field


class Webhook(NamedTuple):
    """What takes signals from who sends only bodies of its own form."""

    mapping: WebhookMapping
    secret: bytes | None  # that each body shows; None: whoever may change something may send one


def mapping_of(setting: str) -> WebhookMapping | None:
    """Return the mapping that a setting says; None where it is empty.

    Raises
    ------
    ValueError
        With the place that is wrong, and what would be right; never with the setting itself.
    """
    terms: dict[str, Term] = {}
    at, text = 0, setting.strip()
    while at < len(text):
        place = len(terms) + 1
        found = _TERM.match(text, at)
        if found is None or (found.end() < len(text) and not _BETWEEN.match(text, found.end())):
            raise ValueError(
                f"place {place} must be field=path.in.the.body, field=path{{word:meaning}} "
                f"or field='constant', as in: {EXAMPLE}"
            )
        field = found["field"]
        if field not in FIELDS or field in terms:
            known = ", ".join(FIELDS)
            raise ValueError(f"place {place} must name one of {known}, each once")
        terms[field] = _term(found, place)
        between = _BETWEEN.match(text, found.end())
        at = len(text) if between is None else between.end()
    if not terms:
        return None
    if missing := [field for field in NEEDED if field not in terms]:
        raise ValueError(f"it does not say what {' and '.join(missing)} is, as in: {EXAMPLE}")
    _require_hidden(terms)
    return WebhookMapping(terms)


def _require_hidden(terms: Mapping[str, Term]) -> None:
    """Refuse a secret that is a constant, or that another field would tell."""
    if SECRET not in terms:
        return
    secret = terms[SECRET]
    if not secret.path or secret.words is not None:
        raise ValueError("secret must name the place in the body where GATEWAY_WEBHOOK_SECRET stands")
    if any(term.path == secret.path for field, term in terms.items() if field != SECRET):
        raise ValueError("another field is taken from where the secret stands: it would be told to everybody")


def _term(found: re.Match[str], place: int) -> Term:
    field, words = found["field"], found["words"]
    for constant in (found["single"], found["double"], found["number"]):
        if constant is not None:
            if field in NUMBERS and not _NUMBER.fullmatch(constant):
                raise ValueError(f"place {place}: {field} must be a number")
            return Term(constant=constant)
    path = tuple(found["path"].split("."))
    if words is None:
        return Term(path=path)
    meanings: dict[str, str] = {}
    for each in words.split(","):
        word, colon, meaning = (part.strip() for part in each.partition(":"))
        wrong = not colon or not word or not meaning or word in meanings
        if wrong or (field in NUMBERS and not _NUMBER.fullmatch(meaning)):
            kind = "number" if field in NUMBERS else "text"
            raise ValueError(f"place {place}: braces hold word:{kind}, each word once, separated by commas")
        meanings[word] = meaning
    return Term(path=path, words=meanings)


def _found(body: Mapping[str, Any], path: tuple[str, ...]) -> object:
    """Return what stands at a path of a body; None where nothing does."""
    at: object = body
    for name in path:
        if not isinstance(at, dict) or name not in at:
            return None
        at = at[name]
    return at


def _fault(field: str, term: Term, found: object) -> str | None:
    """Return why what stands in a body is not what a field needs; None where it is."""
    if found is None:
        return f"is missing: GATEWAY_SIGNAL_WEBHOOK takes {field} from there"
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        return "must be a text or a number"
    if isinstance(found, int) and found.bit_length() > MAX_BITS:
        return "is a number beyond all bounds"
    if term.words is not None:
        return None if str(found) in term.words else f"must be one of {', '.join(term.words)}"
    if field in NUMBERS and not isinstance(found, int | float) and not _NUMBER.fullmatch(found):
        return "must be a number, or a number in text"
    return None


def _plain_symbol(text: str) -> str:
    found = _CHART_SYMBOL.fullmatch(text)
    return text if found is None else found["symbol"]
