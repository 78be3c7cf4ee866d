"""The public package of Bookrunner: write a policy, read its topics, hold its books, ask its gateway.

`Policy`, `Market`, `Book`, `Signal`
    What a policy is, and what it sees (docs/policies.md).
`events`
    Every message of every topic, with the meaning and unit of each field.
`OrderBook`
    A book that follows its keyframes and deltas.
`subscribe`
    The records of topics, decoded, from any moment on.
`books`
    Verified order books of this moment.
`Client`, `ProblemError`
    The gateway's HTTP, a method a route.

Each name is imported at its first use: a policy needs neither Kafka nor HTTP, and gets neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bookrunner.http_client import Client
    from bookrunner.http_problem import ProblemError
    from bookrunner.live import Books, BookUpdate, books
    from bookrunner.records import Record, Subscription, subscribe
    from libs.common import events
    from libs.common.order_book import OrderBook
    from libs.common.policy import Book, Market, Policy, Signal

__all__ = [
    "Book",
    "BookUpdate",
    "Books",
    "Client",
    "Market",
    "OrderBook",
    "Policy",
    "ProblemError",
    "Record",
    "Signal",
    "Subscription",
    "books",
    "events",
    "subscribe",
]

_FOUND_IN: Final = {
    "Book": "libs.common.policy",
    "BookUpdate": "bookrunner.live",
    "Books": "bookrunner.live",
    "Client": "bookrunner.http_client",
    "Market": "libs.common.policy",
    "OrderBook": "libs.common.order_book",
    "Policy": "libs.common.policy",
    "ProblemError": "bookrunner.http_problem",
    "Record": "bookrunner.records",
    "Signal": "libs.common.policy",
    "Subscription": "bookrunner.records",
    "books": "bookrunner.live",
    "events": "libs.common.events",
    "subscribe": "bookrunner.records",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- mypy reads the imports above
    """Import a name at its first use."""
    if name not in _FOUND_IN:
        raise AttributeError(f"bookrunner has no {name!r}; it has {', '.join(__all__)}")
    module = import_module(_FOUND_IN[name])
    return module if name == "events" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
