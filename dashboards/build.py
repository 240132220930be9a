"""Writes the JSON of all dashboards: `python -m dashboards.build`, or `make dashboards`."""

import json
import runpy
from pathlib import Path
from typing import Any, Final

from dashboards.grafana import Board

FOLDER: Final = Path(__file__).parent
JSON: Final = FOLDER / "json"
SUFFIX: Final = ".dashboard.py"
"""grafanalib's own: its `generate-dashboard` takes these files too, and writes the same."""


def sources() -> list[Path]:
    """The files that define dashboards."""
    return sorted(FOLDER.glob(f"*{SUFFIX}"))


def load(source: Path) -> Board:
    """The `dashboard` that a source defines."""
    found: Board = runpy.run_path(str(source))["dashboard"]
    return found


def render(board: Board) -> str:
    """Its JSON, the same bytes each time."""
    data: dict[str, Any] = board.to_json_data()
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def built() -> dict[str, str]:
    """The name of each file in the folder of JSON, and what it holds."""
    return {f"{source.name.removesuffix(SUFFIX)}.json": render(load(source)) for source in sources()}


if __name__ == "__main__":
    JSON.mkdir(exist_ok=True)
    for name, text in built().items():
        (JSON / name).write_text(text, "utf-8")
