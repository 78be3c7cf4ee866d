"""`View`: an answer of HTTP is its event, but for the few differences that are declared; pure.

By rule names become camel case, moments (``ts``, ``*_ts``: ns since 1970 UTC) become ms, Decimals are written
as the view says, and events inside the event are viewed too. What a field's type says of it stays with it,
in the names that callers read.
"""

from __future__ import annotations

import math
import re
import typing
from decimal import Decimal
from functools import cache
from inspect import signature
from types import GenericAlias, NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from libs.common.events import Event, Part
from libs.common.time_units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

encode: Final = msgspec.json.Encoder().encode

E = TypeVar("E", bound=msgspec.Struct)


class Computed(NamedTuple):
    """A field that the event does not have; the rules hold for its value as if the event had it."""

    kind: Any
    description: str  # what it means, and its unit
    make: Callable[..., object]  # of the event, and of what is given with it, by name


class _Rule(NamedTuple):
    """The type of an answer's field, and the source of its value by that of the event's."""

    kind: Any
    source: Callable[[str], str] = str  # by rule the event's own


Decimals: typing.TypeAlias = Literal["number", "text", "plain text"]
_DECIMALS: Final[Mapping[Decimals, _Rule]] = {
    "number": _Rule(float, "number({})".format),
    "text": _Rule(Decimal),  # in the digits that it has, with an exponent where it has one
    "plain text": _Rule(str, "format({}, 'f')".format),
}
_NOTHING: Final[Mapping[str, Any]] = {}


