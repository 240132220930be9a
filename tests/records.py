"""Records and endings to keep, for tests of stores."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.delivery.identity import new_generation_id
from monitor.delivery.model import Asset, Channel, Flow, Handle, Kind, Origin, Outcome
from monitor.delivery.trace_context import new_trace
from monitor.store.port import Ending, Record

NOW = datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)
HANDLE = Handle(Flow.PROJECT, "p-1", Kind.IMAGE, "f-1")


def new_record(number: int = 0, **changes: Any) -> Record:
    """One that was accepted `number` seconds after `NOW`."""
    at = changes.pop("created_at", NOW + timedelta(seconds=number))
    record = Record(
        id=new_generation_id(int(at.timestamp() * 1000)),
        origin=Origin.API,
        provider="superduperai",
        model="comfyui/flux",
        kind=Kind.IMAGE,
        flow=Flow.FILE,
        policy="fixed",
        trace=new_trace(),
        instance="monitor",
        created_at=at,
    )
    return replace(record, **changes)


def new_ending(**changes: Any) -> Ending:
    """A delivery by polling, 20 seconds after `NOW`."""
    ending = Ending(
        ended_at=NOW + timedelta(seconds=20),
        duration_s=20.25,
        outcome=Outcome.DELIVERED,
        reason=None,
        detail=None,
        channel=Channel.POLLING,
        attempts=2,
        asset=Asset("https://cdn.test/a.webp?sig=x", Kind.IMAGE, "f-1"),
        timeline=({"at_ms": 0, "event": "submitted"}, {"at_ms": 20_250, "event": "ended"}),
    )
    return replace(ending, **changes)
