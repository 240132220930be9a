"""The figures of a window of time: the database counts and ranks in one snapshot, from indexes, and sends few rows."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import func, select

from monitor.delivery.model import Channel, ChannelResult, Origin, Outcome
from monitor.store.port import Quantiles, WindowFigures
from monitor.store.rows import to_ms
from monitor.store.tables import generations, unindexed

_COLUMNS: Final = generations.c
_RESULTS: Final = {Channel.SSE: _COLUMNS.sse_result, Channel.POLLING: _COLUMNS.polling_result}
_SNAPSHOT: Final = {"sqlite": "BEGIN", "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"}
"""SQLite's driver begins no transaction for reads, and PostgreSQL's default sees what others commit in between."""


def nearest_rank(percent: int, number: int) -> int:
    """The place, from 0, of a nearest-rank quantile among `number` sorted values. In integers: floats would err."""
    return -(-number * percent // 100) - 1


def count_figures(
    connection: sa.Connection,
    since: datetime,
    origins: Collection[Origin],
    bounds_s: Sequence[float],
) -> WindowFigures:
    """See `RecordStore.figures`."""
    connection.exec_driver_sql(_SNAPSHOT[connection.dialect.name])
    in_window = _COLUMNS.ended_at_ms >= to_ms(since)
    groups = (_COLUMNS.origin, _COLUMNS.outcome, _COLUMNS.channel, _COLUMNS.attempts)
    by_origin, won = defaultdict[Origin, Counter[Outcome]](Counter), Counter[Channel]()
    polled = defaultdict[Channel, Counter[int]](Counter)
    for origin, outcome, channel, attempts, number in connection.execute(
        select(*groups, func.count()).where(in_window).group_by(*groups)
    ):
        by_origin[Origin(origin)][Outcome(outcome)] += number
        if origin not in origins:
            continue
        if outcome == Outcome.DELIVERED:
            won[Channel(channel)] += number
            polled[Channel(channel)][attempts] += number
        elif outcome == Outcome.EXPIRED:
            polled[Channel.NONE][attempts] += number
    in_window = sa.and_(in_window, unindexed(_COLUMNS.origin).in_(origins))
    measured = {channel: _measured(connection, in_window, column) for channel, column in _RESULTS.items()}
    delivered = sa.and_(in_window, unindexed(_COLUMNS.outcome) == Outcome.DELIVERED)
    return WindowFigures(
        by_origin=by_origin,
        outcomes=sum((counts for origin, counts in by_origin.items() if origin in origins), Counter[Outcome]()),
        won=won,
        latency_s={channel: _quantiles(connection, delivered, channel, number) for channel, number in won.items()},
        polling_attempts_mean=mean_of(polled[Channel.POLLING]),
        polling_attempts_p95=p95_of(polled[Channel.POLLING]),
        attempts={channel: counts for channel, counts in polled.items() if counts},
        latency_counts={channel: _counts(connection, delivered, channel, bounds_s) for channel in won if bounds_s},
        measured=measured,
    )


def mean_of(counts: Mapping[int, int]) -> float | None:
    """The mean of values that are counted; None of nothing."""
    number = sum(counts.values())
    return sum(value * times for value, times in counts.items()) / number if number else None


def p95_of(counts: Mapping[int, int]) -> int | None:
    """The nearest-rank 95th percentile of values that are counted; None of nothing."""
    rank = nearest_rank(95, sum(counts.values()))
    for value, times in sorted(counts.items()):
        if rank < times:
            return value if rank >= 0 else None
        rank -= times
    return None


def _measured(
    connection: sa.Connection, in_window: sa.ColumnElement[bool], column: sa.Column[Any]
) -> Counter[ChannelResult]:
    is_measured = _COLUMNS.sse_result.is_not(None)  # then both are known, and the index has the row
    counted = select(column, func.count()).where(in_window, is_measured).group_by(column)
    return Counter({ChannelResult(result): number for result, number in connection.execute(counted)})


def _counts(
    connection: sa.Connection, delivered: sa.ColumnElement[bool], channel: Channel, bounds_s: Sequence[float]
) -> list[int]:
    """By filters, in one pass: PostgreSQL does not recognise a bucket with bound parameters when it is grouped by."""
    took_s = func.coalesce(_COLUMNS.duration_s, 0.0)
    up_to = (func.count().filter(took_s <= float(bound_s)) for bound_s in bounds_s)
    counted = select(*up_to, func.count()).where(delivered, unindexed(_COLUMNS.channel) == channel)
    row = connection.execute(counted).one()
    return [number - before for before, number in pairwise((0, *row))]


def _quantiles(
    connection: sa.Connection, delivered: sa.ColumnElement[bool], channel: Channel, number: int
) -> Quantiles:
    durations = select(_COLUMNS.duration_s).where(delivered, unindexed(_COLUMNS.channel) == channel)
    return Quantiles(
        *(_at_rank(connection, durations, nearest_rank(percent, number), number) for percent in (50, 95, 99))
    )


def _at_rank(connection: sa.Connection, durations: sa.Select[Any], rank: int, number: int) -> float:
    """The value at `rank`, sought from the nearer end: the database need not keep more than the way to it in order."""
    from_below = rank < number / 2
    took_s = _COLUMNS.duration_s
    order = took_s.asc().nulls_first() if from_below else took_s.desc().nulls_last()  # as SQLite does by itself
    offset = rank if from_below else number - 1 - rank
    return float(connection.execute(durations.order_by(order).offset(offset).limit(1)).scalar_one() or 0.0)
