"""The migrations lead to the tables that the code uses."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from monitor.delivery.errors import StoreUnavailable
from monitor.store.sql import open_sql_store
from monitor.store.tables import metadata


async def test_the_migrated_tables_are_those_of_the_code(tmp_path: Path) -> None:
    file = tmp_path / "monitor.db"
    async with open_sql_store(f"sqlite:///{file}"):
        pass
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        indexes = {index["name"] for index in sa.inspect(connection).get_indexes("generations")}
    engine.dispose()
    assert indexes == {index.name for index in metadata.tables["generations"].indexes}


async def test_a_database_of_a_newer_version_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "monitor.db"
    async with open_sql_store(f"sqlite:///{file}"):
        pass
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreUnavailable, match="newer version"):
        async with open_sql_store(f"sqlite:///{file}"):
            pass
