"""Versions of the tables, in order; alembic applies them."""
