"""Trouble of the database, as whoever keeps canaries hears of it."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.delivery.errors import StoreUnavailable
from monitor.store.ledger import AccountKey
from monitor.store.sql import open_sql_store

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TOTAL = AccountKey("total", "", "day", NOW)


async def test_a_database_that_fails_is_a_store_that_is_not_available(tmp_path: Path) -> None:
    file = tmp_path / "monitor.db"
    async with open_sql_store(f"sqlite:///{file}") as store:
        with closing(sqlite3.connect(file)) as other:
            other.executescript("DROP TABLE canary_claims; DROP TABLE canary_spending")
        with pytest.raises(StoreUnavailable, match="cannot be written: no such table: canary_claims"):
            await store.ledger.claim("fox", NOW)
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            await store.ledger.spend(1, {TOTAL: None})
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            await store.ledger.spent([TOTAL])
