"""What canaries must not forget, in memory: the twin of the SQL ledger, for tests. It can fail on purpose."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

from monitor.delivery.errors import StoreUnavailable
from monitor.delivery.model import Outcome
from monitor.store.ledger import AccountKey, CanaryRun, Pause
from monitor.store.port import Record
from monitor.testing.memory_store import MemoryRecordStore


class MemoryCanaryLedger:
    """A `CanaryLedger` of one process, whose runs are the records of `store`."""

    def __init__(self, store: MemoryRecordStore) -> None:
        self._store = store
        self._claims: set[tuple[str, datetime]] = set()
        self._spent: Counter[AccountKey] = Counter()
        self._pauses: dict[str, Pause] = {}

    async def claim(self, canary: str, planned_at: datetime) -> bool:
        """See `CanaryLedger`."""
        await self._answer()
        is_new = (canary, planned_at) not in self._claims
        self._claims.add((canary, planned_at))
        return is_new

    async def spend(self, micros: int, limits: Mapping[AccountKey, int | None]) -> AccountKey | None:
        """See `CanaryLedger`."""
        await self._answer()
        for account, limit in limits.items():
            if limit is not None and self._spent[account] + micros > limit:
                return account
        for account in limits:
            self._spent[account] += micros
        return None

    async def give_back(self, micros: int, accounts: Iterable[AccountKey]) -> None:
        """See `CanaryLedger`."""
        await self._answer()
        for account in accounts:
            self._spent[account] -= micros

    async def spent(self, accounts: Iterable[AccountKey]) -> dict[AccountKey, int]:
        """See `CanaryLedger`."""
        await self._answer()
        return {account: self._spent[account] for account in accounts if account in self._spent}

    async def pause(self, pause: Pause) -> None:
        """See `CanaryLedger`."""
        await self._answer()
        self._pauses[pause.canary] = pause

    async def resume(self, canary: str) -> None:
        """See `CanaryLedger`."""
        await self._answer()
        self._pauses.pop(canary, None)

    async def pauses(self) -> list[Pause]:
        """See `CanaryLedger`."""
        await self._answer()
        return [self._pauses[canary] for canary in sorted(self._pauses)]

    async def last_runs(self, canaries: Sequence[str], limit: int) -> dict[str, list[CanaryRun]]:
        """See `CanaryLedger`."""
        await self._answer()
        return {canary: [_run_of(run) for run in islice(self._newest(canary), limit)] for canary in canaries}

    async def last_delivered_at(self, canary: str) -> datetime | None:
        """See `CanaryLedger`."""
        await self._answer()
        delivered = (record.ended_at for record in self._newest(canary) if record.outcome is Outcome.DELIVERED)
        return next(delivered, None)

    async def forget(self, *, claims_before: datetime, accounts_before: datetime) -> None:
        """See `CanaryLedger`."""
        await self._answer()
        self._claims = {(canary, at) for canary, at in self._claims if at >= claims_before}
        self._pauses = {name: pause for name, pause in self._pauses.items() if pause.until >= claims_before}
        for account in [account for account in self._spent if account.begins_at < accounts_before]:
            del self._spent[account]

    async def _answer(self) -> None:
        await asyncio.sleep(self._store.delay_s)
        if self._store.is_failing:
            raise StoreUnavailable("the store was told to fail")

    def _newest(self, canary: str) -> Iterator[Record]:
        """They were added in the order of their ids."""
        return (record for record in reversed(self._store.records.values()) if record.canary == canary)


def _run_of(record: Record) -> CanaryRun:
    return CanaryRun(record.id, record.created_at, record.outcome, record.reason, record.channel, record.duration_s)
