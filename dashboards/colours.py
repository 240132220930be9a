"""One colour for each meaning, the same on every dashboard, and apart from each other to colour-blind eyes too.

SSE is blue and polling orange, as on the status page. Good and bad differ in brightness, and whatever is judged by
colour is told in words or figures as well. All are readable on dark and on light ground.
"""

from collections.abc import Mapping
from typing import Final

SSE: Final = "#5794F2"
POLLING: Final = "#FF9830"
GOOD: Final = "#73D4A4"
BAD: Final = "#D5375B"
WARNING: Final = "#FADE2A"
QUIET: Final = "#7C8794"
"""What is neither: not yet, not ours, not measured."""
VIOLET: Final = "#8F3BB8"
SKY: Final = "#B5D3FA"
BROWN: Final = "#A0632B"
OLIVE: Final = "#8F9E1F"
LILAC: Final = "#C792EA"
PINK: Final = "#F48FB1"
DEEP: Final = "#2C6FA8"
ASH: Final = "#5B6570"
LIME: Final = "#C5E17A"

CORE: Final = (SSE, POLLING, GOOD, BAD)
"""Seen side by side most often."""
REST: Final = (WARNING, QUIET, VIOLET, SKY, BROWN, OLIVE, LILAC, PINK, DEEP, ASH, LIME)

OF_WORD: Final[Mapping[str, str]] = {
    # channels
    "SSE": SSE,
    "polling": POLLING,
    "sse": SSE,
    # outcomes, and results of channels
    "delivered": GOOD,
    "expired": BAD,
    "late": WARNING,
    "won": GOOD,
    "confirmed": SKY,
    "missed": BAD,
    "failed": LILAC,
    "provider_failed": LILAC,
    # what a call came to
    "ready": GOOD,
    "ok": GOOD,
    "opened": GOOD,
    "2xx": GOOD,
    "pending": QUIET,
    "not_found": SKY,
    "rejected": BROWN,
    "unauthorized": VIOLET,
    "conflict": OLIVE,
    "rate_limited": WARNING,
    "429": WARNING,
    "unavailable": BAD,
    "5xx": BAD,
    "http_error": BAD,
    "4xx": BROWN,
    "refused": BROWN,
    "malformed": LIME,
    "wrong_type": LIME,
    "timeout": DEEP,
    "crashed": PINK,
    "cancelled": ASH,
    "other": OLIVE,
    "error": VIOLET,
    "unreachable": BAD,
    "empty": BROWN,
    # how streams end, and what comes over them
    "done": GOOD,
    "eof": WARNING,
    "silence": BAD,
    "result": GOOD,
    "progress": DEEP,
    "heartbeat": QUIET,
    "foreign": BROWN,
    # where generations are
    "submitting": QUIET,
    "streaming": SSE,
    "reconciling": VIOLET,
    # calls to the provider
    "create": SKY,
    "subscribe": SSE,
    "poll": POLLING,
    "resolve": BROWN,
    "verify": GOOD,
    # what becomes of spans
    "exported": GOOD,
    "dropped": BAD,
    # how urgent an alert is
    "page": BAD,
    "ticket": WARNING,
    # lines that are no measurement
    "objective": QUIET,
    # why a canary did not run
    "thinned": WARNING,
    "limit": VIOLET,
    "paused": QUIET,
    "overlap": BROWN,
    "busy": LILAC,
    "store": DEEP,
}
"""What a word of a legend, mostly a label's value, is drawn in."""


def of_word(word: str) -> str:
    """Raises KeyError where a word has no colour: then it must be given one above."""
    return OF_WORD[word]
