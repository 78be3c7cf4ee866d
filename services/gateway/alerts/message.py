"""An alert as the receiver gets it: JSON with one sentence for people, and fields for programs; pure.

References
----------
Slack's incoming webhooks read `text` (https://api.slack.com/messaging/webhooks), Discord's `content`, at most
2,000 characters (https://discord.com/developers/docs/resources/webhook#execute-webhook); each leaves the
fields of the other alone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from libs.common.time_units import NS_PER_MS, NS_PER_S
from services.gateway.alerts.cause import KINDS, RUNBOOKS, harmless

if TYPE_CHECKING:
    from services.gateway.alerts.cause import Detail
    from services.gateway.alerts.ledger import Alert

MOST_TEXT: Final = 1_500  # characters of the sentence; Discord refuses a message over 2,000
MOST_DETAILS: Final = 20
MOST_BYTES: Final = 32_768  # of a body: characters take six bytes at most, `\\uXXXX`


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request to the webhook; times are ms UTC."""

    text: Annotated[str, msgspec.Meta(description="the sentence; for Slack and bridges to Telegram")]
    content: Annotated[str, msgspec.Meta(description="the same; for Discord")]
    cause: str
    severity: str
    state: str
    key: str
    since: int
    ts: int
    details: dict[str, Detail]
    source: str


def message_of(alert: Alert, source: str) -> Message:
    """Return what is sent of an alert; `source` names the gateway that sends it."""
    cause, kind = alert.cause, KINDS[alert.cause.kind]
    text = _sentence(alert)[:MOST_TEXT]
    details: dict[str, Detail] = {
        name: harmless(value) if isinstance(value, str) else value
        for name, value in list(cause.details.items())[:MOST_DETAILS]
    }
    if cause.why:
        details["reason"] = harmless(cause.why)
    details["suppressed"] = alert.suppressed
    if alert.lasted_ns is not None:
        details["lastedS"] = round(alert.lasted_ns / NS_PER_S, 1)
    details["runbook"] = f"{RUNBOOKS}#{kind.anchor}"
    return Message(
        text=text,
        content=text,
        cause=cause.kind,
        severity=cause.severity or kind.severity,
        state=alert.state,
        key=harmless(cause.key),
        since=alert.since // NS_PER_MS,
        ts=alert.ts // NS_PER_MS,
        details=details,
        source=harmless(source),
    )


def encode(message: Message) -> bytes:
    """Return the body, at most `MOST_BYTES`."""
    return msgspec.json.encode(message)


def _sentence(alert: Alert) -> str:
    cause, kind = alert.cause, KINDS[alert.cause.kind]
    what, why = harmless(cause.what), f" ({harmless(cause.why)})" if cause.why else ""
    more = f"; {alert.suppressed} more since the last message were not told" if alert.suppressed else ""
    runbook = f"{RUNBOOKS}#{kind.anchor}"
    if alert.lasted_ns is None:
        severity = (cause.severity or kind.severity).upper()
        since = f"{what} since {_time(alert.since)}{why}"
        return f"Bookrunner {severity}: {since}: {cause.to_do or kind.to_do}, see {runbook}{more}."
    lasted = f"after {_span(alert.lasted_ns)}: it began at {_time(alert.since)}{why}"
    return f"Bookrunner OK: {harmless(cause.over)} since {_time(alert.ts)}, {lasted}{more}."


def _time(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // NS_PER_S, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(span_ns: int) -> str:
    minutes, seconds = divmod(round(span_ns / NS_PER_S), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
