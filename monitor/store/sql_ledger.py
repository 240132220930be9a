"""The ledger of canaries in SQLite or PostgreSQL, through SQLAlchemy Core."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from monitor.delivery.model import Channel, Outcome, Reason
from monitor.store.databases import Read
from monitor.store.group_commit import Transact
from monitor.store.ledger import AccountKey, CanaryRun, Pause
from monitor.store.rows import clean, from_ms, to_ms
from monitor.store.tables import canary_claims, canary_pauses, canary_spending, generations
from monitor.store.trouble import DATABASE_ERRORS, unavailable

_INSERT: Final[Mapping[str, Callable[[sa.Table], Any]]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_AT_ONCE: Final = 100
"""Canaries of one query: SQLite joins 500 at the most."""
_RUN: Final = ("id", "canary", "created_at_ms", "outcome", "reason", "channel", "duration_s")

_Result = TypeVar("_Result")


class _PastLimit(Exception):
    """Undoes what was counted before the limit stood in the way."""

    def __init__(self, account: AccountKey) -> None:
        super().__init__(str(account))
        self.account = account


class SqlCanaryLedger:
    """A `CanaryLedger` on one database. Each write is a transaction of its own, in turn with those of the records."""

    def __init__(self, read: Read, transact: Transact) -> None:
        self._read = read
        self._transact = transact

    async def claim(self, canary: str, planned_at: datetime) -> bool:
        """See `CanaryLedger`."""
        row = {"canary": canary, "planned_at_ms": to_ms(planned_at)}
        return await self._write(lambda connection: _add_missing(connection, canary_claims, [row]) == 1)

    async def spend(self, micros: int, limits: Mapping[AccountKey, int | None]) -> AccountKey | None:
        """See `CanaryLedger`."""
        try:
            await self._write(lambda connection: _count(connection, micros, limits))
        except _PastLimit as refusal:
            return refusal.account
        return None

    async def give_back(self, micros: int, accounts: Iterable[AccountKey]) -> None:
        """See `CanaryLedger`."""
        await self._write(lambda connection: _count(connection, -micros, dict.fromkeys(accounts)))

    async def spent(self, accounts: Iterable[AccountKey]) -> dict[AccountKey, int]:
        """See `CanaryLedger`."""
        wanted = set(accounts)
        begins = sorted({to_ms(account.begins_at) for account in wanted})
        query = select(canary_spending).where(canary_spending.c.begins_at_ms.in_(begins))
        rows = await self._rows(query)
        found = {AccountKey(row.holder, row.name, row.span, from_ms(row.begins_at_ms)): row.micros for row in rows}
        return {account: micros for account, micros in found.items() if account in wanted}

    async def pause(self, pause: Pause) -> None:
        """See `CanaryLedger`."""
        values = {"reason": clean(pause.reason), "since_ms": to_ms(pause.since), "until_ms": to_ms(pause.until)}

        def write(connection: sa.Connection) -> None:
            insert = _INSERT[connection.dialect.name](canary_pauses).values(canary=pause.canary, **values)
            connection.execute(insert.on_conflict_do_update(index_elements=["canary"], set_=values))

        await self._write(write)

    async def resume(self, canary: str) -> None:
        """See `CanaryLedger`."""
        statement = canary_pauses.delete().where(canary_pauses.c.canary == canary)
        await self._write(lambda connection: connection.execute(statement))

    async def pauses(self) -> list[Pause]:
        """See `CanaryLedger`."""
        query = select(canary_pauses).order_by(canary_pauses.c.canary)
        rows = await self._rows(query)
        return [Pause(row.canary, row.reason, from_ms(row.since_ms), from_ms(row.until_ms)) for row in rows]

    async def last_runs(self, canaries: Sequence[str], limit: int) -> dict[str, list[CanaryRun]]:
        """See `CanaryLedger`."""
        found: dict[str, list[CanaryRun]] = {name: [] for name in canaries}
        for names in _batched(canaries, _AT_ONCE):
            query = sa.union_all(*(_newest_runs(name, limit) for name in names))
            for row in await self._rows(query):
                found[row.canary].append(_run_of(row))
        return {name: sorted(runs, key=attrgetter("generation_id"), reverse=True) for name, runs in found.items()}

    async def last_delivered_at(self, canary: str) -> datetime | None:
        """See `CanaryLedger`."""
        of_it = sa.and_(generations.c.canary == canary, generations.c.outcome == Outcome.DELIVERED)
        query = select(generations.c.ended_at_ms).where(of_it).order_by(generations.c.id.desc()).limit(1)
        at_ms = await self._read(lambda connection: connection.execute(query).scalar())
        return None if at_ms is None else from_ms(at_ms)

    async def forget(self, *, claims_before: datetime, accounts_before: datetime) -> None:
        """See `CanaryLedger`."""
        claims_ms, accounts_ms = to_ms(claims_before), to_ms(accounts_before)
        deletes = (
            canary_claims.delete().where(canary_claims.c.planned_at_ms < claims_ms),
            canary_pauses.delete().where(canary_pauses.c.until_ms < claims_ms),
            canary_spending.delete().where(canary_spending.c.begins_at_ms < accounts_ms),
        )
        await self._write(lambda connection: [connection.execute(delete) for delete in deletes])

    async def _rows(self, query: sa.Executable) -> Sequence[Any]:
        return await self._read(lambda connection: connection.execute(query).all())

    async def _write(self, work: Callable[[sa.Connection], _Result]) -> _Result:
        try:
            return await self._transact(work)
        except DATABASE_ERRORS as error:
            raise unavailable("cannot be written", error) from None


def _add_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert those that are not there. Returns how many were not."""
    insert = _INSERT[connection.dialect.name](table).on_conflict_do_nothing()
    return sum(connection.execute(insert.values(row)).rowcount for row in rows)


def _count(connection: sa.Connection, micros: int, limits: Mapping[AccountKey, int | None]) -> None:
    """Add to each, in an order that is the same for everybody, so that no two wait for each other. Or raise.

    The condition is part of the change: nobody can spend the same rest of a limit between a look and a write.
    """
    _add_missing(connection, canary_spending, [_columns(account) | {"micros": 0} for account in limits])
    for account, limit in limits.items():
        is_it = [canary_spending.c[name] == value for name, value in _columns(account).items()]
        grown = canary_spending.c.micros + micros
        change = canary_spending.update().where(*is_it).values(micros=grown)
        if connection.execute(change if limit is None else change.where(grown <= limit)).rowcount == 0:
            raise _PastLimit(account)


def _columns(account: AccountKey) -> dict[str, Any]:
    return {
        "begins_at_ms": to_ms(account.begins_at),
        "span": account.span,
        "holder": account.holder,
        "name": account.name,
    }


def _newest_runs(canary: str, limit: int) -> sa.Select[Any]:
    """One search of the index. A window function over all canaries would scan every run that there is."""
    columns = [generations.c[name] for name in _RUN]
    query = select(*columns).where(generations.c.canary == canary).order_by(generations.c.id.desc()).limit(limit)
    return select(query.subquery())


def _batched(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _run_of(row: Any) -> CanaryRun:
    return CanaryRun(
        generation_id=row.id,
        created_at=from_ms(row.created_at_ms),
        outcome=row.outcome and Outcome(row.outcome),
        reason=row.reason and Reason(row.reason),
        channel=row.channel and Channel(row.channel),
        duration_s=row.duration_s,
    )
