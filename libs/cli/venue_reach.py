"""Whether the venues of L2_BOOKS serve this address, and through which proxy they are asked; of `doctor`."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
from pydantic import ValidationError

from libs.cli.checks import clock_finding
from libs.cli.findings import Finding, Verdict
from libs.common.book_settings import BookSettings
from libs.common.proxies import Proxies, UnusableProxyError
from libs.common.venue_http import FAILURES, VenueHttp, told
from libs.common.venues import venue_of

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_S: Final = 6.0
MOST_BYTES: Final = 64 * 1024
SERVES: Final = range(200, 300)
REDIRECTIONS: Final = range(300, 400)
BLOCKED: Final = frozenset({403, 451})
BANNED: Final = frozenset({418, 429})
DROP: Final = "drop the venue from L2_BOOKS"
HOSTS: Final = "docs/l2.md, Hosts"


class Answer(NamedTuple):
    """What came of asking one host."""

    host: str
    way: str  # how it was asked
    status: int = 0  # of HTTP; 0: no answer, and `reason` says why
    reason: str = ""
    ahead_s: float | None = None  # of our clock against the venue's, seconds
    uncertain_s: float = 0.0


class _Time(msgspec.Struct):
    # binance-spot-api-docs, rest-api.md, general endpoints: ms. The others' clocks are read off their header.
    server_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = msgspec.field(name="serverTime")


async def examine(feed: str, simulator_url: str) -> list[Finding]:
    """Return what there is to say of the ways out; never raises for what it looks at."""
    proxies = Proxies.of_environment()
    if feed != "live":
        return [
            _way_finding("simulator", simulator_url, proxies),
            Finding(Verdict.OK, "clock", "the simulator shares it; checked against exchanges with FEED=live"),
        ]
    try:
        settings = BookSettings()
    except ValidationError as error:
        said = ((each["loc"][0], each["msg"].removeprefix("Value error, ")) for each in error.errors())
        wrong = "; ".join(f"{str(name).upper()}: {why}" for name, why in said)
        return [Finding(Verdict.FAIL, "venues", wrong, "mend the setting")]
    async with VenueHttp(proxies) as http:
        venues = dict.fromkeys(venue for venue, _ in settings.books())
        asked = await asyncio.gather(*(_ask_venue(http, settings, venue) for venue in venues))
    findings = [venue_finding(venue, *answers) for venue, answers in zip(venues, asked, strict=True)]
    return [*findings, *_clock([rest for _, rest in asked])]


def venue_finding(venue: str, stream: Answer, rest: Answer) -> Finding:
    """Judge what a venue's two hosts answered: one line.

    A plain request to the host of sockets is no handshake, so that any answer but a block shows that it is
    reached.
    """
    both = (rest, stream)
    other = f"set L2_HOSTS ({HOSTS}) or {DROP}"
    for answer in both:
        if answer.status == 451 or (answer.status in BLOCKED and answer is rest):  # noqa: PLR2004
            says = f"{answer.host} is blocked here ({answer.status}), asked {answer.way}"
            return Finding(Verdict.FAIL, venue, says, other)
    for answer in both:
        if not answer.status:
            says = f"{answer.host} cannot be reached: {answer.reason}"
            return Finding(Verdict.FAIL, venue, says, f"mend the network, or {other}")
        if answer.status in BANNED:
            says = f"{answer.host} asks us to wait ({answer.status}), asked {answer.way}"
            return Finding(Verdict.WARN, venue, says, "wait: more requests make a ban longer")
    if rest.status in REDIRECTIONS:
        says = f"{rest.host} sends us elsewhere ({rest.status}), which is not followed"
        return Finding(Verdict.FAIL, venue, says, other)
    if rest.status not in SERVES:
        says = f"{rest.host} answers HTTP {rest.status}, asked {rest.way}"
        return Finding(
            Verdict.WARN, venue, says, "look again in a minute; the venue's status page may say more"
        )
    if stream.way == rest.way:
        return Finding(Verdict.OK, venue, f"{stream.host} and {rest.host} answer, {rest.way}")
    return Finding(Verdict.OK, venue, f"{stream.host} answers {stream.way}, {rest.host} {rest.way}")


def way_of(proxies: Proxies, url: str) -> str:
    """Return how an address is asked, in words."""
    proxy = proxies.to(url)
    if proxy is not None:
        return f"through {proxy}"
    return "directly" if proxies.none_set else "directly, past the proxy variables"


async def _ask_venue(http: VenueHttp, settings: BookSettings, venue: str) -> tuple[Answer, Answer]:
    hosts = settings.live_hosts(venue)
    return await asyncio.gather(
        _ask(http, hosts.stream, ""), _ask(http, hosts.rest, venue_of(venue).probe_path)
    )


async def _ask(http: VenueHttp, base: str, path: str) -> Answer:
    """Ask one host; a host of sockets as one asks any of HTTP, the way that its sockets go."""
    host = urlsplit(base).netloc
    try:
        way = way_of(http.proxies, base)
        before = time.time()
        url = f"http{base.removeprefix('http').removeprefix('ws')}{path}"
        async with http.get(url, aiohttp.ClientTimeout(total=ANSWER_S), way_to=base) as reply:
            after = time.time()
            body = await reply.content.read(MOST_BYTES)
            ahead = _ahead_s(body, reply.headers.get("Date", ""), before, after)
            return Answer(host, way, reply.status, "", *ahead)
    except FAILURES as error:
        return Answer(host, "", 0, told(error, http.proxies, base))


def _ahead_s(body: bytes, date: str, before: float, after: float) -> tuple[float | None, float]:
    """Return how far our clock is ahead of what an answer says, and how uncertain that is; seconds."""
    ours, half = (before + after) / 2, (after - before) / 2
    try:
        return ours - msgspec.json.decode(body, type=_Time).server_ms / 1000, half
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # another venue's
    try:
        return ours - parsedate_to_datetime(date).timestamp() - 0.5, half + 0.5  # of whole seconds
    except (ValueError, OverflowError, IndexError, TypeError):
        return None, 0.0


def _clock(answers: Sequence[Answer]) -> list[Finding]:
    known = [(each.uncertain_s, each.ahead_s) for each in answers if each.ahead_s is not None]
    if not known:
        return [Finding(Verdict.WARN, "clock", "no venue answers, so it is compared with none")]
    uncertain_s, ahead_s = min(known)
    return [clock_finding(ahead_s, uncertain_s)]


def _way_finding(name: str, url: str, proxies: Proxies) -> Finding:
    host = urlsplit(url).netloc
    try:
        return Finding(Verdict.OK, "way out", f"{name} {host}: {way_of(proxies, url)}")
    except UnusableProxyError as error:
        return Finding(Verdict.FAIL, "way out", f"{name} {host}: {error}", "mend the variable, or unset it")
