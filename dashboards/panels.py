"""The one file that knows grafanalib: panels, variables, annotations and links, as Grafana 10 to 12 want them.

grafanalib 0.7.1 is the last of its kind. It gives the frame: dashboards, rows, ids, the grid, variables. Its panels are
older than their options of today, so all of ours are a `Panel` here, whose options are written out. What it lacks
besides: queries that ask for exemplars, a lowest threshold without a bound (it writes the text "null", and Grafana then
stays at the lowest colour), and the schema of this decade.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from string import ascii_uppercase
from typing import Any, Final

import attr
from grafanalib import core

from dashboards import colours
from dashboards.names import DATASOURCE, RUNBOOKS, STATUS_PAGE, TAG, Uid
from dashboards.promql import Own, Target
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Label, Metric

SCHEMA_VERSION: Final = 39
COLUMNS: Final = 24
SOURCE: Final = {"type": "prometheus", "uid": f"${{{DATASOURCE}}}"}
_OLD_KEYS: Final = frozenset({"__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style"})
_OLD_PANEL_KEYS: Final = frozenset(
    {"editable", "error", "height", "hideTimeOverride", "maxDataPoints", "minSpan", "span"}
)
_TARGET_KEYS: Final = frozenset({"datasource", "expr", "format", "instant", "legendFormat", "refId"})


class Unit(StrEnum):
    """Grafana's names of the units that are used here."""

    SHARE = "percentunit"
    SECONDS = "s"
    COUNT = "short"
    CALLS_A_SECOND = "reqps"
    EVENTS_A_SECOND = "eps"
    BYTES = "bytes"
    DOLLARS = "currencyUSD"
    TIMES = "suffix:×"
    WHEN = "dateTimeFromNow"
    PLAIN = "none"


class Line(StrEnum):
    """How a line is drawn; quantiles of one channel have its colour, and differ in this."""

    SOLID = "solid"
    DASHED = "dash"
    DOTTED = "dot"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and how its series are called and drawn.

    `words` are the values that the legend's label can have: each is drawn in its own colour.
    """

    expr: str
    legend: str
    words: Iterable[str] = ()
    colour: str | None = None
    line: Line = Line.SOLID
    exemplars: bool = False


Step = tuple[float | None, str]
"""From this value on, this colour; the first is from nowhere on."""
PLAIN: Final[tuple[Step, ...]] = ((None, "text"),)


class Panel(core.Panel):  # type: ignore[misc]  # grafanalib is untyped
    """A panel of any kind; `extraJson` has the kind, and its options written out."""

    def to_json_data(self) -> dict[str, Any]:
        """As Grafana has it."""
        return _lean(self.panel_json({}), _OLD_PANEL_KEYS)


class _Row(core.RowPanel):  # type: ignore[misc]
    def to_json_data(self) -> dict[str, Any]:
        written: dict[str, Any] = super().to_json_data()
        return {key: written[key] for key in ("collapsed", "gridPos", "id", "panels", "title", "type")}


class Board(core.Dashboard):  # type: ignore[misc]
    """A dashboard in the schema of today, as plain data all the way down."""

    def to_json_data(self) -> dict[str, Any]:
        """What is written to a file, and what Grafana's API takes."""
        written: dict[str, Any] = _plain(super().to_json_data())
        picker = {key: written["timepicker"][key] for key in ("refresh_intervals", "hidden")}
        return _lean(written, _OLD_KEYS) | {"id": None, "timepicker": picker}


@dataclass(frozen=True, slots=True)
class Band:
    """Panels side by side, each with its width; together they fill the columns. With a title, a row heads them."""

    height: int
    panels: Sequence[tuple[int, Panel]]
    title: str = ""


def board(
    uid: Uid, title: str, says: str, *, variables: Sequence[core.Template], bands: Sequence[Band], hours: int = 6
) -> Board:
    """A dashboard of bands from top to bottom, showing the last `hours`."""
    unnumbered = Board(
        uid=str(uid),
        title=title,
        description=says,
        tags=[TAG],
        schemaVersion=SCHEMA_VERSION,
        version=1,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        refresh="30s",
        time=core.Time(f"now-{hours}h", "now"),
        timePicker=core.TimePicker(["10s", "30s", "1m", "5m", "15m"], [], nowDelay=""),
        timezone="browser",
        templating=core.Templating(list=[datasource_variable(), *variables]),
        annotations=core.Annotations(list=[_deploys(), _alerts()]),
        links=_links(),
        panels=_placed(bands),
    )
    numbered: Board = unnumbered.auto_panel_ids()
    return numbered


