"""What an entry of a timeline says to people."""

from typing import Any

import pytest

from monitor.web.pages import details


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"result": "accepted", "status": 200, "duration_ms": 1}, "result accepted, status 200, duration 1 ms"),
        ({"polling_in_s": 10.0}, "polling in 10 s"),
        ({"early": True}, "early"),
        ({"early": False}, ""),
        ({"late_s": 12.345}, "late 12.345 s"),
        ({"progress": 0}, "progress 0"),
        ({"detail": "", "status": None}, ""),
        ({"result": "not_found"}, "result not_found"),
    ],
)
def test_an_entry_is_told_in_words_with_units(entry: dict[str, Any], words: str) -> None:
    assert details({"at_ms": 3, "event": "poll", **entry}) == words
