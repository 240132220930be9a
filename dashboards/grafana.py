"""The one file that knows grafanalib: panels, variables and dashboards, as Grafana 10 to 12 want them.

grafanalib 0.7.1 is the last of its kind. It gives the frame: dashboards, rows, ids, the grid, variables. Its panels are
older than their options of today, so all of ours are a `Panel` here, whose options are written out. What it lacks
besides: queries that ask for exemplars, a lowest threshold without a bound (it writes the text "null", and Grafana then
stays at the lowest colour), and the schema of this decade.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attr
from grafanalib import core

from dashboards.looks import Query, with_refs
from dashboards.names import DATASOURCE, TAG, Uid

SCHEMA_VERSION: Final = 39
SOURCE: Final = {"type": "prometheus", "uid": f"${{{DATASOURCE}}}"}
ON_TIME_RANGE_CHANGE: Final[int] = core.REFRESH_ON_TIME_RANGE_CHANGE
_OLD_KEYS: Final = frozenset({"__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style"})
_OLD_PANEL_KEYS: Final = frozenset(
    {"editable", "error", "height", "hideTimeOverride", "maxDataPoints", "minSpan", "span"}
)
_TARGET_KEYS: Final = frozenset({"datasource", "expr", "format", "instant", "legendFormat", "refId"})


class Link(core.DashboardLink):  # type: ignore[misc]  # grafanalib is untyped
    """One at the top of a dashboard."""


class Place(core.GridPos):  # type: ignore[misc]
    """Where a panel is on the grid."""


class Panel(core.Panel):  # type: ignore[misc]
    """A panel of any kind; `extraJson` has the kind, and its options written out."""

    def to_json_data(self) -> dict[str, Any]:
        """As Grafana has it."""
        return _lean(self.panel_json({}), _OLD_PANEL_KEYS)


class Row(core.RowPanel):  # type: ignore[misc]
    """A heading over the panels below it."""

    def to_json_data(self) -> dict[str, Any]:
        """As Grafana has it."""
        written: dict[str, Any] = super().to_json_data()
        return {key: written[key] for key in ("collapsed", "gridPos", "id", "panels", "title", "type")}


class Board(core.Dashboard):  # type: ignore[misc]
    """A dashboard in the schema of today, as plain data all the way down."""

    def to_json_data(self) -> dict[str, Any]:
        """What is written to a file, and what Grafana's API takes."""
        written: dict[str, Any] = _plain(super().to_json_data())
        picker = {key: written["timepicker"][key] for key in ("refresh_intervals", "hidden")}
        return _lean(written, _OLD_KEYS) | {"id": None, "timepicker": picker}


class Variable(core.Template):  # type: ignore[misc]
    """A variable in the form that Grafana has given them since version 10."""

    def to_json_data(self) -> dict[str, Any]:
        """As Grafana has it."""
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


def dashboard(
    uid: Uid,
    title: str,
    says: str,
    *,
    variables: Sequence[Variable],
    annotations: Sequence[Mapping[str, Any]],
    links: Sequence[Link],
    panels: Sequence[Panel | Row],
    hours: int,
) -> Board:
    """All of it; the panels, which have their places, are numbered."""
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
        templating=core.Templating(list=list(variables)),
        annotations=core.Annotations(list=list(annotations)),
        links=list(links),
        panels=list(panels),
    )
    numbered: Board = unnumbered.auto_panel_ids()
    return numbered


def panel(
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
    """One of any kind, with its options written out."""
    return Panel(
        title=title,
        description=says,
        dataSource=SOURCE,
        targets=[_target(query, ref, target_format, instant=instant) for ref, query in with_refs(queries)],
        interval=interval,
        extraJson={"type": kind, "options": options, "fieldConfig": config},
    )


def changed(panel: Panel, **changes: Any) -> Panel:
    """The same panel but for `changes`."""
    untyped: Any = panel
    evolved: Panel = attr.evolve(untyped, **changes)
    return evolved


def _target(query: Query, ref: str, format_: str, *, instant: bool) -> dict[str, Any]:
    """A query with exemplars, which grafanalib knows nothing of, and without what Prometheus has no use for."""
    target = core.Target(
        expr=query.expr, legendFormat=query.legend, refId=ref, instant=instant, format=format_, datasource=SOURCE
    )
    written = {key: value for key, value in target.to_json_data().items() if key in _TARGET_KEYS}
    return written | {"editorMode": "code", "exemplar": query.exemplars, "range": not instant}


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
