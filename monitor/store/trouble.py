"""What a failed statement means: that these rows will never be taken, or that the database is in trouble for now."""

import sqlite3
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from monitor.delivery.errors import StoreUnavailable

DATABASE_ERRORS: Final = (SQLAlchemyError, sqlite3.Error, OSError)
"""What a database raises through SQLAlchemy when it does not answer as asked. A time limit of asyncpg is an OSError."""
_REFUSED_CLASSES: Final = ("22", "23", "54")
"""PostgreSQL's SQLSTATE classes of data exceptions, broken constraints, and rows beyond its limits (its appendix A)."""
_REFUSED_TYPES: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,  # a value of a type it has no column for
    ValueError,  # text that has no UTF-8, among others
    TypeError,
    ArithmeticError,  # a number beyond 64 bits
)


def is_refusal(error: Exception) -> bool:
    """Whether trying the same rows again is of no use. Anything else (a lock, a full disk, a lost server) may pass."""
    cause = _cause(error)
    state = getattr(cause, "sqlstate", None)
    return state[:2] in _REFUSED_CLASSES if isinstance(state, str) else isinstance(cause, _REFUSED_TYPES)


def first_line(error: BaseException) -> str:
    """What went wrong, in the driver's words, without the statement."""
    cause = _cause(error)
    return (str(cause).splitlines() or [type(cause).__name__])[0][:300]


def unavailable(what: str, error: BaseException) -> StoreUnavailable:
    """`error` as this project's own: the store `what`, because …"""
    return StoreUnavailable(f"the store {what}: {first_line(error)}")


def _cause(error: BaseException) -> BaseException:
    cause = getattr(error, "orig", None)
    return cause if isinstance(cause, BaseException) else error
