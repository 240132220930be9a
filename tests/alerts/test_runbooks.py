"""What runbooks tell a tired person to run can be run: queries are PromQL over series that exist, commands are ours."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.alerts.programs import ALERTS
from tests.dashboards.expressions import selectors
from tests.dashboards.series import known

RUNBOOKS = sorted((ALERTS / "runbooks").glob("*.md"))
_SERIES = re.compile(r"\b(generation|process|scrape)_\w|\bprovider:|\bup\b")
_BY = re.compile(r"\bby \(([^)]*)\)")


def _code(path: Path) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", path.read_text("utf-8")))


def queries(path: Path) -> list[str]:
    """Those that a runbook names."""
    return sorted(code for code in _code(path) if _SERIES.search(code))


COMMANDS = sorted({code for path in RUNBOOKS for code in _code(path) if code.startswith("monitor ")})


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_queries_ask_for_series_and_labels_that_exist(path: Path) -> None:
    for query in queries(path):
        found = selectors(query)
        assert found, query
        for selector in found:
            series = known()[selector.name]
            grouped = {label.strip() for labels in _BY.findall(query) for label in labels.split(",")}
            assert {label for label, _, _ in selector.matchers} | grouped <= series.labels | {"le"}, query


def test_queries_are_found_at_all() -> None:
    assert sum(len(queries(path)) for path in RUNBOOKS) > 30


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_their_options_exist(command: str) -> None:
    words = command.replace('"', "").split()
    said = subprocess.run([sys.executable, "-m", *words, "--help"], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_where_commands_are_run_is_told_beside_them(path: Path) -> None:
    assert "commands.md" in path.read_text("utf-8") or not any(code.startswith("monitor ") for code in _code(path))