class View(typing.Generic[E]):
    """Makes answers from events of one kind.

    Parameters
    ----------
    name
        The answer's, as OpenAPI has it.
    kind
        The event, or a part of one.
    doc
        What the answer is; by rule what the event is.
    drop
        Fields that are not answered.
    rename
        What callers read instead of a field's name.
    change
        What a field holds instead: a pure function of the event, and of what is given with it, by name.
    computed
        Further fields, by name.
    parts
        The views of events inside the event; one that is not named is viewed by rule.
    decimals
        How Decimals are written.

    Raises
    ------
    ValueError
        If a difference is of no field of the event, two fields have one name, or a part is not inside.
    """

    def __init__(  # noqa: PLR0913 -- one of each kind of difference
        self,
        name: str,
        kind: type[E],
        doc: str | None = None,
        *,
        drop: Collection[str] = (),
        rename: Mapping[str, str] = _NOTHING,
        change: Mapping[str, Callable[..., object]] = _NOTHING,
        computed: Mapping[str, Computed] = _NOTHING,
        parts: Sequence[View[Any]] = (),
        decimals: Decimals = "number",
    ) -> None:
        self.kind, self._name, self._decimals = kind, name, decimals
        self._parts = {each.kind: each for each in parts}
        self._met: set[type] = set()  # of parts inside the event
        self._names: dict[str, Any] = {"number": _number}  # that the source of `make` knows
        kept = [field for field in kind.__struct_fields__ if field not in drop]
        for what, named, fields in (
            ("drop", drop, kind.__struct_fields__),
            ("rename", rename, kept),
            ("change", change, kept),
        ):
            if unknown := sorted(set(named) - set(fields)):
                raise ValueError(
                    f"{name}: {kind.__name__} has no {unknown} to {what}; it has {', '.join(fields)}"
                )
        self._called = {
            each: rename.get(each) or camel(each) for each in (*kind.__struct_fields__, *computed)
        }
        names = [self._called[field] for field in (*kept, *computed)]
        if twice := sorted({each for each in names if names.count(each) > 1}):
            raise ValueError(f"{name}: two fields are called {twice}; drop the event's, or rename one")
        hints = typing.get_type_hints(kind, include_extras=True)
        rules = {field: self._rule(field, hints[field]) for field in kept}
        makers = dict(change)
        for field, each in computed.items():
            rules[field] = self._rule(field, Annotated[each.kind, Meta(description=each.description)])
            makers[field] = each.make
        if unmet := sorted(each.__name__ for each in self._parts.keys() - self._met):
            raise ValueError(f"{name}: there is no {unmet} in {kind.__name__} to be viewed as a part")
        self.struct = msgspec.defstruct(  # fields under the event's names, encoded as callers read them
            name,
            [(field, rule.kind) for field, rule in rules.items()],
            namespace={"__doc__": doc or self._worded(kind.__doc__ or "")},
            rename=dict(zip(rules, names, strict=True)),
            frozen=True,
            gc=False,
        )
        given = {field: tuple(signature(make).parameters)[1:] for field, make in makers.items()}
        values = [
            self._made(makers[field], given[field], rule)
            if field in makers
            else rule.source(f"event.{field}")
            for field, rule in rules.items()
        ]
        wanted = sorted({each for names in given.values() for each in names})
        parameters = ", ".join(("event", *("*",) * bool(wanted), *wanted))
        source = f"lambda {parameters}: {self._named(self.struct)}({', '.join(values)})"
        # Compiled, as dataclasses are: to look the fields up one by one takes twice as long as to name them.
        self.make: Callable[..., msgspec.Struct] = eval(source, self._names)  # noqa: S307 -- of names alone

    def __call__(self, event: E, **given: object) -> msgspec.Struct:
        """Return the answer that shows `event`."""
        return self.make(event, **given)

    def _named(self, value: object) -> str:
        """Return a name under which `make` knows `value`."""
        name = f"_{len(self._names)}"
        self._names[name] = value
        return name

    def _made(self, make: Callable[..., object], given: tuple[str, ...], rule: _Rule) -> str:
        """Return the source of a value that is made of the event and of what is given with it."""
        value = f"{self._named(make)}({', '.join(['event', *(f'{each}={each}' for each in given)])})"
        return value if rule.source is str else f"(lambda value: {rule.source('value')})({value})"

    def _rule(self, field: str, kind: object) -> _Rule:
        """Return the rule of a field of this type, or of what is inside it."""
        args = typing.get_args(kind)
        if typing.get_origin(kind) is Annotated:
            rule = self._rule(field, args[0])
            return rule._replace(kind=Annotated[(rule.kind, *map(self._worded_meta, args[1:]))])
        if args:
            return self._rule_of_many(kind, [self._rule(field, each) for each in args])
        if kind is int and (field == "ts" or field.endswith("_ts")):
            return _Rule(int, f"{{}} // {NS_PER_MS}".format)
        if kind is Decimal:
            return _DECIMALS[self._decimals]
        if isinstance(kind, type) and issubclass(kind, Event | Part):
            self._met.add(kind)
            view = self._parts.get(kind) or _by_rule(kind, self._decimals)
            return _Rule(view.struct, f"{self._named(view.make)}({{}})".format)
        return _Rule(kind)

    def _worded_meta(self, meta: object) -> object:
        if not isinstance(meta, Meta) or meta.description is None:
            return meta
        said: dict[str, Any] = dict(meta.__rich_repr__())
        return Meta(**said | {"description": self._worded(meta.description)})

    def _worded(self, text: str) -> str:
        """Return a text that names the event's fields as callers read them."""
        return re.sub(r"\w+_\w+", lambda found: self._called.get(found[0], found[0]), text)

    def _rule_of_many(self, kind: object, rules: list[_Rule]) -> _Rule:
        """Return the rule of a tuple, a dict or a union, by the rules of what is inside."""
        converted = [rule for rule in rules if rule.source is not str]
        if not converted:
            return _Rule(kind)
        one, source = converted[0]
        origin, inside = typing.get_origin(kind), [rule.kind for rule in rules]
        if origin is tuple and inside == [one, ...]:
            many = GenericAlias(tuple, (one, ...))
            return _Rule(many, lambda value: f"tuple([{source('each')} for each in {value}])")
        if origin is dict and rules[1] == converted[0]:
            by_key = GenericAlias(dict, (inside[0], one))
            return _Rule(by_key, lambda value: f"{{key: {source('each')} for key, each in {value}.items()}}")
        if origin in (typing.Union, UnionType) and inside == [one, NoneType]:
            return _Rule(one | None, lambda value: f"None if {value} is None else {source(value)}")
        raise ValueError(f"{self._name}: there is no rule for {kind}; drop it, and compute what is answered")


@cache
def _by_rule(kind: type[msgspec.Struct], decimals: Decimals) -> View[Any]:
    """Return the one view without differences: two types of one name would pass for each other."""
    return View(kind.__name__, kind, decimals=decimals)


def _number(value: Decimal) -> float:
    """Return a Decimal as a float; a signaling NaN, which is none to Python, is NaN too."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def camel(name: str) -> str:
    """Return a name in snake case as HTTP has it."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
