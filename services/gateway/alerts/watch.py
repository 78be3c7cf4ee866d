"""Watches the views and posts what is to be told, beside all that the gateway does; a shell.

Two tasks: one looks and judges, one posts, with the outbox between them, so that a receiver that hangs delays
nothing but its own messages. Neither ends the gateway: what fails in them is logged, counted and begun again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from services.gateway.alerts.cause import Moment
from services.gateway.alerts.ledger import Ledger
from services.gateway.alerts.message import encode, message_of
from services.gateway.alerts.outbox import Outbox
from services.gateway.alerts.totals import AlertTotals
from services.gateway.alerts.webhook import NoReplyError, Webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Never

    from pydantic import SecretStr

    from libs.common.proxies import Proxies
    from services.gateway.alerts.cause import Cause

LOOK_S: Final = 0.5  # between two looks at the views
AGAIN_S: Final = 5.0  # after an error of ours

_log = logging.getLogger(__name__)


class Watch:
    """Alerts of one gateway.

    Parameters
    ----------
    causes
        Returns what stands at a moment, or None while that is not known yet.
    url
        Of the webhook: a secret.
    source
        Names this gateway in each message.
    """

    def __init__(
        self,
        causes: Callable[[Moment], Sequence[Cause] | None],
        url: SecretStr,
        proxies: Proxies,
        source: str,
    ) -> None:
        self._causes = causes
        self._url = url
        self._proxies = proxies
        self._source = source
        self._ledger = Ledger()
        self._outbox = Outbox()
        self._filled = asyncio.Event()
        self._errors = 0

    async def run(self) -> Never:
        """Watch and post for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._post_all())
        raise AssertionError("tasks that never end have ended")

    def totals(self) -> AlertTotals:
        """Return what was counted."""
        outbox = self._outbox
        return AlertTotals(
            sent=outbox.sent,
            failed=outbox.failed,
            suppressed=self._ledger.suppressed,
            replaced=outbox.replaced,
            dropped=outbox.dropped,
            errors=self._errors,
            waiting=len(outbox),
        )

    async def _watch(self) -> Never:
        while True:
            try:
                self._look()
            except Exception:  # noqa: BLE001 -- a fault of ours must not end the gateway
                self._errors += 1
                _log.exception("alerts_not_judged")
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(LOOK_S)

    def _look(self) -> None:
        now = Moment(time.time_ns(), time.monotonic_ns())
        causes = self._causes(now)
        if causes is None:
            return
        for alert in self._ledger.judge(causes, now):
            facts = {"key": alert.cause.key, "state": alert.state, "suppressed": alert.suppressed}
            _log.log(logging.WARNING if alert.state == "firing" else logging.INFO, "alert", extra=facts)
            self._outbox.put(alert)
            self._filled.set()

    async def _post_all(self) -> Never:
        async with Webhook(self._url, self._proxies) as webhook:
            while True:
                try:
                    await self._post_next(webhook)
                except Exception as error:  # noqa: BLE001 -- as in _watch; its text may name the address
                    self._errors += 1
                    _log.error("alerts_not_posted", extra={"error": type(error).__name__})
                    await asyncio.sleep(AGAIN_S)

    async def _post_next(self, webhook: Webhook) -> None:
        """Wait until a message is due, and try it once."""
        self._filled.clear()
        wait_ns = self._outbox.wait_ns(time.monotonic_ns())
        if wait_ns is None:
            await self._filled.wait()
            return
        if wait_ns:
            await asyncio.sleep(wait_ns / NS_PER_S)
        alert, was_failing, reason = self._outbox.head(), self._outbox.failing, ""
        refused, pause_s = False, 0
        try:
            reply = await webhook.post(encode(message_of(alert, self._source)))
        except NoReplyError as error:
            reason = str(error)
        else:
            if not reply.taken:
                reason, refused, pause_s = f"it answered {reply.status}", reply.refused, reply.pause_s
        if reason:
            self._outbox.not_taken(alert, time.monotonic_ns(), refused=refused, pause_ns=pause_s * NS_PER_S)
            if not was_failing:
                _log.warning("alert_not_taken", extra={"key": alert.cause.key, "reason": reason})
            return
        self._outbox.taken(alert)
        if was_failing:
            _log.info("alerts_taken_again", extra={"waiting": len(self._outbox)})