def time_series(
    title: str,
    says: str,
    unit: Unit,
    queries: Sequence[Query],
    *,
    stacked: bool = False,
    at_most: float | None = None,
    at_least: float | None = 0,
    steps: Sequence[Step] = PLAIN,
    every: str = "",
    logarithmic: bool = False,
) -> Panel:
    """Lines over time, or bars on each other; steps are drawn as lines. `every` is the least time between points."""
    custom = {
        "drawStyle": "bars" if stacked else "line",
        "lineWidth": 0 if stacked else 2,
        "fillOpacity": 80 if stacked else 0,
        "gradientMode": "none",
        "lineInterpolation": "linear",
        "showPoints": "auto",
        "pointSize": 4,
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "scaleDistribution": {"type": "log", "log": 10} if logarithmic else {"type": "linear"},
        "thresholdsStyle": {"mode": "dashed" if len(steps) > 1 else "off"},
        "axisPlacement": "auto",
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    config = _fields(unit, steps, queries, at_least=at_least, at_most=at_most, custom=custom, by_steps=False)
    return _panel("timeseries", title, says, queries, options, config, interval=every or None)


def stat(
    title: str,
    says: str,
    unit: Unit,
    queries: Sequence[Query],
    *,
    steps: Sequence[Step] = PLAIN,
    decimals: int | None = None,
    none: str = "nothing yet",
    sparkline: bool = False,
    named: bool = False,
) -> Panel:
    """Figures, coloured by the steps or a query's own colour: of all the time shown, or with `sparkline` the latest."""
    options = {
        "colorMode": "value",
        "graphMode": "area" if sparkline else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False,
        "textMode": "value_and_name" if named or len(queries) > 1 else "auto",
        "wideLayout": True,
    }
    config = _fields(unit, steps, queries, decimals=decimals, none=none)
    return _panel("stat", title, says, queries, options, config, instant=not sparkline)


def bars(
    title: str,
    says: str,
    unit: Unit,
    queries: Sequence[Query],
    *,
    at_most: float | None = None,
    steps: Sequence[Step] = PLAIN,
    decimals: int | None = None,
    none: str = "nothing yet",
) -> Panel:
    """Horizontal bars of the whole time shown, one a series."""
    options = {
        "displayMode": "basic",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "maxVizHeight": 60,
        "minVizHeight": 12,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "text",
    }
    config = _fields(unit, steps, queries, at_least=0, at_most=at_most, decimals=decimals, none=none)
    return _panel("bargauge", title, says, queries, options, config, instant=True)


def heatmap(
    title: str, says: str, unit: Unit, expr: str, *, scheme: str = "Blues", exemplars: bool = True, every: str = "5m"
) -> Panel:
    """A histogram over time: `expr` is the growth of buckets by `le`. Exemplars are dots on it."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": Unit.COUNT.value},
        "color": {
            "exponent": 0.5,
            "fill": "dark-blue",
            "mode": "scheme",
            "reverse": False,
            "scale": "exponential",
            "scheme": scheme,
            "steps": 32,
        },
        "exemplars": {"color": colours.BAD},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit.value},
    }
    custom = {"hideFrom": {"legend": False, "tooltip": False, "viz": False}, "scaleDistribution": {"type": "linear"}}
    config = {"defaults": {"custom": custom, "unit": unit.value, "thresholds": _steps(PLAIN)}, "overrides": []}
    query = Query(expr, f"{{{{{Own.BUCKET}}}}}", exemplars=exemplars)
    return _panel("heatmap", title, says, [query], options, config, target_format="heatmap", interval=every)


def timeline(
    title: str, says: str, queries: Sequence[Query], states: Mapping[int, tuple[str, str]], *, none: str = "nothing"
) -> Panel:
    """When which state held: `states` gives the text and the colour of each value."""
    options = {
        "alignValue": "left",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    told = {
        str(value): {"text": text, "color": colour, "index": at}
        for at, (value, (text, colour)) in enumerate(states.items())
    }
    config = _fields(Unit.PLAIN, PLAIN, [], none=none, custom={"fillOpacity": 80, "lineWidth": 0})
    config["defaults"]["mappings"] = [{"type": "value", "options": told}]
    return _panel("state-timeline", title, says, queries, options, config)


def table(
    title: str,
    says: str,
    unit: Unit,
    query: Query,
    columns: Mapping[str, str],
    *,
    link: tuple[str, str] | None = None,
    none: str = "nothing",
) -> Panel:
    """A row for each series now: `columns` are labels, or `Value`, and their headings, from left to right.

    `link` is a column's heading and the address that its cells lead to.
    """
    options = {
        "cellHeight": "sm",
        "footer": {"countRows": False, "fields": "", "reducer": ["sum"], "show": False},
        "frameIndex": 0,
        "showHeader": True,
    }
    config = _fields(unit, PLAIN, [], none=none, custom={"align": "left", "filterable": False})
    if link is not None:
        heading, url = link
        links = [{"title": "Open the runbook", "url": url, "targetBlank": True}]
        config["overrides"].append(_override(heading, {"links": links}))
    organize = {
        "id": "organize",
        "options": {
            "includeByName": dict.fromkeys(columns, True),
            "indexByName": {name: at for at, name in enumerate(columns)},
            "renameByName": dict(columns),
        },
    }
    panel = _panel("table", title, says, [query], options, config, instant=True, target_format="table")
    return _with(panel, transformations=[organize])


def datasource_variable() -> core.Template:
    """Which Prometheus."""
    return _variable(name=DATASOURCE, label="Prometheus", query="prometheus", type="datasource")


def label_variable(
    label: Label | Target, metric: Metric, *, only: Mapping[str, str] | None = None, chosen: Sequence[str] = ()
) -> core.Template:
    """One that takes its values from a label of `metric`; all of them are chosen unless `chosen` says which."""
    narrowed = ", ".join(f'{name}=~"${value}"' for name, value in (only or {}).items())
    query = (
        f"label_values({metric.name}{{{narrowed}}}, {label})" if narrowed else f"label_values({metric.name}, {label})"
    )
    return _variable(
        name=str(label),
        label=label.capitalize(),
        query=query,
        dataSource=SOURCE,
        includeAll=True,
        multi=True,
        allValue=None if isinstance(label, Target) else ".*",  # all jobs are all of ours, not all of Prometheus's
        default=list(chosen),
        refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
    )


class _Variable(core.Template):  # type: ignore[misc]
    """A variable in the form that Grafana has given them since version 10."""

    def to_json_data(self) -> dict[str, Any]:
        is_query = self.type == "query"
        keys = {"hide": 0, "label": self.label, "name": self.name, "options": [], "regex": "", "type": self.type}
        more = {"includeAll": self.includeAll, "multi": self.multi, "refresh": self.refresh}
        if not is_query:
            return keys | more | {"query": self.query, "current": {}}
        chosen = self.default or ["$__all"]
        return {
            **keys,
            **more,
            **({} if self.allValue is None else {"allValue": self.allValue}),
            "current": {"selected": True, "text": self.default or ["All"], "value": chosen},
            "datasource": self.dataSource,
            "definition": self.query,
            "query": {"qryType": 1, "query": self.query, "refId": f"{self.name}-values"},
            "sort": self.sort,
        }


def _variable(**values: Any) -> core.Template:
    return _Variable(**values)


def _panel(
    kind: str,
    title: str,
    says: str,
    queries: Sequence[Query],
    options: dict[str, Any],
    config: dict[str, Any],
    *,
    instant: bool = False,
    target_format: str = "time_series",
    interval: str | None = None,
) -> Panel:
    return Panel(
        title=title,
        description=says,
        dataSource=SOURCE,
        targets=[_target(query, ref, target_format, instant=instant) for ref, query in _with_refs(queries)],
        interval=interval,
        extraJson={"type": kind, "options": options, "fieldConfig": config},
    )


def _target(query: Query, ref: str, format_: str, *, instant: bool) -> dict[str, Any]:
    """A query with exemplars, which grafanalib knows nothing of, and without what Prometheus has no use for."""
    target = core.Target(
        expr=query.expr, legendFormat=query.legend, refId=ref, instant=instant, format=format_, datasource=SOURCE
    )
    written = {key: value for key, value in target.to_json_data().items() if key in _TARGET_KEYS}
    return written | {"editorMode": "code", "exemplar": query.exemplars, "range": not instant}


def _fields(
    unit: Unit,
    steps: Sequence[Step],
    queries: Sequence[Query],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    decimals: int | None = None,
    none: str | None = None,
    custom: dict[str, Any] | None = None,
    by_steps: bool = True,
) -> dict[str, Any]:
    """A panel's fieldConfig: the unit, the limits and the colours."""
    defaults: dict[str, Any] = {
        "color": {"mode": "thresholds" if by_steps else "palette-classic-by-name"},
        "custom": custom or {},
        "decimals": decimals,
        "mappings": [],
        "max": at_most,
        "min": at_least,
        "noValue": none,
        "thresholds": _steps(steps),
        "unit": unit.value,
    }
    overrides = [override for ref, query in _with_refs(queries) for override in _looks(ref, query)]
    return {"defaults": _lean(defaults, ()), "overrides": overrides}


def _with_refs(queries: Sequence[Query]) -> Iterable[tuple[str, Query]]:
    """A letter for each query."""
    return zip(ascii_uppercase, queries, strict=False)


def _looks(ref: str, query: Query) -> list[dict[str, Any]]:
    """The overrides that give a query's series their colours and lines."""
    looks = [_override(word, {"color": _fixed(colours.of_word(word))}) for word in query.words]
    properties: dict[str, Any] = {}
    if query.colour is not None:
        properties["color"] = _fixed(query.colour)
    if query.line is not Line.SOLID:
        dash = [8, 6] if query.line is Line.DASHED else [2, 5]
        properties["custom.lineStyle"] = {"fill": query.line.value, "dash": dash}
    if not properties:
        return looks
    is_templated = "{{" in query.legend  # then the series' name is known only when it is drawn
    all_of_query = _override(ref, properties, by="byFrameRefID")
    return [*looks, all_of_query if is_templated else _override(query.legend, properties)]


def _override(which: str, properties: Mapping[str, Any], *, by: str = "byName") -> dict[str, Any]:
    """For one series by its name, or for all of a query."""
    matcher = {"id": by, "options": which}
    return {"matcher": matcher, "properties": [{"id": key, "value": value} for key, value in properties.items()]}


def _fixed(colour: str) -> dict[str, str]:
    return {"mode": "fixed", "fixedColor": colour}


def _steps(steps: Sequence[Step]) -> dict[str, Any]:
    """The lowest has no bound, which in JSON must be null."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _placed(bands: Sequence[Band]) -> list[Any]:
    """Panels with their places, from the top. Raises ValueError where a band does not fill the columns."""
    placed: list[Any] = []
    y = 0
    for band in bands:
        if band.title:
            placed.append(_Row(title=band.title, gridPos=core.GridPos(h=1, w=COLUMNS, x=0, y=y)))
            y += 1
        x = 0
        for width, panel in band.panels:
            placed.append(_with(panel, gridPos=core.GridPos(h=band.height, w=width, x=x, y=y)))
            x += width
        if x != COLUMNS:
            raise ValueError(f"the panels of a band are {x} columns wide in all; there are {COLUMNS}: {band.title!r}")
        y += band.height
    return placed


def _with(panel: Panel, **changes: Any) -> Panel:
    """The same panel but for `changes`."""
    untyped: Any = panel
    changed: Panel = attr.evolve(untyped, **changes)
    return changed


def _links() -> list[core.DashboardLink]:
    return [
        core.DashboardLink(title="Dashboards", type="dashboards", tags=[TAG], asDropdown=False, includeVars=True),
        core.DashboardLink(title="Status page", type="link", uri=STATUS_PAGE, icon="external link", targetBlank=True),
        core.DashboardLink(title="Runbooks", type="link", uri=RUNBOOKS, icon="doc", targetBlank=True),
    ]


def _deploys() -> dict[str, Any]:
    """A version or a revision that was not there a minute before."""
    what = f"group by ({Label.VERSION}, {Label.REVISION}) ({catalog.BUILD_INFO.name}"
    return _annotation(
        "Deploys",
        f"{what}) unless {what} offset 1m)",
        colours.SSE,
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


def _lean(written: Mapping[str, Any], old: Iterable[str]) -> dict[str, Any]:
    """Without what nobody set."""
    return {key: value for key, value in written.items() if value is not None and key not in old}


def _plain(value: Any) -> Any:
    """grafanalib's objects become data, and so do ours."""
    if hasattr(value, "to_json_data"):
        value = value.to_json_data()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, str) else value
