"""The replies kept under Idempotency-Keys, and how much of them each address has; pure."""

from __future__ import annotations

from libs.common.events import IdempotentReply
from libs.common.topics import GATEWAY_IDEMPOTENCY
from libs.common.views import View
from services.gateway.http.places import Tally


class ReplyView(View[IdempotentReply]):
    """The view of ``gateway.idempotency.v1``; its counts are those of its items, also after a restart."""

    def __init__(self) -> None:
        super().__init__(GATEWAY_IDEMPOTENCY)
        self.keys = Tally()
        self.bytes = Tally()

    def fold(self, partition: int, offset: int, key: bytes, event: IdempotentReply | None) -> None:
        """Apply one record; see `View.fold`."""
        before = self._items.get(key)
        super().fold(partition, offset, key, event)
        for reply, sign in ((before, -1), (event, 1)):
            if reply is not None:
                self.keys.add(reply.caller, sign)
                self.bytes.add(reply.caller, sign * (len(key) + len(reply.body)))
