"""The router's shell: its wiring; `libs.common.processor` does the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from libs.common.answered import Memory
from libs.common.events import (
    CommandRejected,
    FeaturesDeclared,
    PoliciesChanged,
    PolicyChosen,
    PolicyRewarded,
    RouterSnapshot,
)
from libs.common.handling import Output, Wiring
from libs.common.topics import ROUTER_CHOICES, ROUTER_COMMANDS, ROUTER_SNAPSHOTS, ROUTER_STATE
from services.router.handlers import Router
from services.router.migration import migrate
from services.router.scopes import ScopeArchived, ScopeForgotten, step_clock

if TYPE_CHECKING:
    from services.router.arms import Arms
    from services.router.records import Record
    from services.router.settings import RouterSettings


def wiring(settings: RouterSettings, arms: Arms) -> Wiring[Record]:
    """Return the service, whole; it chooses among `arms`, which it keeps up to date."""
    live, rules = settings.live(), settings.rules()
    answer = Output(ROUTER_CHOICES, _scope, answers=True)
    return Wiring(
        service="router",
        inputs=(ROUTER_COMMANDS,),
        state=ROUTER_STATE,
        outputs={
            PolicyChosen: answer,
            PolicyRewarded: answer,
            PoliciesChanged: answer,
            FeaturesDeclared: answer,
            CommandRejected: Output(ROUTER_CHOICES, lambda event: event.key.encode(), answers=True),
            RouterSnapshot: Output(ROUTER_SNAPSHOTS, _scope),
            ScopeArchived: Output(ROUTER_SNAPSHOTS, _scope, tombstone=True),
            ScopeForgotten: Output(ROUTER_SNAPSHOTS, _scope, tombstone=True),
        },
        handle=Router(rules, live, arms).handle,
        views=(*live.views, arms.view),
        lack=lambda: arms.lack_of(rules.policies),
        step_clock=step_clock,
        new_state=Memory,
        migrate=lambda state: migrate(state, rules.tuning),
    )


def _scope(
    event: PolicyChosen
    | PolicyRewarded
    | PoliciesChanged
    | FeaturesDeclared
    | RouterSnapshot
    | ScopeArchived
    | ScopeForgotten,
) -> bytes:
    return event.scope.encode()
