"""The migrations lead to the tables that the code uses."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from monitor.delivery.errors import StoreUnavailable
from monitor.store import migrations
from monitor.store.sql import open_sql_store
from monitor.store.tables import metadata
from tests.records import new_record


async def test_the_migrated_tables_are_those_of_the_code(tmp_path: Path) -> None:
    file = tmp_path / "monitor.db"
    async with open_sql_store(f"sqlite:///{file}"):
        pass
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    migrated = _indexes(engine)
    engine.dispose()
    created = sa.create_engine("sqlite://")
    metadata.create_all(created)
    assert migrated == _indexes(created)
    created.dispose()


async def test_each_migration_can_be_taken_back_and_made_again(tmp_path: Path) -> None:
    file, asked = tmp_path / "monitor.db", new_record()
    async with open_sql_store(f"sqlite:///{file}") as store:
        await store.add(asked)
    engine = sa.create_engine(f"sqlite:///{file}")
    made = _indexes(engine)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert _indexes(engine) != made
    async with open_sql_store(f"sqlite:///{file}") as store:
        assert await store.get(asked.id) == asked
    assert _indexes(engine) == made
    engine.dispose()


def _indexes(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        words = "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        return set(connection.execute(sa.text(words)).scalars())


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
