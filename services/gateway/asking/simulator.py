"""`Simulator`: what the simulated exchanges' own control routes say, and faults asked of them; a shell.

No proxy is used: the simulator is a process of this system.

References
----------
simulator/control.py, whose routes these are.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from services.gateway.http.problems import INVALID, UNAVAILABLE, UNKNOWN_NAME, FieldError, ProblemError

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

FEED: Final = "simulator"
PATIENCE_S: Final = 5.0
MOST_BYTES: Final = 4 * 1024 * 1024  # of an answer
TOLD_CHARS: Final = 500


class Fault(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A fault that was asked for, and what became of it."""

    id: Annotated[int, Meta(description="its number")]
    kind: Annotated[str, Meta(description="one of `kinds`")]
    venue: Annotated[str, Meta(description="where")]
    symbol: Annotated[str | None, Meta(description="of this symbol alone; null: of all")]
    injected: Annotated[int, Meta(description="how often it struck")]
    state: Annotated[str, Meta(description="`armed`, `active` or `spent`")]
    once: Annotated[bool, Meta(description="it strikes once")] = False
    probability: Annotated[
        float | None, Meta(description="with which it strikes at each chance; null: none was said")
    ] = None
    duration_s: Annotated[
        float | None, Meta(description="how long it lasts or is armed, seconds; null: not said")
    ] = None
    endpoint: Annotated[str | None, Meta(description="of whose answers it is; null: of the whole venue")] = (
        None
    )
    status: Annotated[
        int | None, Meta(description="of HTTP, with which a venue blocks; null: it does not")
    ] = None
    at: Annotated[
        str | None, Meta(description="where a venue blocks: `socket`, `rest` or `both`; null: it does not")
    ] = None
    system: Annotated[str | None, Meta(description="what clients are told of maintenance; null: nothing")] = (
        None
    )
    side: Annotated[
        str | None, Meta(description="of the book, that is gone: `bids` or `asks`; null: none")
    ] = None
    grace_s: Annotated[
        float | None, Meta(description="between notice and cut, seconds; null: no cut was announced")
    ] = None
    age_s: Annotated[
        float | None, Meta(description="at which connections are cut, seconds; null: they are not")
    ] = None
    bytes_per_s: Annotated[
        int | None, Meta(description="that a line carries, bytes per second; null: no limit")
    ] = None
    bps: Annotated[float | None, Meta(description="by which the price moves, bps; null: it does not")] = None


class FaultsAnswer(Struct, frozen=True, kw_only=True):
    """The faults that there are."""

    faults: Annotated[tuple[Fault, ...], Meta(description="that were asked for and not ended")]


class SimulatedBook(Struct, frozen=True, kw_only=True):
    """A book of the simulated exchanges."""

    venue: Annotated[str, Meta(description="id of the exchange")]
    symbol: Annotated[str, Meta(description="canonical BASE-QUOTE")]


class KindOfFault(Struct, frozen=True, kw_only=True):
    """What may be asked for."""

    kind: Annotated[str, Meta(description="its name")]
    must: Annotated[
        tuple[str, ...], Meta(description="fields needed beside kind and venue; `a|b` is one of the two")
    ]
    may: Annotated[tuple[str, ...], Meta(description="fields that it takes, too")]
    venues: Annotated[tuple[str, ...], Meta(description="that know it; empty: all")] = ()
    choices: Annotated[
        dict[str, tuple[str | int, ...]], Meta(description="by field, its values where others are refused")
    ] = {}
    meaning: Annotated[str, Meta(description="what it does, in words")]


class SimulatedExchangesAnswer(Struct, frozen=True, kw_only=True):
    """The simulated exchanges, and what goes wrong at them on demand."""

    feed: Annotated[str, Meta(description="`simulator`")]
    faults: Annotated[tuple[Fault, ...], Meta(description="that were asked for and not ended")]
    injected: Annotated[dict[str, int], Meta(description="how often each kind struck since the start")]
    books: Annotated[tuple[SimulatedBook, ...], Meta(description="that a fault may be of")]
    kinds: Annotated[tuple[KindOfFault, ...], Meta(description="of faults")]


