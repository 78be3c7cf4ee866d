"""`bookrunner ask`: one request to the gateway, wherever it listens, with the token where one is needed."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from libs.cli.errors import CommandError, UsageError

if TYPE_CHECKING:
    from libs.cli.settings import CliSettings

MOST_BYTES: Final = 64 * 1024 * 1024  # of an answer; the longest of the gateway have a few
PATIENCE_S: Final = 330.0  # plan-and-execute?wait=final waits for five minutes at most


class _NotFollowed(urllib.request.HTTPRedirectHandler):
    """Goes to no other address: the token is for the gateway alone."""

    def redirect_request(self, *_redirect: object) -> None:
        """Return no request, so that the answer is an error."""


def ask(settings: CliSettings, route: str, body: str | None, patience_s: float = PATIENCE_S) -> str:
    """Return the gateway's answer: of a GET, or of a POST if there is a body.

    Raises
    ------
    UsageError
        If the body is no JSON.
    CommandError
        If nobody answers, or the answer is a problem; its text is the problem's.
    """
    path = (
        route.removeprefix("/") if route.startswith(("/api/", "api/")) else f"api/{route.removeprefix('/')}"
    )
    address = f"http://{settings.gateway_host}:{settings.gateway_port}"
    request = urllib.request.Request(f"{address}/{path}", data=_checked(body))  # noqa: S310 -- the scheme is http
    if body is not None:
        request.add_header("Content-Type", "application/json")
        if (token := settings.bearer()) is not None:
            request.add_header("Authorization", f"Bearer {token}")
    direct = urllib.request.ProxyHandler({})  # it is on this machine, mostly
    opener = urllib.request.build_opener(direct, _NotFollowed)
    try:
        with opener.open(request, timeout=patience_s) as reply:
            return str(reply.read(MOST_BYTES).decode(errors="replace"))
    except urllib.error.HTTPError as error:
        if "Location" in error.headers:
            raise CommandError(f"redirected to {error.headers['Location']}, not followed") from error
        raise CommandError(f"{error.code}: {error.read(MOST_BYTES).decode(errors='replace')}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise CommandError(
            f"the gateway does not answer on {settings.gateway_host}:{settings.gateway_port} ({reason}): "
            "start it with `make run`, or set GATEWAY_PORT"
        ) from error


def _checked(body: str | None) -> bytes | None:
    if body is None:
        return None
    try:
        json.loads(body)
    except ValueError as error:
        raise UsageError(f"the body is no JSON: {error}") from error
    return body.encode()
