"""Brings the tables up to date when the service starts. Safe when several services start at once."""

from importlib.resources import as_file, files
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import AsyncEngine

from monitor.delivery.errors import StoreUnavailable

_LOCK_ID: Final = 7_236_185
"""Any number that nothing else in the database locks."""


async def migrate(engine: AsyncEngine) -> None:
    """Apply what is missing. Raises StoreUnavailable when the database is from a newer version of this program."""
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_ID)))
    with as_file(files("monitor.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            detail = f"the tables cannot be brought up to date; were they used by a newer version? {error}"
            raise StoreUnavailable(detail) from None
