"""The recordings that tests read, and the skip where they are absent.

``BOOKRUNNER_RECORDINGS`` names their folder, from the root of the repository unless it is absolute.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

SETTING: Final = "BOOKRUNNER_RECORDINGS"
DATA: Final = (Path(__file__).parents[1] / (os.environ.get(SETTING) or "../shared/data")).resolve()
ABSENT: Final = f"there are no recordings at {DATA}"

needs_recordings = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)

BINANCE_SPOT: Final = tuple(
    DATA / "hftbacktest_binance" / f"spot_btcusdt_{day}.gz" for day in ("20240808", "20240809")
)
BINANCE_USDM: Final = DATA / "hftbacktest_binance" / "usdm_btcusdt_20240808.gz"
BINANCE_COINM: Final = DATA / "hftbacktest_binance" / "cm_btcusd_perp_20240808.gz"
BINANCE_2021: Final = DATA / "cryptofeed_master" / "BINANCE"
KRAKEN_V1: Final = DATA / "cryptofeed_master" / "KRAKEN"
BITSTAMP: Final = DATA / "cryptofeed_master" / "BITSTAMP"
COINBASE_2021: Final = DATA / "cryptofeed_master" / "COINBASE"
OKX_2022: Final = DATA / "cryptofeed_master" / "OKX"
COINBASE: Final = DATA / "cryptofeed_v3" / "COINBASE.jsonl.zst"
BYBIT: Final = DATA / "cryptofeed_v3" / "BYBIT.jsonl.zst"
KRAKEN_V2: Final = DATA / "tickvault_fixtures" / "kraken_v2_book_btcusd_2026-08-24.jsonl"
BYBIT_FIXTURE: Final = DATA / "tickvault_fixtures" / "bybit_spot_orderbook50_btcusdt_2026-08-24.jsonl"
OKX_FIXTURE: Final = DATA / "tickvault_fixtures" / "okx_books_btcusdt_2026-08-24_updates_tail.jsonl"
