"""The table of docs/canaries.md is what would be planned now."""

import re
from pathlib import Path

import pytest

from monitor.canary.detection import Fall, Signal
from monitor.canary.frequency import Wish, longest_interval_s
from monitor.canary.page_rule import shipped_rule
from monitor.cli.quantities import render_span
from monitor.delivery.policy import FIXED

PAGE = (Path(__file__).parents[2] / "docs" / "canaries.md").read_text("utf-8")
ROWS = re.findall(r"^\| (\d+)% \| (.+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("percents", "told"), ROWS)
def test_the_intervals_of_the_table_are_those_that_would_be_advised(percents: str, told: str) -> None:
    traffic = Signal(a_day=0, known_after_s=FIXED.window_s)
    found = []
    for within_s in (900, 3_600, 21_600, 86_400):
        wish = Wish(fall=Fall(0.995, int(percents) / 100), within_s=within_s, share=0.9, false_pages=1)
        interval_s = longest_interval_s(shipped_rule(), wish, traffic)
        found.append("none" if interval_s is None else render_span(interval_s))
    assert told == " | ".join(found)


def test_the_table_is_there() -> None:
    assert len(ROWS) == 6
