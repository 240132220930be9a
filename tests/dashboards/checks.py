"""What every dashboard must keep to: the rules of Grafana's dashboard-linter, for all kinds of panels, and our own.

One rule of the linter is replaced. It wants the matchers `job` and `instance` in every selector. What tells of
providers has names that only this service exports, and is summed over instances, of which a provider knows nothing:
there the variables provider, model and origin must narrow every selector, as far as the metric has them. Everything
else, and all that other processes export under the same names, must be narrowed by job and instance.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from grafana_foundation_sdk.models import units

from dashboards import colours
from dashboards.frame import COLUMNS
from dashboards.grafana import SCHEMA_VERSION
from dashboards.looks import Unit
from dashboards.names import DATASOURCE, TAG
from dashboards.promql import Own, Target
from monitor.telemetry.catalog import CANARY_LIMIT_USED, OBJECTIVE, Label
from tests.dashboards.asking import Board, panels
from tests.dashboards.expressions import NoPromql, Selector, selectors, variables_of
from tests.dashboards.series import Kind, known

SOURCE: Final = {"type": "prometheus", "uid": f"${{{DATASOURCE}}}"}
GROWTH: Final = {"rate": {"$__rate_interval"}, "increase": {"$__rate_interval", "$__range"}}
FOR_ALL: Final = {OBJECTIVE.name, str(Own.ALERTS)}
"""The same for every model and origin."""
WITHOUT_MATCHERS: Final = {str(Own.ALERTS), CANARY_LIMIT_USED.name}
"""Of no provider and no instance: limits are shared."""
ABOUT: Final = {colours.SSE: "SSE|sse|stream|subscribe", colours.POLLING: "poll"}
"""What is found in the name or the queries of whatever may have a channel's colour."""
UNITS_OF: Final = {
    r"histogram_quantile|_seconds_bucket|duration_seconds\{": {Unit.SECONDS},
    r"_bytes\b": {Unit.BYTES},
    r"_usd_total": {Unit.DOLLARS},
    r"cpu_seconds": {Unit.SHARE},
    r"\brate\(": {Unit.CALLS_A_SECOND, Unit.EVENTS_A_SECOND},
    r":ratio.* / on": {Unit.TIMES},
    r"_ratio\b|:ratio| / \(": {Unit.SHARE},
    r"^sum.*\bincrease\(": {Unit.COUNT, Unit.PLAIN},
}
"""By the form of an expression, the first that fits, the units that its values may have."""
WITH_EXEMPLARS: Final = {"timeseries", "heatmap"}
_UNITS: Final = frozenset(value for name, value in vars(units).items() if not name.startswith("_"))
_LEGEND_LABEL: Final = re.compile(r"\{\{(\w+)\}\}")

Panel = dict[str, Any]
Check = Callable[[Board], Iterator[str]]


def problems(board: Board) -> list[str]:
    """Everything that is wrong with a dashboard, each with the panel that it is wrong in."""
    return [problem for check in CHECKS for problem in check(board)]


def _frame(board: Board) -> Iterator[str]:
    if board["schemaVersion"] != SCHEMA_VERSION:
        yield f"schemaVersion is {board['schemaVersion']}, not {SCHEMA_VERSION}"
    if TAG not in board["tags"] or not board["uid"] or not board["title"]:
        yield "uid, title and the common tag are needed"
    if {item["name"] for item in board["annotations"]["list"]} != {"Deploys", "Alerts"}:
        yield "deploys and alerts must be annotated"
    if {item["title"] for item in board["links"]} != {"Dashboards", "Status page", "Runbooks"}:
        yield "other dashboards, status page and runbooks must be linked"


def _sources(board: Board) -> Iterator[str]:
    first = board["templating"]["list"][0]
    if (first["name"], first["type"], first["query"]) != (DATASOURCE, "datasource", "prometheus"):
        yield "the first variable must be the datasource"
    asking = [("annotation", item) for item in board["annotations"]["list"]]
    asking += [("variable", item) for item in board["templating"]["list"] if item["type"] == "query"]
    for panel in panels(board):
        asking += [(panel["title"], panel), *((panel["title"], target) for target in panel["targets"])]
    for where, item in asking:
        if item.get("datasource") != SOURCE:
            yield f"{where}: the datasource must be the variable, not {item.get('datasource')}"


