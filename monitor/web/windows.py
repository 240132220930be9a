"""How far back somebody looks, in words: `90s`, `15m`, `1h`, `7d`."""

import re
from datetime import timedelta
from typing import Final

MAX_WINDOW: Final = timedelta(days=366)
_WORDS: Final = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_window(text: str) -> timedelta:
    """The window. Raises ValueError, which says what one looks like."""
    found = _WORDS.fullmatch(text)
    window = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < window <= MAX_WINDOW:
        raise ValueError(f"{text[:40]!r} is not a window; write 90s, 15m, 1h or 7d, over 0 and up to 366d")
    return window
