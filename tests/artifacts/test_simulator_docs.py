"""The fault table in docs/simulator.md is the one that the code builds."""

from pathlib import Path

from monitor.simulator.docs import PATH, render_faults, with_faults
from monitor.simulator.faults import FAULTS

PAGE = (Path(__file__).parents[2] / PATH).read_text("utf-8")


def test_the_committed_page_equals_the_built_one() -> None:
    assert with_faults(PAGE) == PAGE


def test_every_fault_has_one_row() -> None:
    rows = [line for line in render_faults().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == sorted(FAULTS, key=lambda name: list(FAULTS).index(name))
    assert all(row.count("|") == 4 for row in rows), "a bar in a text would break its row"


def test_the_text_around_the_table_is_kept() -> None:
    page = "before\n" + PAGE[PAGE.index("<!-- faults") :] + "after\n"
    assert with_faults(page) == page
