"""Alembic's way in: runs the versions on the connection that `monitor.store.migrate` gives."""

from alembic import context

from monitor.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
