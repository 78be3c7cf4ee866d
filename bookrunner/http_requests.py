"""How requests are made to the gateway: addresses, ids, tokens, answers; a shell."""

from __future__ import annotations

import os
import time
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import aiohttp
import msgspec
from yarl import URL

from bookrunner.http_problem import ProblemError
from libs.cli.run_folder import host_and_port
from libs.cli.settings import CliSettings

if TYPE_CHECKING:
    from types import TracebackType

Json: TypeAlias = Any
"""An answer as JSON has it; /docs of the gateway describes each."""

PATIENCE_S: Final = 330.0  # plan_and_execute(wait="final") waits for five minutes at most
_OK: Final = range(200, 300)


class Requests:
    """A connection to the gateway; an asynchronous context manager.

    Parameters
    ----------
    url
        Like http://127.0.0.1:5000; else that of GATEWAY_HOST and GATEWAY_PORT, else of the system that runs
        here.
    token
        What the gateway asks of whoever changes something, if it does; else GATEWAY_TOKEN, else what the
        system that runs here keeps for its owner. It is sent with changes only.
    timeout_s
        How long an answer is waited for.
    """

    def __init__(
        self, url: str | None = None, *, token: str | None = None, timeout_s: float = PATIENCE_S
    ) -> None:
        if url is None:
            settings = CliSettings.of_running_system()
            url = f"http://{host_and_port(settings.gateway_host, settings.gateway_port)}"
            token = token if token is not None else settings.bearer()
        self.url = url.rstrip("/")
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._begun = f"{os.getpid()}:{time.time_ns()}"
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def _get(self, path: str, **query: object) -> Json:
        return await self._ask("GET", path, query=query)

    async def _delete(self, path: str, **query: object) -> Json:
        return await self._ask("DELETE", path, query=query)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, object] | None = None,
        body: dict[str, object] | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Json:
        """Return the answer to a request; parameters and fields that are None are left out.

        Raises
        ------
        ProblemError
            If the answer is no success.
        aiohttp.ClientError, TimeoutError
            If nobody answers, or not in time.
        """
        correlation_id = correlation_id or self._new_id()
        headers = {"X-Correlation-Id": correlation_id, "Accept": "application/json"}
        said = None if body is None else msgspec.json.encode(_given(body))
        if said is not None:
            headers["Content-Type"] = "application/json"
            headers["Idempotency-Key"] = idempotency_key or key_of(correlation_id, method, path, said)
        if method != "GET" and self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        asked = {name: str(value) for name, value in _given(query or {}).items()}
        address = URL(f"{self.url}{path}", encoded=True)  # as it stands: `..` is a name here
        async with self._session.request(
            method, address, params=asked, data=said, headers=headers, allow_redirects=False
        ) as answer:
            content = await answer.read()
            if answer.status not in _OK:
                raise ProblemError(answer.status, answer.headers, content)
            return msgspec.json.decode(content) if content else None

    def _new_id(self) -> str:
        return str(uuid5(NAMESPACE_URL, f"bookrunner:client/{self._begun}/{next(self._numbers)}"))


def key_of(correlation_id: str, method: str, path: str, body: bytes) -> str:
    """Return the Idempotency-Key of a request that was given none.

    The same request under the same correlation id has the same key, so it is done once, however often it is
    sent; a client makes a new id for each call that is given none.
    """
    return str(uuid5(NAMESPACE_URL, f"{correlation_id} {method} {path} {body.hex()}"))


def part(text: str) -> str:
    """Return a part of a path, whatever signs are in it."""
    return quote(text, safe="")


def _given(fields: dict[str, object]) -> dict[str, object]:
    return {_camel(name): value for name, value in fields.items() if value is not None}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.capitalize() for each in others)
