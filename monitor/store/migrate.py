"""Brings the tables up to date when the service starts. Safe when several services start at once."""

import asyncio
from importlib.resources import as_file, files
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from monitor.delivery.errors import StoreUnavailable

_LOCK_ID: Final = 7_236_185
"""Any number that nothing else in the database locks."""
_CONNECT_S: Final = 10
_BUSY_S: Final = 30


async def migrate(url: sa.URL) -> None:
    """Apply what is missing, however long it takes: all of it, or nothing.

    Raises StoreUnavailable when the database is from a newer version of this program, and what the driver raises.
    """
    if url.get_backend_name() == "sqlite":
        await asyncio.to_thread(_upgrade_sqlite, url)
        return
    engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": _CONNECT_S})
    async with engine.begin() as connection:
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_ID)))
        await connection.run_sync(_upgrade)


def _upgrade_sqlite(url: sa.URL) -> None:
    """The driver begins no transaction for changes of tables, and a crash would leave half of them: we begin it."""
    arguments = {"timeout": _BUSY_S}
    engine = sa.create_engine(url.set(drivername="sqlite"), poolclass=NullPool, connect_args=arguments)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        _upgrade(connection)
        connection.exec_driver_sql("COMMIT")


def _upgrade(connection: sa.Connection) -> None:
    with as_file(files("monitor.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            detail = f"the tables cannot be brought up to date; were they used by a newer version? {error}"
            raise StoreUnavailable(detail) from None
