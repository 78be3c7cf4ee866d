"""The portfolio's shell: its wiring, and the wish for a first assessment at each start."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from libs.common import log
from libs.common.answered import Memory
from libs.common.cloudevents import CloudEvent
from libs.common.events import (
    BOOK,
    AssessRisk,
    CommandRejected,
    EquityMarked,
    PortfolioOptimized,
    Position,
    RiskBudget,
)
from libs.common.handling import Output, Wiring
from libs.common.kafka import Publisher, create_topics
from libs.common.processor import run as run_processor
from libs.common.topics import (
    EXECUTION_FILLS,
    L2_BOOK_HEALTH,
    L2_BOOK_TOPS,
    PORTFOLIO_ALLOCATIONS,
    PORTFOLIO_COMMANDS,
    PORTFOLIO_EQUITY,
    PORTFOLIO_POSITIONS,
    PORTFOLIO_RISK,
    PORTFOLIO_STATE,
)
from libs.common.views import View
from services.portfolio.handlers import Desk, Positions, handle, step_clock
from services.portfolio.marks import Books
from services.portfolio.monitoring import PortfolioMonitor
from services.portfolio.remembered import migrate
from services.portfolio.returns import History

if TYPE_CHECKING:
    from libs.common.events import Event
    from services.portfolio.rules import Rules
    from services.portfolio.settings import PortfolioSettings

SOURCE = "/services/portfolio"


def desk_of(rules: Rules) -> Desk:
    """Return a desk whose views are empty."""
    books = Books(View(L2_BOOK_TOPS), View(L2_BOOK_HEALTH), rules.venue, rules.patience)
    return Desk(rules, History(rules.venue, rules.history_age_days), books, Positions())


def create_wiring(rules: Rules) -> Wiring[Event]:
    """Return the service, whole."""
    desk = desk_of(rules)
    return Wiring(
        service="portfolio",
        inputs=(PORTFOLIO_COMMANDS, EXECUTION_FILLS),
        state=PORTFOLIO_STATE,
        outputs={
            PortfolioOptimized: Output(PORTFOLIO_ALLOCATIONS, _book_of, answers=True),
            CommandRejected: Output(PORTFOLIO_ALLOCATIONS, _key_of, answers=True),
            Position: Output(PORTFOLIO_POSITIONS, _symbol_of),
            RiskBudget: Output(PORTFOLIO_RISK, _book_of),
            EquityMarked: Output(PORTFOLIO_EQUITY, _book_of),
            AssessRisk: Output(PORTFOLIO_COMMANDS, _book_of),
        },
        handle=partial(handle, desk),
        step_clock=step_clock,
        new_state=Memory,
        migrate=migrate,
        views=(desk.history, desk.books.tops, desk.books.healths, desk.positions),
        threaded=True,  # an optimisation of many symbols takes longer than a heartbeat may wait
    )


def run(settings: PortfolioSettings) -> None:
    """Run the service as a process of its own; see `libs.common.processor.run`."""
    log.configure("portfolio", settings)
    asyncio.run(ask_for_risk(settings, time.time_ns()))
    run_processor(create_wiring(settings.rules()), settings, PortfolioMonitor())


async def ask_for_risk(settings: PortfolioSettings, now: int) -> None:
    """Ask this service to assess its book, so that there is a budget before the first fill."""
    await create_topics(settings, (PORTFOLIO_COMMANDS,))
    command, event = first_assessment(settings.group_instance_id, now)
    async with Publisher(settings, compress=False) as publisher:
        await publisher.send_and_wait(
            PORTFOLIO_COMMANDS, command.book.encode(), command, now, event.headers()
        )


def first_assessment(instance: str, now: int) -> tuple[AssessRisk, CloudEvent]:
    """Return the command of a process that starts at `now` (ns UTC), and what its headers say."""
    identifier = uuid5(NAMESPACE_URL, f"bookrunner:portfolio/start/{instance}/{now}")
    command = AssessRisk(command_id=str(identifier), book=BOOK)
    event = CloudEvent(identifier, "AssessRisk", SOURCE, now, str(identifier), causation_id=None)
    return command, event


def _book_of(event: PortfolioOptimized | RiskBudget | EquityMarked | AssessRisk) -> bytes:
    return event.book.encode()


def _key_of(event: CommandRejected) -> bytes:
    return event.key.encode()


def _symbol_of(event: Position) -> bytes:
    return event.symbol.encode()
