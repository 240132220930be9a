"""What is around the panels: the grid, variables, annotations and links, the same on every dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dashboards import colours
from dashboards.grafana import (
    ON_TIME_RANGE_CHANGE,
    SOURCE,
    Board,
    Link,
    Panel,
    Place,
    Row,
    Variable,
    changed,
    dashboard,
)
from dashboards.names import DATASOURCE, RUNBOOKS, STATUS_PAGE, TAG, Uid
from dashboards.promql import Own, Target
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Label, Metric

COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class Band:
    """Panels side by side, each with its width; together they fill the columns. With a title, a row heads them."""

    height: int
    panels: Sequence[tuple[int, Panel]]
    title: str = ""


def board(
    uid: Uid, title: str, says: str, *, variables: Sequence[Variable], bands: Sequence[Band], hours: int = 6
) -> Board:
    """A dashboard of bands from top to bottom, showing the last `hours`."""
    return dashboard(
        uid,
        title,
        says,
        variables=[datasource_variable(), *variables],
        annotations=[_deploys(), _alerts()],
        links=_links(),
        panels=_placed(bands),
        hours=hours,
    )


def datasource_variable() -> Variable:
    """Which Prometheus."""
    return Variable(name=DATASOURCE, label="Prometheus", query="prometheus", type="datasource")


def label_variable(
    label: Label | Target, metric: Metric, *, only: Mapping[str, str] | None = None, chosen: Sequence[str] = ()
) -> Variable:
    """One that takes its values from a label of `metric`; all of them are chosen unless `chosen` says which."""
    narrowed = ", ".join(f'{name}=~"${value}"' for name, value in (only or {}).items())
    query = (
        f"label_values({metric.name}{{{narrowed}}}, {label})" if narrowed else f"label_values({metric.name}, {label})"
    )
    return Variable(
        name=str(label),
        label=label.capitalize(),
        query=query,
        dataSource=SOURCE,
        includeAll=True,
        multi=True,
        allValue=None if isinstance(label, Target) else ".*",  # all jobs are all of ours, not all of Prometheus's
        default=list(chosen),
        refresh=ON_TIME_RANGE_CHANGE,
    )


def _placed(bands: Sequence[Band]) -> list[Panel | Row]:
    """Panels with their places, from the top. Raises ValueError where a band does not fill the columns."""
    placed: list[Panel | Row] = []
    y = 0
    for band in bands:
        if band.title:
            placed.append(Row(title=band.title, gridPos=Place(h=1, w=COLUMNS, x=0, y=y)))
            y += 1
        x = 0
        for width, panel in band.panels:
            placed.append(changed(panel, gridPos=Place(h=band.height, w=width, x=x, y=y)))
            x += width
        if x != COLUMNS:
            raise ValueError(f"the panels of a band are {x} columns wide in all; there are {COLUMNS}: {band.title!r}")
        y += band.height
    return placed


def _links() -> list[Link]:
    return [
        Link(title="Dashboards", type="dashboards", tags=[TAG], asDropdown=False, includeVars=True),
        Link(title="Status page", type="link", uri=STATUS_PAGE, icon="external link", targetBlank=True),
        Link(title="Runbooks", type="link", uri=RUNBOOKS, icon="doc", targetBlank=True),
    ]


def _deploys() -> dict[str, Any]:
    """A version or a revision that was not there a minute before."""
    what = f"group by ({Label.VERSION}, {Label.REVISION}) ({catalog.BUILD_INFO.name}"
    return _annotation(
        "Deploys",
        f"{what}) unless {what} offset 1m)",
        colours.QUIET,
        f"{{{{{Label.VERSION}}}}} runs",
        f"revision {{{{{Label.REVISION}}}}}",
    )


def _alerts() -> dict[str, Any]:
    return _annotation(
        "Alerts",
        f'{Own.ALERTS}{{{Own.ALERT_STATE}="firing", {Own.SEVERITY}=~"page|ticket"}}',
        colours.BAD,
        f"{{{{{Own.ALERT_NAME}}}}}",
        f"{{{{{Own.SEVERITY}}}}} {{{{{Label.PROVIDER}}}}}",
    )


def _annotation(name: str, expr: str, colour: str, title: str, text: str) -> dict[str, Any]:
    return {
        "datasource": SOURCE,
        "enable": True,
        "expr": expr,
        "hide": False,
        "iconColor": colour,
        "name": name,
        "step": "60s",
        "tagKeys": "",
        "target": {"expr": expr, "interval": "60s", "refId": name},
        "textFormat": text,
        "titleFormat": title,
    }
