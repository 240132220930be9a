"""The trace that a generation belongs to, in the headers of W3C Trace Context: a caller's is joined, and passed on."""

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from monitor.delivery.identity import new_span_id
from monitor.delivery.model import TraceContext

TraceHeaders = Mapping[str, str]
"""What a call to a provider takes along: `traceparent`, and the caller's `tracestate` where there is one."""

MAX_STATE_CHARS: Final = 512
"""Of a `tracestate`: as many as everybody should pass on (section 3.3.1.5)."""
_MAX_MEMBERS: Final = 32
_LONG_CHARS: Final = 128
"""Members that are longer are the first to go."""
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER: Final = re.compile(r"([a-z0-9][a-z0-9_*/@-]{0,255})=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
"""A vendor's key, and a value of visible ASCII and blanks without `,` and `=`, which ends in no blank."""


def new_trace() -> TraceContext:
    """A trace of our own."""
    return TraceContext(secrets.token_hex(16), new_span_id())


def joined_trace(traceparents: Sequence[str], tracestates: Sequence[str]) -> TraceContext:
    """The caller's trace, of the headers that came by these names; one of our own if there is not one valid parent."""
    caller = parse_traceparent(traceparents[0]) if len(traceparents) == 1 else None
    if caller is None:
        return new_trace()
    trace_id, parent_span_id, sampled = caller
    return TraceContext(trace_id, new_span_id(), parent_span_id, sampled, parse_tracestate(tracestates))


def parse_traceparent(header: str) -> tuple[str, str, bool] | None:
    """Trace id, parent span id and the sampled flag of a `traceparent` header (section 3.2.2); None if invalid."""
    found = _TRACEPARENT.fullmatch(header.strip())
    if not found:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)


def parse_tracestate(headers: Sequence[str]) -> str:
    """The vendors' list as one header (section 3.3), cut at whole members if it is too long; empty if it is malformed.

    The first member of a vendor is its latest, and counts.
    """
    members = [text for header in headers for part in header.split(",") if (text := part.strip(" \t"))]
    found = [_MEMBER.fullmatch(member) for member in members]
    if len(members) > _MAX_MEMBERS or not all(found):
        return ""
    latest: dict[str, str] = {}
    for member in found:
        if member is not None:
            latest.setdefault(member[1], member[0])
    return _shortened(list(latest.values()))


def trace_headers(trace: TraceContext, span_id: str) -> TraceHeaders:
    """What makes `span_id` the parent of what the provider does. Sampled: what we keep is decided later."""
    headers = {"traceparent": f"00-{trace.trace_id}-{span_id}-01"}
    return headers | {"tracestate": trace.state} if trace.state else headers


def _shortened(members: list[str]) -> str:
    """By the long members first, and then from the end, which is the oldest."""
    longs = [member for member in members if len(member) > _LONG_CHARS]
    while len(text := ",".join(members)) > MAX_STATE_CHARS:
        members.remove(longs.pop() if longs else members[-1])
    return text
