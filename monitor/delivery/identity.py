"""The ids of a generation and of its spans, chosen when they are accepted and begin."""

import random
import secrets


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
