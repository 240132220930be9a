"""The ids of a generation, chosen when it is accepted: its own, and those of its trace (W3C Trace Context)."""

import random
import re
import secrets
from typing import Final

from monitor.delivery.model import TraceContext

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def new_generation_id(now_ms: int) -> str:
    """A UUID version 7 (RFC 9562, section 5.7): ids order by time, to the millisecond."""
    rand_a, rand_b = secrets.randbits(12), secrets.randbits(62)
    value = (now_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def first_generation_id(at_ms: int) -> str:
    """What orders before every id of that millisecond or later, and behind all earlier ones."""
    text = f"{max(0, at_ms):012x}"
    return f"{text[:8]}-{text[8:]}"


def new_span_id() -> str:
    """Eight random bytes in hex, never all zero."""
    return f"{random.getrandbits(64) or 1:016x}"


def new_trace(header: str | None = None) -> TraceContext:
    """The trace of a new generation: the caller's when its `traceparent` is valid, else one of our own."""
    caller = parse_traceparent(header) if header else None
    if caller is None:
        return TraceContext(secrets.token_hex(16), new_span_id())
    trace_id, parent_span_id, sampled = caller
    return TraceContext(trace_id, new_span_id(), parent_span_id, sampled)


def parse_traceparent(header: str) -> tuple[str, str, bool] | None:
    """Trace id, parent span id and the sampled flag of a `traceparent` header (section 3.2.2); None if invalid."""
    found = _TRACEPARENT.fullmatch(header.strip())
    if not found:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)


def traceparent(trace: TraceContext, span_id: str) -> str:
    """The header that makes `span_id` the parent of what the provider does. Sampled: what we keep is decided later."""
    return f"00-{trace.trace_id}-{span_id}-01"
