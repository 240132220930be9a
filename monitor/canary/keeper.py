"""Keeps the canaries going: hears the bell, gives each its turn, takes up a changed plan, tells how they are."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from monitor.canary.bell import HangBell
from monitor.canary.money import Micros
from monitor.canary.plan import Canary, Plan
from monitor.canary.runs import CanaryRuns, LeftOut, read_spent
from monitor.canary.spending import Account, Holder, accounts, all_accounts
from monitor.canary.turns import Turns, take_up
from monitor.delivery.clock import Clock
from monitor.delivery.errors import StoreUnavailable
from monitor.store.ledger import CanaryLedger, CanaryRun, Pause
from monitor.store.port import Record
from monitor.telemetry.canary_series import CanarySeries

LOOK_EVERY_S: Final = 10.0
"""How long a pause or a payment of another service may go unseen here, and a moved clock unheard."""
_MILLISECOND: Final = timedelta(milliseconds=1)
"""The clock tells no smaller parts, so what is due within one is not due by the clock until it is over."""
LAST_RUNS: Final = 30
"""Runs of each that the status page shows."""

_logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CanaryView:
    """One canary as people see it. `spent` has its own accounts, of this day and this month.

    `left_out` is the last tick that was left out here, where no run came after it.
    """

    canary: Canary
    next_at: datetime | None
    pause: Pause | None
    runs: Sequence[CanaryRun]
    left_out: LeftOut | None
    spent: Mapping[Account, Micros]


class CanaryKeeper:
    """Owns the plan that is in force and the turns of its canaries. Lives on the event loop only."""

    def __init__(
        self,
        *,
        plan: Plan,
        runs: CanaryRuns,
        ledger: CanaryLedger,
        clock: Clock,
        series: CanarySeries,
        hang_bell: HangBell,
    ) -> None:
        self.plan = plan
        self._runs = runs
        self._ledger = ledger
        self._clock = clock
        self._series = series
        self._turns: dict[str, Turns] = {}
        self._wakes: dict[str, datetime | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bell = hang_bell(self.ring)
        self._watch: asyncio.Task[None] | None = None
        self._is_blind = False
        self._keep_series()  # runs of the last process are taken up before this begins, and may end at once

    async def begin(self) -> None:
        """Put the plan in force, and listen from here on. Raises StoreUnavailable."""
        await self.replace(self.plan)
        self._watch = asyncio.get_running_loop().create_task(self._look_on())

    async def replace(self, plan: Plan) -> None:
        """Put this plan in force. Runs in flight go on; a canary that is not changed keeps its turns.

        Raises StoreUnavailable; then the plan before stays.
        """
        is_new = [canary for canary in plan.canaries if canary.name not in self._turns]
        delivered = {canary: await self._ledger.last_delivered_at(canary.name) for canary in is_new}
        self._put_in_force(plan)
        for canary, at in delivered.items():
            if at is not None:
                self._series.last_success(canary.provider, canary.name, at.timestamp())
        self.ring()
        await self._look_if_possible()

    def _put_in_force(self, plan: Plan) -> None:
        self.ring()  # what is due by the plan before
        now, before = self._clock.now(), self._turns
        self.plan = plan
        self._turns = {canary.name: take_up(canary, before.get(canary.name), now) for canary in plan.canaries}
        self._wakes = {}
        self._keep_series()
        for canary in plan.canaries:
            self._wait_for_next(canary, now)

    def _keep_series(self) -> None:
        self._series.keep((canary.provider, canary.name) for canary in self.plan.canaries)

    def ring(self) -> None:
        """The bell rang: whoever is due gets its turn."""
        now = self._clock.now()
        for name, turns in self._turns.items():
            if self._is_quiet(turns, now):
                continue
            turn = turns.take(now)
            self._wait_for_next(turns.canary, now)
            if turn is not None:
                self._spawn(self._runs.on_tick(self.plan, turns.canary, turn), name)
        self._set_bell()

    async def run_now(self, canary: Canary) -> Record:
        """One run that a person asked for. Raises what `CanaryRuns.on_demand` raises."""
        return await self._runs.on_demand(self.plan, canary)

    async def pause(self, canary: Canary, reason: str, until: datetime) -> Pause:
        """Have no run of it begin by itself before `until`, on any service. Raises StoreUnavailable."""
        pause = Pause(canary.name, reason, self._clock.now(), until)
        await self._ledger.pause(pause)
        await self._look()
        return pause

    async def resume(self, canary: Canary) -> None:
        """Let it run again. Raises StoreUnavailable."""
        await self._ledger.resume(canary.name)
        await self._look()

    async def view(self) -> list[CanaryView]:
        """All of the plan, in its order. Raises StoreUnavailable."""
        now, plan = self._clock.now(), self.plan  # a reload may change it meanwhile
        if not plan.canaries:
            return []
        pauses = await self._pauses(now)
        runs = await self._ledger.last_runs([canary.name for canary in plan.canaries], LAST_RUNS)
        spent = await read_spent(self._ledger, all_accounts(plan, now))
        return [
            CanaryView(
                canary=canary,
                next_at=self._wakes.get(canary.name),
                pause=pauses.get(canary.name),
                runs=runs[canary.name],
                left_out=self._left_out_since(runs[canary.name], canary.name),
                spent={at: spent[at] for at in accounts(plan, canary, now) if at.holder is Holder.CANARY},
            )
            for canary in plan.canaries
        ]

    def _left_out_since(self, runs: Sequence[CanaryRun], canary: str) -> LeftOut | None:
        left_out = self._runs.left_out.get(canary)
        return None if left_out is None or (runs and runs[0].created_at > left_out.at) else left_out

    async def stop(self, grace_s: float) -> None:
        """Ring no more. Runs that are just beginning have `grace_s` to be taken on, or to give their money back."""
        self._bell.stop()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _is_quiet(self, turns: Turns, now: datetime) -> bool:
        """Whether there is nothing to take; it costs less to tell than to take. Not after a clock was set back."""
        wake_at = self._wakes.get(turns.canary.name)
        return turns.heard_until <= now and (wake_at is None or now < wake_at)

    def _wait_for_next(self, canary: Canary, now: datetime) -> None:
        self._wakes[canary.name] = self._turns[canary.name].wake_at
        gap = canary.gap_around(now)
        self._series.interval(canary.provider, canary.name, None if gap is None else gap.total_seconds())

    def _set_bell(self) -> None:
        if due := [at for at in self._wakes.values() if at is not None]:
            self._bell.ring_at(min(due) + _MILLISECOND)

    async def _look_on(self) -> None:
        """See to it for ever that gauges hold what is true, and that the bell goes by the clock as it is now."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._look_if_possible()
            self.ring()

    async def _look_if_possible(self) -> None:
        """Of a store in trouble the log hears once."""
        try:
            await self._look()
        except StoreUnavailable as error:
            if not self._is_blind:
                _logger.warning("what canaries spent, and which are paused, cannot be read", error=str(error))
            self._is_blind = True
        else:
            self._is_blind = False

    async def _look(self) -> None:
        if not self.plan.canaries:
            self._series.limits({})
            return
        now = self._clock.now()
        self._series.pauses((await self._pauses(now)).keys())
        limited = [account for account in all_accounts(self.plan, now) if account.limit is not None]
        self._series.limits(dict(_shares(await read_spent(self._ledger, limited))))

    async def _pauses(self, now: datetime) -> dict[str, Pause]:
        return {pause.canary: pause for pause in await self._ledger.pauses() if pause.holds_at(now)}

    def _spawn(self, work: Coroutine[None, None, None], canary: str) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._done(task, canary))

    def _done(self, task: asyncio.Task[None], canary: str) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _logger.error("a turn of a canary crashed", canary=canary, exc_info=error)


def _shares(spent: Mapping[Account, Micros]) -> Iterator[tuple[str, float]]:
    for account, micros in spent.items():
        if account.limit:
            yield account.title, micros / account.limit
