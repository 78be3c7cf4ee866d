"""A task that follows views, where nobody looks at the single records."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from libs.common.kafka_reader import follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from libs.common.kafka_reader import OnUndecodable
    from libs.common.settings import ServiceSettings
    from libs.common.views import View


async def follow_for_ever(
    settings: ServiceSettings, views: Sequence[View[Any]], *, on_undecodable: OnUndecodable
) -> None:
    """Follow the views until cancelled."""
    async with aclosing(follow(settings, views, on_undecodable=on_undecodable)) as batches:
        async for _ in batches:
            pass
