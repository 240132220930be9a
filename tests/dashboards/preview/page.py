"""Draws a dashboard as one picture: each panel at its place on the grid of 24 columns."""

import textwrap
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from tests.dashboards.asking import Board, chosen
from tests.dashboards.preview.kinds import Found, draw
from tests.dashboards.preview.looks import CARD, EDGE, GROUND, INK, QUIET

WIDTH: Final = 1440
MARGIN: Final = 14
HEAD: Final = 108
CELL: Final = 30
GAP: Final = 8
DPI: Final = 100
NOTE: Final = (
    "A preview that make dashboards-preview drew from real answers of Prometheus. This is not Grafana's own rendering."
)

_WITH_AXIS: Final = {"timeseries", "heatmap", "state-timeline"}


def draw_page(board: Board, found: Mapping[int, Found], path: Path, about: str) -> None:
    """Write the picture of a dashboard; `found` is by the panels' ids."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    height = HEAD + bottom * (CELL + GAP) + MARGIN
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=GROUND)
    _head(figure, board, height, about)
    for panel in board["panels"]:
        left, top, width, tall = _place(panel)
        if panel["type"] == "row":
            figure.text(
                (left + 4) / WIDTH,
                1 - (top + tall / 2) / height,
                f"⌄  {panel['title']}",
                color=INK,
                fontsize=11,
                va="center",
            )
            continue
        _card(figure, left, top, width, tall, height)
        title = textwrap.shorten(panel["title"], int(width / 6.6), placeholder="…")
        figure.text((left + 9) / WIDTH, 1 - (top + 17) / height, title, color=INK, fontsize=9.5, va="center")
        inside = _inside(panel, left, top, width, tall)
        axes = figure.add_axes(
            (inside[0] / WIDTH, 1 - (inside[1] + inside[3]) / height, inside[2] / WIDTH, inside[3] / height)
        )
        draw(axes, panel, found[panel["id"]])
    drawn = BytesIO()
    figure.savefig(drawn, facecolor=GROUND, format="png")
    Image.open(drawn).convert("RGB").quantize(192).save(path, optimize=True)  # half the size, and nobody sees it


def _place(panel: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Left, top, width and height in pixels."""
    grid = panel["gridPos"]
    column = (WIDTH - 2 * MARGIN + GAP) / 24
    return (
        MARGIN + grid["x"] * column,
        HEAD + grid["y"] * (CELL + GAP),
        grid["w"] * column - GAP,
        grid["h"] * (CELL + GAP) - GAP,
    )


def _inside(
    panel: Mapping[str, Any], left: float, top: float, width: float, tall: float
) -> tuple[float, float, float, float]:
    """Where the axes go: below the title, and with room for what stands beside them."""
    if panel["type"] not in _WITH_AXIS:
        return left + 12, top + 34, width - 24, tall - 44
    beside = 142 if panel["type"] == "state-timeline" else 52
    lines = 20 if panel["type"] == "heatmap" else 56
    return left + beside, top + 36, width - beside - 14, tall - 36 - lines


def _card(figure: Figure, left: float, top: float, width: float, tall: float, height: float) -> None:
    figure.add_artist(
        FancyBboxPatch(
            (left / WIDTH, 1 - (top + tall) / height),
            width / WIDTH,
            tall / height,
            boxstyle="square,pad=0",
            facecolor=CARD,
            edgecolor=EDGE,
            linewidth=0.8,
            transform=figure.transFigure,
            zorder=-1,
        )
    )


def _head(figure: Figure, board: Board, height: float, about: str) -> None:
    def say(text: str, y: float, size: float, colour: str, **more: Any) -> None:
        x = 1 - MARGIN / WIDTH if more.get("ha") == "right" else MARGIN / WIDTH
        figure.text(x, 1 - y / height, text, color=colour, fontsize=size, va="center", **more)

    values = {
        name: "All" if value == ".*" else value.strip("()").replace("|", " + ") for name, value in chosen(board).items()
    }
    variables = "     ".join(
        f"{name.capitalize()}: {value}" for name, value in {"Prometheus": "default", **values}.items()
    )
    links = "   ".join(f"↗ {link['title']}" for link in board["links"])
    say(board["title"], 20, 15, INK, weight="bold")
    say(NOTE, 20, 8.5, "#F2CC0C", ha="right")
    say(board["description"], 44, 9, QUIET)
    say(about, 66, 8.5, QUIET)
    say(variables, 90, 9, INK)
    say(links, 90, 9, "#6E9FFF", ha="right")
