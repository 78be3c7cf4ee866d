"""Send one test message to the webhook: ``python -m services.gateway.alerts.trial``; for `bookrunner alerts`.

A shell. Exit code 0: the receiver took it; 1: it did not, or nobody answered; 2: there is no webhook.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from broker.setting_errors import sentences
from libs.common.printable import printable
from libs.common.proxies import Proxies
from services.gateway.alerts.cause import Cause
from services.gateway.alerts.ledger import Alert
from services.gateway.alerts.message import encode, message_of
from services.gateway.alerts.settings import AlertSettings
from services.gateway.alerts.webhook import NoReplyError, Webhook

if TYPE_CHECKING:
    from pydantic import SecretStr

TAKEN: Final = 0
NOT_TAKEN: Final = 1
NO_WEBHOOK: Final = 2
SHOWN: Final = 300  # characters of an answer


def a_test(host: str, now: int) -> Alert:
    """Return the alert that is sent; `now` is ns UTC."""
    cause = Cause(
        kind="test", place=host, what=f"this test message of {host} is on its way", over="", since=now
    )
    return Alert(cause, "firing", now, now)


async def try_once(url: SecretStr, proxies: Proxies, alert: Alert) -> tuple[str, int]:
    """Post the alert once; return what to print, and the exit code."""
    begun = time.monotonic()
    async with Webhook(url, proxies) as webhook:
        try:
            body = encode(message_of(alert, f"bookrunner {alert.cause.place}"))
            reply = await webhook.post(body, reads=True)
        except NoReplyError as error:
            return f"the webhook did not take it: {error}", NOT_TAKEN
    took = f"in {time.monotonic() - begun:.2f} s"
    said = f": {printable(reply.text.strip(), SHOWN)}" if reply.text.strip() else ""
    if reply.taken:
        return f"the webhook took it: status {reply.status} {took}{said}", TAKEN
    more = ", a redirect, which is not followed" if 300 <= reply.status < 400 else ""  # noqa: PLR2004 -- HTTP's own
    return f"the webhook did not take it: status {reply.status}{more} {took}{said}", NOT_TAKEN


def main() -> int:
    """Send it to ALERT_WEBHOOK_URL."""
    try:
        url = AlertSettings().alert_webhook_url
    except ValidationError as error:
        sys.stderr.write("bookrunner: " + "; ".join(sentences(AlertSettings, error)) + "\n")
        return NO_WEBHOOK
    if url is None:
        sys.stderr.write("bookrunner: ALERT_WEBHOOK_URL is not set: set it to the address of your webhook\n")
        return NO_WEBHOOK
    alert = a_test(socket.gethostname(), time.time_ns())
    line, code = asyncio.run(try_once(url, Proxies.of_environment(), alert))
    (sys.stdout if code == TAKEN else sys.stderr).write(f"{line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