class _Faults(Struct):
    faults: tuple[Fault, ...]
    injected: dict[str, int] = {}


class _Books(Struct):
    books: tuple[SimulatedBook, ...]


class Simulator:
    """The simulator of this system; every method refuses where the feed is another one.

    Parameters
    ----------
    feed
        simulator, replay or live.
    url
        Base address of the simulator.
    """

    def __init__(self, feed: str, url: str) -> None:
        self._feed, self._url = feed, f"{url.rstrip('/')}/control"

    async def shown(self) -> SimulatedExchangesAnswer:
        """Return what there is.

        Raises
        ------
        ProblemError
            404 if the feed is no simulator, 503 if it does not answer.
        """
        faults, books, kinds = await asyncio.gather(
            self._ask("GET", "faults", _Faults),
            self._ask("GET", "books", _Books),
            self._ask("GET", "kinds", tuple[KindOfFault, ...]),
        )
        return SimulatedExchangesAnswer(
            feed=self._feed, faults=faults.faults, injected=faults.injected, books=books.books, kinds=kinds
        )

    async def add(self, fault: Mapping[str, Any]) -> Fault:
        """Ask for a fault; raises as `shown`, and 422 with the simulator's words if it refuses."""
        return await self._ask("POST", "faults", Fault, fault)

    async def end(self, number: int | None = None) -> FaultsAnswer:
        """End a fault, or all; raises as `shown`, and 404 if there is none of this number."""
        path = "faults" if number is None else f"faults/{number}"
        return FaultsAnswer(faults=(await self._ask("DELETE", path, _Faults)).faults)

    async def _ask(self, method: str, path: str, kind: type[T], body: Mapping[str, Any] | None = None) -> T:
        if self._feed != FEED:
            raise ProblemError(
                UNKNOWN_NAME, f"There is no simulation: the books come from FEED={self._feed}, not simulator."
            )
        status, answer = await self._answer(method, path, body)
        if status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(status, answer)
        try:
            return msgspec.json.decode(answer, type=kind)
        except msgspec.DecodeError as error:
            raise _away("answers something else than expected: it is of another version") from error

    async def _answer(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        import aiohttp  # noqa: PLC0415 -- for gateways of a simulator that are asked for it

        data = None if body is None else msgspec.json.encode(body)
        patience = aiohttp.ClientTimeout(total=PATIENCE_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as session,
                session.request(
                    method,
                    f"{self._url}/{path}",
                    data=data,
                    headers={"content-type": "application/json"},
                    allow_redirects=False,
                ) as reply,
            ):
                read = bytearray()
                async for piece in reply.content.iter_any():
                    read += piece
                    if len(read) > MOST_BYTES:
                        raise _away(f"answers more than {MOST_BYTES} bytes")
                return reply.status, bytes(read)
        except TimeoutError as error:
            raise _away(f"does not answer within {PATIENCE_S:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no address
            raise _away(f"cannot be reached: {type(error).__name__}") from error


def _away(why: str) -> ProblemError:
    return ProblemError(UNAVAILABLE, f"The simulator {why}.", retry_after_s=1)


def _refusal(status: int, answer: bytes) -> ProblemError:
    try:
        said = str(msgspec.json.decode(answer, type=dict[str, Any]).get("error", ""))[:TOLD_CHARS]
    except msgspec.DecodeError:
        said = ""
    if status == HTTPStatus.NOT_FOUND:
        return ProblemError(UNKNOWN_NAME, f"The simulator says: {said or 'it is not there'}.")
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        detail = f"The simulator says: {said}."
        return ProblemError(INVALID, detail, errors=(FieldError("", said),))
    return _away(f"answers with status {status}")
