"""What every client's process does: lead its dials to the simulator's door, and answer for its books.

``python -m tests.peers.child MODULE VENUE`` runs a client's module in the clients' environment: nothing
else of this project is at hand there.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import runpy
import socket
import sys
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Levels = Iterable[tuple[Any, Any]]
    Tops = Callable[[str], tuple[Levels, Levels]]

SYMBOLS: Final = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
TOP: Final = 10  # levels a side that are compared
_SAID: Final = 20  # of what went wrong


@dataclass
class Tally:
    """What a client did at one venue, all its books together."""

    version: str
    messages: int = 0  # book messages, snapshots too
    checksums: int = 0  # verified by the client
    sequences: int = 0  # messages whose number the client held against the one before
    resyncs: int = 0  # books begun anew
    rest: list[str] = field(default_factory=list)  # routes asked, whose answers were as documented
    wrong: list[str] = field(default_factory=list)  # what the client said is wrong

    def complain(self, what: object) -> None:
        """Keep what a client said is wrong, the first times."""
        if len(self.wrong) < _SAID:
            self.wrong.append(f"{type(what).__name__}: {what}" if isinstance(what, Exception) else str(what))


def redirect() -> None:
    """Let every host and port be the door in PEERS_DOOR, and trust its certificate."""
    port, ask, certificate = int(os.environ["PEERS_DOOR"]), socket.getaddrinfo, os.environ["SSL_CERT_FILE"]

    def to_door(host: Any, _port: Any, *args: Any, **options: Any) -> Any:
        del host
        return ask("127.0.0.1", port, *args, **options)

    socket.getaddrinfo = to_door  # type: ignore[assignment]  # of whatever it is asked
    certifi: Any = importlib.import_module("certifi")
    certifi.where = lambda: certificate
    if importlib.util.find_spec("aiohttp") is None:
        return
    resolver: Any = importlib.import_module("aiohttp.resolver")
    connector: Any = importlib.import_module("aiohttp.connector")
    # c-ares would not ask `getaddrinfo`.
    resolver.DefaultResolver = connector.DefaultResolver = resolver.ThreadedResolver


def answer_for(tally: Tally, tops: Tops) -> None:
    """Write tally and best levels as a line of JSON for each line on the standard input; end with it."""

    def answer() -> None:
        for _ in sys.stdin:
            books = {}
            for symbol in SYMBOLS:
                try:
                    sides = [_plain(side) for side in tops(symbol)]
                except (KeyError, IndexError, AttributeError, TypeError, RuntimeError):
                    sides = [[], []]  # there is none yet, or it changed meanwhile
                books[symbol] = sides
            sys.stdout.write(json.dumps({**asdict(tally), "books": books}) + "\n")
            sys.stdout.flush()
        os._exit(0)

    threading.Thread(target=answer, daemon=True).start()


def check(tally: Tally, route: str, answer: Callable[[], object], *, holds: Callable[[Any], object]) -> None:
    """Ask something by REST; note the route if the answer is right, else what was wrong."""
    try:
        got = answer()
        if holds(got):
            tally.rest.append(route)
        else:
            tally.complain(f"{route} answers {str(got)[:300]}")
    except Exception as error:  # noqa: BLE001 -- of any client: it is reported
        tally.complain(f"{route}: {type(error).__name__}: {str(error)[:300]}")


def _plain(side: Levels) -> list[list[float]]:
    return [[float(price), float(size)] for price, size in list(side)[:TOP]]


if __name__ == "__main__":
    redirect()
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=False)