def _words(board: Board) -> Iterator[str]:
    titles = Counter(panel["title"] for panel in panels(board))
    for panel in panels(board):
        title = panel["title"]
        if not title or titles[title] > 1:
            yield f"{title!r}: each panel needs a title of its own"
        if len(panel.get("description", "")) < 60:
            yield f"{title}: the description must say what is seen and what to do when it looks bad"


def _units(board: Board) -> Iterator[str]:
    for panel in panels(board):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        if unit is None or (unit not in _UNITS and not unit.startswith("suffix:")):
            yield f"{panel['title']}: Grafana knows no unit {unit!r}"
        if panel["type"] == "heatmap" and panel["options"]["yAxis"]["unit"] != unit:
            yield f"{panel['title']}: the axis has another unit than the field"


def _unit_fits(board: Board) -> Iterator[str]:
    """The unit is that of what the queries ask for, as far as their form tells."""
    for panel in panels(board):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        for target in panel["targets"]:
            wanted = next((units for form, units in UNITS_OF.items() if re.search(form, target["expr"])), {unit})
            if unit not in wanted:
                yield f"{panel['title']}: {unit} is no unit of {target['expr']}; it must be one of {sorted(wanted)}"


def _thresholds(board: Board) -> Iterator[str]:
    for panel in panels(board):
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        values = [step["value"] for step in steps]
        if values[0] is not None or None in values[1:] or sorted(values[1:]) != values[1:]:
            yield f"{panel['title']}: the lowest threshold must be null and the others must rise, found {values}"


def _ids(board: Board) -> Iterator[str]:
    ids = Counter(panel["id"] for panel in board["panels"])
    yield from (f"the panel id {id_} is there {times} times" for id_, times in ids.items() if times > 1)
    for panel in panels(board):
        refs = [target["refId"] for target in panel["targets"]]
        if not refs or len(set(refs)) != len(refs):
            yield f"{panel['title']}: each query needs a refId of its own, found {refs}"


def _places(board: Board) -> Iterator[str]:
    """The grid is covered from the top to the bottom, each cell once, and nothing is wider than it."""
    taken: Counter[tuple[int, int]] = Counter()
    for panel in board["panels"]:
        x, y, w, h = (panel["gridPos"][key] for key in "xywh")
        if x < 0 or w < 1 or h < 1 or x + w > COLUMNS:
            yield f"{panel['title']}: reaches to column {x + w} of {COLUMNS}"
        taken.update((row, column) for row in range(y, y + h) for column in range(x, x + w))
    for cell, times in taken.items():
        if times > 1:
            yield f"panels overlap at row {cell[0]}, column {cell[1]}"
    bottom = max(row for row, _ in taken) + 1
    holes = [(row, column) for row in range(bottom) for column in range(COLUMNS) if (row, column) not in taken]
    if holes:
        yield f"nothing is at row {holes[0][0]}, column {holes[0][1]}"


def _expressions(board: Board) -> Iterator[str]:
    variables = {item["name"] for item in board["templating"]["list"]}
    for panel in panels(board):
        for target in panel["targets"]:
            try:
                found = selectors(target["expr"])
            except NoPromql as error:
                yield f"{panel['title']}: {error}"
                continue
            for selector in found:
                for problem in (
                    *_of_series(selector),
                    *_of_window(selector, target),
                    *_of_matchers(selector, variables),
                ):
                    yield f"{panel['title']}: {selector.name}: {problem}"


def _of_series(selector: Selector) -> Iterator[str]:
    series = known().get(selector.name)
    if series is None:
        yield "there is no such series"
        return
    for label, _, _ in selector.matchers:
        if label not in series.labels:
            yield f"it has no label {label}"
    if series.kind is Kind.COUNTS_UP and selector.function not in GROWTH:
        yield "it counts up, so only its growth says something"
    if series.kind is Kind.STANDS and selector.function in GROWTH:
        yield f"it does not count up, so {selector.function} of it says nothing"


