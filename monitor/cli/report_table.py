"""A report as tables for the terminal."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitor.cli.report_words import CHANNELS, Source, interval_words, objective_words, reported_words, window_words
from monitor.web.wording import percentage, seconds, span

MOST_MODELS: Final = 20
_LONGEST_NAME: Final = 40
_LOOKS: Final = {"sse": "bold blue", "polling": "bold yellow"}

_Figures = Mapping[str, Any]


def render_tables(summary: _Figures, source: Source) -> Group:
    """Delivery against the objective; SSE and polling side by side; outcomes; render times."""
    title = f"Delivery over the last {window_words(summary['window_seconds'])} at {source.url}, as of {source.made}"
    parts: list[RenderableType] = [Text(title, style="dim"), _delivery(summary)]
    if (reported := reported_words(summary)) is not None:
        parts.append(Text(reported, style="dim"))
    if any(summary["outcomes"].values()):
        parts += [_channels(summary), _outcomes(summary)]
    if summary["render_times"]:
        parts.append(_render_times(summary["render_times"]))
    return Group(*(line for part in parts for line in (part, Text())))


def _delivery(summary: _Figures) -> Text:
    delivery = summary["delivery"]
    if not delivery["total"]:
        return Text(objective_words(summary), style="bold")
    ratio, objective = delivery["ratio"], summary["objective"]
    look = "bold green" if ratio >= objective else "bold red"
    counted = f" delivered, {delivery['good']:,} of {delivery['total']:,}"
    doubt = f" (95% interval {interval_words(delivery['interval'], 2)})"
    return Text.assemble((percentage(ratio, 2), look), counted, doubt, "\n", (objective_words(summary), look))


_ROWS: Final[tuple[tuple[str, Callable[[_Figures], str]], ...]] = (
    ("success on its own", lambda figures: percentage(figures["success"]["ratio"])),
    ("  95% interval", lambda figures: interval_words(figures["success"]["interval"])),
    ("  measured", lambda figures: f"{figures['success']['n']:,}"),
    ("delivered first", lambda figures: f"{figures['won']:,}"),
    ("  share", lambda figures: percentage(figures["share"])),
    ("latency p50", lambda figures: seconds(figures["latency_seconds"]["p50"])),
    ("        p95", lambda figures: seconds(figures["latency_seconds"]["p95"])),
    ("        p99", lambda figures: seconds(figures["latency_seconds"]["p99"])),
    ("attempts mean", lambda figures: _number(figures.get("attempts", {}).get("mean"))),
    ("         p95", lambda figures: _number(figures.get("attempts", {}).get("p95"))),
)


def _channels(summary: _Figures) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 4, 0, 0))
    table.add_column("channel")
    for key, name in CHANNELS.items():
        table.add_column(Text(name, style=_LOOKS[key]), justify="right")
    for label, tell in _ROWS:
        table.add_row(label, *(tell(summary["channels"][key]) for key in CHANNELS))
    return table


def _outcomes(summary: _Figures) -> Table:
    table = Table("outcome", box=None, pad_edge=False, padding=(0, 4, 0, 0))
    table.add_column("generations", justify="right")
    table.add_column("share", justify="right")
    total = sum(summary["outcomes"].values())
    for outcome, number in summary["outcomes"].items():
        table.add_row(outcome.replace("_", " "), f"{number:,}", percentage(number / total if total else None))
    return table


def _render_times(render_times: list[_Figures]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("render time", overflow="fold")
    for name in ("observed", "p50", "p95", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    providers = {item["provider"] for item in render_times}
    shown = sorted(render_times, key=lambda item: -item["n"])[:MOST_MODELS]
    for item in shown:
        name = item["model"] if len(providers) == 1 else f"{item['provider']} {item['model']}"
        table.add_row(
            Text(_shown(name)), f"{item['n']:,}", *(span(item["seconds"][name]) for name in ("p50", "p95", "p99"))
        )
    if len(shown) < len(render_times):
        table.add_row(Text(f"and {len(render_times) - len(shown)} models less observed", style="dim"))
    return table


def _shown(name: str) -> str:
    """A name that is not too long, and cannot move the cursor or turn the direction of writing."""
    short = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in short)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}".removesuffix(".0")
