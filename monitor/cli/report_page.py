"""A report as a page: one file, with its style and charts inside, that asks nobody for anything and runs no script."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup

import monitor
from monitor.cli.charts import attempt_labels, bar_rows, curve, ratio_chart, second_labels, trimmed
from monitor.cli.report_words import CHANNELS, Source, interval_words, objective_words, reported_words, window_words
from monitor.web.wording import percentage, seconds, span


def render_page(summary: Mapping[str, Any], source: Source) -> str:
    """The page of a summary with distributions."""
    latency, attempts = summary["distributions"]["latency_seconds"], summary["distributions"]["attempts"]
    outcomes = list(summary["outcomes"])
    return _TEMPLATES.get_template("report.html").render(
        summary=summary,
        source=source,
        version=monitor.__version__,
        window=window_words(summary["window_seconds"]),
        objective=objective_words(summary),
        reported=reported_words(summary),
        together=ratio_chart([summary["delivery"]], summary["objective"]),
        alone=ratio_chart([summary["channels"][key]["success"] for key in CHANNELS]),
        latency=trimmed(bar_rows(second_labels(latency["bounds"]), _columns(latency, CHANNELS))),
        attempts=trimmed(bar_rows(attempt_labels(attempts["bounds"]), _columns(attempts, (*CHANNELS, "none")))),
        outcomes=bar_rows(outcomes, [[summary["outcomes"][outcome] for outcome in outcomes]]),
        renders=_renders(summary),
        ended=sum(summary["outcomes"].values()),
    )


def _columns(histogram: Mapping[str, Any], names: Iterable[str]) -> list[list[int]]:
    return [histogram["counts"][name] for name in names]


def _renders(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The models that have a curve, each with its quantiles."""
    quantiles = {(item["provider"], item["model"]): item["seconds"] for item in summary["render_times"]}
    return [
        {
            "provider": item["provider"],
            "model": item["model"],
            "n": item["n"],
            "seconds": quantiles[item["provider"], item["model"]],
            "curve": curve(item["likeliest"], item["certain"]),
        }
        for item in summary["distributions"]["render_times"]
    ]


def _style() -> Markup:
    """The look of the service's own pages, and what only a report needs. No text of others is in it."""
    own = (files("monitor.cli") / "templates" / "report.css").read_text("utf-8")
    return Markup((files("monitor.web") / "static" / "status.css").read_text("utf-8") + own)  # noqa: S704


_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.PackageLoader("monitor.cli"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_TEMPLATES.filters.update(
    percentage=percentage, seconds=seconds, span=span, interval=interval_words, number="{:,}".format
)
_TEMPLATES.globals.update(channels=CHANNELS, style=_style)
