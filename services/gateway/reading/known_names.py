"""The names that callers may use: symbols that somebody lists, policies, features of scopes; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from libs.common.command_rules import IDENTIFIER
from libs.common.context_fields import BY_NAME, nearest
from libs.common.instruments import INSTRUMENTS
from services.gateway.http.problems import UNKNOWN_NAME, UNKNOWN_SYMBOL, ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.events import DeclaredFeature
    from services.gateway.reading.topic_views import GatewayViews

LISTED: Final = frozenset(symbol for _, symbol in INSTRUMENTS)
SHOWN: Final = 20  # of a list of names


def require_symbol(views: GatewayViews, symbol: str) -> None:
    """Refuse a canonical symbol that no venue lists and that has no book.

    Raises
    ------
    ProblemError
        404 with the nearest one that there is.
    """
    if symbol in LISTED:
        return
    known = LISTED | {key.decode("utf-8", "replace").rpartition(":")[2] for key in views.subscribed()}
    if symbol not in known:
        said = nearest(symbol, sorted(known))
        raise ProblemError(UNKNOWN_SYMBOL, f"No venue lists {symbol}, and it has no book{said}")


def knows_scope(views: GatewayViews, scope: str) -> bool:
    """Tell whether the router tells of a scope."""
    return scope.encode() in views.router_snapshots.items


def knows_policy(views: GatewayViews, policy_id: str) -> bool:
    """Tell whether a policy is registered, or has a signal already."""
    if policy_id.encode() in views.policies.items:
        return True
    said = f"{policy_id}:".encode()
    return any(key.startswith(said) for key in views.signals.items)


def require_policy(views: GatewayViews, policy_id: str) -> None:
    """Refuse the name of a policy that nobody has registered and that has no signal.

    Raises
    ------
    ProblemError
        404 with the nearest one, and those that there are.
    """
    if knows_policy(views, policy_id):
        return
    registered = {each.policy_id for each in views.policies.items.values()}
    names = registered | {each.policy_id for each in views.signals.items.values()}
    known = sorted(filter(IDENTIFIER.fullmatch, names))
    listed = f"{', '.join(known[:SHOWN])}{', …' * (len(known) > SHOWN)}" or "none yet"
    said = nearest(policy_id, known)
    raise ProblemError(UNKNOWN_NAME, f"There is no policy {policy_id!r}{said}; there are: {listed}.")


def features_of_scope(
    views: GatewayViews, scope: str, new: Sequence[DeclaredFeature]
) -> Sequence[DeclaredFeature]:
    """Return the features of a scope beside those of all; `new` are what a new one begins with."""
    found = views.router_snapshots.items.get(scope.encode())
    return new if found is None else found.declared


def input_name_fault(
    views: GatewayViews, name: str, value: float, new: Sequence[DeclaredFeature]
) -> tuple[str, str] | None:
    """Return which field of a context input is wrong, and how; None where neither is.

    A name that several scopes declare may have any value that is right for one of them.
    """
    if (field := BY_NAME.get(name)) is not None:
        ranges = [(field.low, field.high, field.meaning)]
    else:
        scopes = (snapshot.declared for snapshot in views.router_snapshots.items.values())
        declared = [each for features in (new, *scopes) for each in features]
        ranges = [(each.low, each.high, "declared of a scope") for each in declared if each.name == name]
        if not ranges:
            known = [*BY_NAME, *dict.fromkeys(each.name for each in declared)]
            listed = f"{', '.join(known[:SHOWN])}{', …' * (len(known) > SHOWN)}"
            return "name", (
                f"is no field of contexts{nearest(name, known)}; known are: {listed}. A scope's own begin "
                "with POST /api/router/scopes"
            )
    if any(low <= value <= high for low, high, _ in ranges):
        return None
    right = "; or ".join(f"from {low:g} to {high:g}: {what}" for low, high, what in dict.fromkeys(ranges))
    return "value", f"must be a number {right}"