def _of_window(selector: Selector, target: dict[str, Any]) -> Iterator[str]:
    if selector.function is None:
        return
    if selector.window not in GROWTH.get(selector.function, set()):
        yield f"{selector.function} over {selector.window}: must be one of Grafana's variables"
    if selector.window == "$__range" and not target["instant"]:
        yield "all of the time shown is asked for at every point: make the query instant"


def _of_matchers(selector: Selector, variables: set[str]) -> Iterator[str]:
    series = known().get(selector.name)
    if series is None or selector.name in WITHOUT_MATCHERS:
        return
    fixed = {label for label, op, value in selector.matchers if op == "Equal"}
    about_providers = {str(label) for label in series.labels} & variables - set(Target)
    needed = about_providers or set(Target)
    for label in sorted(needed - set(variables_of(selector)) - fixed):
        yield f'the matcher {label}=~"${label}" is missing'
    for label, variable in variables_of(selector).items():
        if variable not in variables or label != variable:
            yield f"{label} is matched with ${variable}, which is no variable for it here"


def _heeded(board: Board) -> Iterator[str]:
    """Where a variable narrows nothing, the panel says so, or the dashboard does for all of them."""
    variables = {item["name"] for item in board["templating"]["list"]} & {Label.MODEL, Label.ORIGIN, Label.CANARY}
    for panel in panels(board):
        for variable in sorted(name for name in variables if name not in board["description"]):
            for selector in (found for target in panel["targets"] for found in _selectors(target["expr"])):
                is_heeded = variable in known()[selector.name].labels if selector.name in known() else True
                if not is_heeded and selector.name not in FOR_ALL and variable not in panel["description"].lower():
                    yield f"{panel['title']}: {selector.name} has no {variable}, and the description does not say so"


def _selectors(expr: str) -> list[Selector]:
    """None of what cannot be parsed: that is told elsewhere."""
    try:
        return selectors(expr)
    except NoPromql:
        return []


def _legends(board: Board) -> Iterator[str]:
    for panel in panels(board):
        for target in panel["targets"]:
            legend = target["legendFormat"]
            if not legend and panel["type"] != "table":
                yield f"{panel['title']}: query {target['refId']} has no legend"
            for label in _LEGEND_LABEL.findall(legend):
                if label not in target["expr"]:
                    yield f"{panel['title']}: the legend's label {label} is not in the expression"


def _exemplars(board: Board) -> Iterator[str]:
    for panel in panels(board):
        for target in panel["targets"]:
            if target["exemplar"] and (target["instant"] or panel["type"] not in WITH_EXEMPLARS):
                yield f"{panel['title']}: a {panel['type']} shows no exemplars"


def _channel_colours(board: Board) -> Iterator[str]:
    """A series that is called after a channel has the channel's colour, and what is not about the channel has not."""
    for panel in panels(board):
        if panel["fieldConfig"]["defaults"].get("color", {}).get("mode", "").startswith("palette"):
            yield f"{panel['title']}: a palette has the channels' colours too"
        for override in panel["fieldConfig"]["overrides"]:
            name = str(override["matcher"]["options"]).split(" ")[0]
            for item in override["properties"]:
                wanted = {"SSE": colours.SSE, "polling": colours.POLLING}.get(name)
                if item["id"] == "color" and wanted not in (None, item["value"]["fixedColor"]):
                    yield f"{panel['title']}: {name} must be {wanted}, not {item['value']['fixedColor']}"
                about = ABOUT.get(item["value"]["fixedColor"], "") if item["id"] == "color" else ""
                if not re.search(about, name + "".join(target["expr"] for target in panel["targets"])):
                    yield f"{panel['title']}: {name} has the colour of a channel that it is not about"


CHECKS: Final[tuple[Check, ...]] = (
    _frame,
    _sources,
    _words,
    _units,
    _unit_fits,
    _thresholds,
    _ids,
    _places,
    _expressions,
    _heeded,
    _legends,
    _exemplars,
    _channel_colours,
)
