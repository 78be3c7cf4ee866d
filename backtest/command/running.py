"""What a running system has on Kafka, taken into the folder of a run, which is then a run on data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from backtest.command.folder import DATA, TOPICS
from backtest.command.request import Market
from libs.cli.parquet import check_parquet
from libs.cli.screen import Screen
from libs.cli.starts import At, Beginning, End
from libs.cli.work import run_on_kafka, settings_here
from libs.common.time_units import NS_PER_MS
from libs.common.topics import (
    CONTEXT_INPUTS,
    L2_BOOK_DELTAS,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    L2_TRADES,
    POLICIES_SIGNALS,
)

if TYPE_CHECKING:
    from pathlib import Path

    from backtest.command.request import Request

PAST = (L2_CANDLES, L2_CANDLES_DAILY, POLICIES_SIGNALS, CONTEXT_INPUTS)  # what was before counts, too


def taken(request: Request, out: Path) -> Request:
    """Take the market of a stretch of time out of Kafka; return the request for the data that it became.

    Raises
    ------
    CommandError
        If Kafka does not answer, or has nothing of it.
    """
    check_parquet("--kafka")
    from libs.cli.history_export import Stretch, export  # noqa: PLC0415 -- needs pyarrow

    settings, root, console = settings_here(), out / DATA, Screen(stderr=True)
    begin = Beginning() if request.begin_ts is None else At(request.begin_ts // NS_PER_MS)
    end = End() if request.end_ts is None else At(request.end_ts // NS_PER_MS)
    sys.stderr.write(f"taking what Kafka at {settings.kafka_bootstrap_servers} has into {root}\n")
    for topics, stretch in (
        ((L2_BOOK_DELTAS, L2_TRADES), Stretch(begin, end)),
        (PAST, Stretch(Beginning(), end)),
    ):
        run_on_kafka(settings, export(settings, topics, stretch, root, console, overwrite=True))
    (root / TOPICS).mkdir(exist_ok=True)  # it is a running system's, even if it had no signals
    return msgspec.structs.replace(request, market=Market.DATA, paths=(str(root),))
