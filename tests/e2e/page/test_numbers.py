"""Every number that the page says is of a record is that record's, read from Kafka by other means."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from tests.e2e.page.running import OTHER, SYMBOL
from tests.e2e.page.told_records import MISSING, Place, is_rounded_to, is_shown_as, records_at, valued
from tests.page_browser import IN_A_BROWSER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.system import System
    from tests.page_browser import Opened

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(400), IN_A_BROWSER]

LEAST: Final = 10_000
LOOK_S: Final = 0.12
PATIENCE_S: Final = 120.0
LOOKS: Final = 8  # of a view that is not the market
# Those whose numbers stand in records: the system's and the gates' are of routes of their own.
OF_RECORDS: Final = {"Market", "Venues", "Beliefs", "Executions", "Portfolio"}
PRICES: Final = r"(bids|asks)\.\d+\.0"
SHOWN: Final = """() => [...document.querySelectorAll("#view data[data-path]")].map((each) =>
  [each.closest("[data-record]")?.dataset.record ?? "", each.dataset.path, each.value, each.textContent])
"""


class Number(NamedTuple):
    """A number of the page."""

    record: str
    path: str
    value: str
    text: str


async def looked_at(tab: Opened) -> set[Number]:
    """Return every number that is shown now and says what record it is of."""
    return {Number(*each) for each in await tab.page.evaluate(SHOWN) if each[0]}


async def gathered(tab: Opened, execution_id: str) -> dict[str, set[Number]]:
    """Open every view, and return what each shows; the market until there is enough."""
    found: dict[str, set[Number]] = {}
    for view in await tab.views():
        await tab.view(view)
        await tab.until(f"() => document.title.startsWith({view!r})")
        numbers = found.setdefault(view, set())
        for symbol in (SYMBOL, OTHER):
            await tab.page.evaluate("(symbol) => bookrunner.place.go({ symbol })", symbol)
            for _ in range(LOOKS):
                numbers |= await looked_at(tab)
                await asyncio.sleep(LOOK_S)
    await tab.page.evaluate(
        "(id) => bookrunner.place.go({ view: 'executions', execution: id })", execution_id
    )
    await tab.until("() => document.querySelector('dialog[open] [data-record]')")
    found["the lineage"] = await looked_at(tab)
    await tab.page.evaluate("() => bookrunner.place.go({ view: 'market', execution: null })")
    deadline = time.monotonic() + PATIENCE_S
    while sum(map(len, found.values())) < LEAST + LEAST // 20:
        assert time.monotonic() < deadline, {view: len(numbers) for view, numbers in found.items()}
        found["Market"] |= await looked_at(tab)
        await asyncio.sleep(LOOK_S)
    return found


def differences(numbers: Iterable[Number], records: dict[str, Any]) -> list[str]:
    """Return what is not as the records have it."""
    found = []
    for each in numbers:
        value = valued(records.get(each.record), each.path)
        if value is MISSING or not is_shown_as(value, each.value):
            found.append(f"{each} but {records.get(each.record) if value is MISSING else value!r}"[:600])
        elif re.fullmatch(PRICES, each.path) and not is_rounded_to(value, each.text):
            found.append(f"{each} is written so and is {value!r}")
    return found


async def test_ten_thousand_numbers_of_the_page_are_those_of_their_records_in_kafka(
    system: System, execution: Any, tab: Opened
) -> None:
    await tab.go()
    found = await gathered(tab, execution["executionId"])
    counts = {view: len(numbers) for view, numbers in found.items()}
    assert {view for view, count in counts.items() if count} >= OF_RECORDS, counts
    everything = set().union(*found.values())
    assert len(everything) >= LEAST, counts
    records = await records_at(system.kafka, {each.record for each in everything})
    assert differences(everything, records) == []
    topics = {Place.of(each.record).topic for each in everything}
    print(f"\n{len(everything)} numbers of {len(records)} records of {len(topics)} topics: {counts}")  # noqa: T201 -- the figure


async def test_a_number_that_is_another_or_nobodys_is_told() -> None:
    """What the comparison rests on: it finds each kind of difference."""
    message = {
        "bids": [[60000.125, 2.0]],
        "lag_ns": 7_900_000,
        "by_symbol": {"a.b_c": {"w_x": 1}},
        "px": "1.10",
    }
    records = {"t:0:1": message}
    right = [
        Number("t:0:1", "bids.0.0", "60000.125", "60,000.13"),
        Number("t:0:1", "lagMs", "7", "7"),
        Number("t:0:1", "bySymbol.a.b_c.wX", "1", "1"),
        Number("t:0:1", "px", "1.10", "1.1"),
    ]
    assert differences(right, records) == []
    for number in right:
        for wrong in (
            number._replace(value="7.5"),
            number._replace(path=number.path + "x"),
            number._replace(record="t:0:2"),
        ):
            assert differences([wrong], records), wrong
    assert differences([right[0]._replace(text="60,000.12")], records) == []  # as far as it is written
    assert differences([right[0]._replace(text="60,001")], records)
