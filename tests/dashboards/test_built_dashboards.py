"""The committed JSON is what would be built now; run `make dashboards` when this fails."""

import io
from pathlib import Path

import pytest
from grafanalib import _gen

from dashboards import build
from dashboards.names import TAG, Uid


def test_the_committed_dashboards_are_what_would_be_built() -> None:
    committed = {path.name: path.read_text("utf-8") for path in build.JSON.iterdir()}
    assert committed == build.built()


@pytest.mark.parametrize("source", build.sources(), ids=lambda path: path.name)
def test_grafanalibs_own_tool_builds_the_same(source: Path) -> None:
    written = io.StringIO()
    _gen.write_dashboard(_gen.loader(str(source)), written)
    assert written.getvalue() == build.built()[source.name.replace(build.SUFFIX, ".json")]


def test_grafanalib_is_known_to_one_file() -> None:
    importers = [
        path.name
        for path in build.FOLDER.glob("*.py")
        if "import grafanalib" in (text := path.read_text("utf-8")) or "from grafanalib" in text
    ]
    assert importers == ["grafana.py"]


def test_each_dashboard_has_an_address_of_its_own_and_is_found_by_the_tag() -> None:
    boards = [build.load(source) for source in build.sources()]
    assert len({board.uid for board in boards}) == len(boards)
    assert {board.uid for board in boards} <= set(Uid)
    assert all(TAG in board.tags for board in boards)
