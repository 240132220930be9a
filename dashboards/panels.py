"""The kinds of panels, each with the options that it has everywhere."""

from collections.abc import Mapping, Sequence

from dashboards import colours
from dashboards.grafana import Panel, changed, panel
from dashboards.looks import PLAIN, Query, Step, Unit, fields, override, thresholds
from dashboards.promql import Own


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
    config = fields(unit, steps, queries, at_least=at_least, at_most=at_most, custom=custom, by_steps=False)
    return panel("timeseries", title, says, queries, options, config, interval=every or None)


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
    config = fields(unit, steps, queries, decimals=decimals, none=none)
    return panel("stat", title, says, queries, options, config, instant=not sparkline)


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
    config = fields(unit, steps, queries, at_least=0, at_most=at_most, decimals=decimals, none=none)
    return panel("bargauge", title, says, queries, options, config, instant=True)


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
    config = {"defaults": {"custom": custom, "unit": unit.value, "thresholds": thresholds(PLAIN)}, "overrides": []}
    query = Query(expr, f"{{{{{Own.BUCKET}}}}}", exemplars=exemplars)
    return panel("heatmap", title, says, [query], options, config, target_format="heatmap", interval=every)


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
    config = fields(Unit.PLAIN, PLAIN, [], none=none, custom={"fillOpacity": 80, "lineWidth": 0})
    config["defaults"]["mappings"] = [{"type": "value", "options": told}]
    return panel("state-timeline", title, says, queries, options, config)


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
    config = fields(unit, PLAIN, [], none=none, custom={"align": "left", "filterable": False})
    if link is not None:
        heading, url = link
        links = [{"title": "Open the runbook", "url": url, "targetBlank": True}]
        config["overrides"].append(override(heading, {"links": links}))
    organize = {
        "id": "organize",
        "options": {
            "includeByName": dict.fromkeys(columns, True),
            "indexByName": {name: at for at, name in enumerate(columns)},
            "renameByName": dict(columns),
        },
    }
    shown = panel("table", title, says, [query], options, config, instant=True, target_format="table")
    return changed(shown, transformations=[organize])
