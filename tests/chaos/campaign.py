"""`Campaign`: brings the scheduled faults over the running system and waits until it has healed from each."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from libs.common.time_units import NS_PER_S
from tests.chaos.pending import OWN_STATES, PATIENCE_NS, Pending
from tests.chaos.schedule import (
    BLOCKED,
    CLOCK_SET,
    CONDITION_KINDS,
    FAULT_KINDS,
    MARKET_QUIET,
    STIRRING_KINDS,
    SYSTEM_KINDS,
)
from tests.chaos.system_faults import SystemFaults
from tests.chaos.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.chaos.choices import Choices
    from tests.chaos.follower import Follower
    from tests.chaos.readiness import Readiness
    from tests.chaos.schedule import Action, Book
    from tests.chaos.truth import Comparer
    from tests.chaos.world import World

TICK_S: Final = 0.05
PATIENCE_S: Final = PATIENCE_NS / NS_PER_S
START_S: Final = 120.0  # of all services, on a busy machine
PROGRESS_S: Final = 5.0
SETTLE_S: Final = 6.0  # for most of a phase's faults; the rest go on healing while the others are compared
QUIET_S: Final = 1.0  # of a market without faults, before it is held: every book must have got a message
PHASES: Final = 6  # about so many comparisons of all books in a run
PHASE_RANGE_S: Final = (10.0, 30.0)


class Campaign:
    """One run.

    Attributes
    ----------
    done
        Every fault that was injected, settled or not.
    live_after_s, ready_after_s
        How long all books took to be LIVE at the start, and ``/readyz`` to be 200.
    """

    def __init__(
        self,
        world: World,
        follower: Follower,
        comparer: Comparer,
        readiness: Readiness,
        choices: Choices,
        actions: Sequence[Action],
        say: Callable[[str], None],
    ) -> None:
        self.done: list[Pending] = []
        self.failed: list[str] = []
        self.live_after_s = self.ready_after_s = 0.0
        self.not_reached = len(actions)
        self._world = world
        self._follower = follower
        self._comparer = comparer
        self._readiness = readiness
        self._choices = choices
        self._waiting = deque(actions)
        self._say = say
        self._pending: dict[int, Pending] = {}  # by the simulator's id of the fault, below 0 for all others
        self._begun = 0  # of the others
        self._calm_since: dict[Book, float] = {}
        self._watch = Watch(follower, world.books)
        self._began_s = 0.0
        self._said_s = 0.0

    async def run(self, seconds: float) -> None:
        """Inject for about `seconds`, in phases that each end with a comparison of all books."""
        started_s = time.monotonic()
        if not await self._until(self._all_live, PATIENCE_S):
            self.failed.append(
                f"not all books were LIVE within {PATIENCE_S:g} s of the start: {self._states()}"
            )
            return
        self.live_after_s = time.monotonic() - started_s
        self._say(f"all {len(self._world.books)} books LIVE after {self.live_after_s:.1f} s")
        async with asyncio.TaskGroup() as tasks:
            self._system = SystemFaults(self._world, self._follower, self._readiness, tasks)
            watching = [tasks.create_task(self._readiness.watch(self._pending.values()))]
            if not await self._until(self._is_ready, START_S):
                self.failed.append(f"not ready within {START_S:g} s: {'; '.join(self._readiness.lines)}")
            self.ready_after_s = time.monotonic() - started_s
            self._say(f"/readyz is {self._readiness.status} after {self.ready_after_s:.1f} s")
            watching.append(tasks.create_task(self._comparer.watch(self._world.books, self._calm)))
            watching.append(tasks.create_task(self._choices.ask_for_ever()))
            self._began_s = time.monotonic()
            clock_s = 0.0
            phase_s = min(max(seconds / PHASES, PHASE_RANGE_S[0]), PHASE_RANGE_S[1])
            while not self.failed and time.monotonic() - self._began_s < seconds:
                clock_s = await self._phase(clock_s, min(clock_s + phase_s, seconds), seconds)
                await self._until(self._is_settled, SETTLE_S)
                await self._compare()
            await self._until(self._is_settled, 2 * PATIENCE_S)
            await self._compare()
            await self._conclude(watching)

    async def _conclude(self, watching: Sequence[asyncio.Task[None]]) -> None:
        """Let all be ready, and count what was asked for."""
        if not await self._until(self._is_ready, PATIENCE_S):
            said = "; ".join(self._readiness.lines)
            self.failed.append(f"/readyz is {self._readiness.status} at the end: {said}")
        *_, asking = watching
        asking.cancel()
        if lost := await self._choices.lost():
            self.failed.append(lost)
        for task in watching:
            task.cancel()

    async def _phase(self, clock_s: float, until_s: float, seconds: float) -> float:
        """Inject what is due on the clock of the run; return what the clock says then."""
        began_s = time.monotonic() - clock_s
        while clock_s < until_s and time.monotonic() - self._began_s < seconds:
            await self._tick()
            clock_s = time.monotonic() - began_s
            due = [action for action in self._waiting if action.at_s <= clock_s]
            if any(action.kind == CLOCK_SET for action in due):
                due = self._before_a_jump(due)
            awaited: set[Book] = set()  # by a condition, which would never find a whole venue free
            for action in due:
                waits = action.kind not in SYSTEM_KINDS and not awaited.isdisjoint(action.books)
                if self._is_free(action) and not waits:
                    self._waiting.remove(action)
                    self.not_reached -= 1
                    await self._inject(action)
                elif action.kind in CONDITION_KINDS:
                    awaited.update(action.books)
        return clock_s

    def _before_a_jump(self, due: list[Action]) -> list[Action]:
        """Return what may begin while a jump of the clock waits until nothing is pending."""
        is_quiet = any(pending.action.kind == MARKET_QUIET for pending in self._pending.values())
        return [
            action
            for action in due
            if action.kind == CLOCK_SET or (is_quiet and action.kind not in (MARKET_QUIET, *STIRRING_KINDS))
        ]

    def _is_free(self, action: Action) -> bool:
        """Whether what happens next to its books will be this fault's doing."""
        kinds = {pending.action.kind for pending in self._pending.values()}
        if action.kind == CLOCK_SET:  # the times of what is pending would be those of another clock
            return self._readiness.ready and not kinds
        if action.kind in SYSTEM_KINDS:
            stirs_quiet = action.kind in STIRRING_KINDS and MARKET_QUIET in kinds
            return self._readiness.ready and kinds.isdisjoint(SYSTEM_KINDS) and not stirs_quiet
        if action.kind == MARKET_QUIET and not kinds.isdisjoint(STIRRING_KINDS):
            return False
        return not any(pending.concerns(action.books) for pending in self._pending.values())

    async def _inject(self, action: Action) -> None:
        if action.kind in FAULT_KINDS:
            now = self._world.now()
            first, *others = [await self._world.control("POST", "faults", body) for body in action.requests]
            del others  # provocations
            leaves = action.kind in OWN_STATES and action.kind != BLOCKED  # open lines outlive a block
            must_leave = frozenset(action.books if leaves else ())
            self._pending[first["id"]] = Pending(action, now, action.books, must_leave)
            return
        if action.kind in SYSTEM_KINDS:
            for request in action.requests:
                await self._world.control("POST", "faults", request)
        self._begun += 1
        # Books that heal from another fault are that fault's to answer for.
        calm = tuple(book for book in action.books if self._calm(book) < float("inf"))
        self._pending[-self._begun] = self._system.begin(action, calm)

    async def _tick(self) -> None:
        """Look at everything that is pending."""
        await asyncio.sleep(TICK_S)
        self._world.require_running()
        self._follower.require_running()
        if any(number > 0 for number in self._pending):
            now = self._world.now()
            for status in (await self._world.control("GET", "faults"))["faults"]:
                pending = self._pending.get(status["id"])
                if pending is not None:
                    pending.heed(status["injected"], is_over=status["state"] == "spent", now=now)
        now = self._world.now()
        self.failed += self._watch.look(self._pending.values(), now)
        is_stirred = any(pending.action.kind in STIRRING_KINDS for pending in self._pending.values())
        for number, pending in tuple(self._pending.items()):
            pending.is_stirred |= is_stirred
            for book in pending.books:
                pending.look(book, self._follower.health(book), now)
                self._calm_since[book] = time.monotonic()
            if pending.is_settled:
                del self._pending[number]
                self.done.append(pending)
                self.failed += pending.failed
        self._progress()

    async def _compare(self) -> None:
        """Let the market run without faults, hold it, compare what is not healing, and let it go on."""
        for fault in (await self._world.control("GET", "faults"))["faults"]:
            if fault["kind"] != "quiet":  # which is longer than a phase may have left
                await self._world.control("DELETE", f"faults/{fault['id']}")
        for pending in self._pending.values():
            pending.disarmed(self._world.now())
        await self._until(self._never, QUIET_S)
        healing = {book for pending in self._pending.values() for book in pending.books}
        if any(pending.action.kind in SYSTEM_KINDS for pending in self._pending.values()):
            return
        await self._world.control("POST", "pause")
        try:
            calm = [book for book in self._world.books if book not in healing]
            not_live = await self._comparer.compare_all(calm)
        finally:
            await self._world.control("POST", "resume")
        if not_live and not await self._until(self._all_live, PATIENCE_S):
            self.failed.append(f"not LIVE without a fault for {PATIENCE_S:g} s: {self._states()}")

    def _calm(self, book: Book) -> float:
        if any(pending.concerns((book,)) for pending in self._pending.values()):
            return float("inf")
        return self._calm_since.get(book, self._began_s)

    async def _is_settled(self) -> bool:
        await self._tick()
        return not self._pending

    async def _all_live(self) -> bool:
        self._follower.require_running()
        now = self._world.now()
        return all(self._follower.health(book).is_live(now) for book in self._world.books)

    async def _is_ready(self) -> bool:
        return self._readiness.ready

    async def _never(self) -> bool:
        return False

    async def _until(self, holds: Callable[[], Awaitable[bool]], patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while not await holds():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(TICK_S)
        return True

    def _states(self) -> str:
        healths = ((book, self._follower.health(book)) for book in self._world.books)
        return ", ".join(
            f"{':'.join(book)} {health.state} ({health.reason})"
            for book, health in healths
            if health.state != "LIVE"
        )

    def _progress(self) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s < PROGRESS_S:
            return
        self._said_s = now_s
        compared = self._comparer.running.total() + self._comparer.paused
        kills = [pending.action.kind for number, pending in self._pending.items() if number < 0]
        self._say(
            f"{now_s - self._began_s:5.0f} s  faults {len(self.done) + len(self._pending)}, "
            f"pending {len(self._pending)}{' (' + ', '.join(kills) + ')' if kills else ''}, "
            f"records {self._follower.records:,}, compared {compared:,}, wrong {len(self._comparer.wrong)}, "
            f"broken {len(self._follower.broken)}"
        )
