"""What Kubernetes and the Prometheus operator (monitoring.coreos.com/v1) take, of the fields that are of use here.

Written by the fields of its custom resource definitions. Kubernetes drops a field that it does not know without a word,
so none may be misspelt.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Duration = Annotated[
    str, StringConstraints(pattern=r"^(0|(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$", min_length=1)
]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?$")]
DataKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]{1,253}$")]
PortName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$")]
MetricName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
MAX_BYTES = 1 << 20
"""Of a ConfigMap; the whole object must fit."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Metadata(_Strict):
    name: ObjectName
    labels: dict[str, LabelValue]
    annotations: dict[str, str] = {}


class _Rule(_Strict):
    alert: str | None = None
    record: MetricName | None = None
    expr: str | int
    hold: Duration | None = Field(None, alias="for")
    keep_firing_for: Duration | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.alert is None) == (self.record is None):
            raise ValueError("a rule records or alerts")
        if self.record is not None and (self.annotations or self.hold or self.keep_firing_for):
            raise ValueError("only alerts wait, and are told of")
        return self


class _Group(_Strict):
    name: str = Field(min_length=1)
    interval: Duration | None = None
    limit: int | None = None
    query_offset: Duration | None = None
    partial_response_strategy: Literal["abort", "warn", ""] | None = None
    labels: dict[str, str] = {}
    rules: list[_Rule]


class _Groups(_Strict):
    groups: list[_Group]

    @model_validator(mode="after")
    def _have_names_of_their_own(self) -> Self:
        if len({group.name for group in self.groups}) < len(self.groups):
            raise ValueError("groups are told apart by their names")
        return self


class _SecretKey(_Strict):
    name: ObjectName
    key: DataKey
    optional: bool = False


class _Authorization(_Strict):
    type: str = "Bearer"
    credentials: _SecretKey


class _Relabeling(_Strict):
    source_labels: list[str] = Field([], alias="sourceLabels")
    separator: str | None = None
    target_label: str | None = Field(None, alias="targetLabel")
    regex: str | None = None
    modulus: int | None = None
    replacement: str | None = None
    action: Literal["replace", "keep", "drop", "hashmod", "labelmap", "labeldrop", "labelkeep"] = "replace"


class _Endpoint(_Strict):
    port: PortName
    path: str | None = Field(None, pattern="^/")
    scheme: Literal["http", "https"] | None = None
    interval: Duration
    scrape_timeout: Duration = Field(alias="scrapeTimeout")
    honor_labels: bool = Field(False, alias="honorLabels")
    authorization: _Authorization | None = None
    relabelings: list[_Relabeling] = []
    metric_relabelings: list[_Relabeling] = Field([], alias="metricRelabelings")


class _Expression(_Strict):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = []


class _Selector(_Strict):
    labels: dict[str, LabelValue] = Field({}, alias="matchLabels")
    expressions: list[_Expression] = Field([], alias="matchExpressions")


class _Namespaces(_Strict):
    any: bool = False
    names: list[str] = Field([], alias="matchNames")


class _Scraping(_Strict):
    selector: _Selector
    endpoints: list[_Endpoint] = Field(min_length=1)
    job_label: str | None = Field(None, alias="jobLabel")
    target_labels: list[str] = Field([], alias="targetLabels")
    namespaces: _Namespaces | None = Field(None, alias="namespaceSelector")
    sample_limit: int | None = Field(None, alias="sampleLimit", ge=0)


class _Object(_Strict):
    metadata: _Metadata


class PrometheusRule(_Object):
    """Rules."""

    version: Literal["monitoring.coreos.com/v1"] = Field(alias="apiVersion")
    kind: Literal["PrometheusRule"]
    spec: _Groups


class ServiceMonitor(_Object):
    """What is scraped."""

    version: Literal["monitoring.coreos.com/v1"] = Field(alias="apiVersion")
    kind: Literal["ServiceMonitor"]
    spec: _Scraping


class ConfigMap(_Object):
    """Files."""

    version: Literal["v1"] = Field(alias="apiVersion")
    kind: Literal["ConfigMap"]
    data: dict[DataKey, str]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.model_dump_json().encode()) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        return self


KINDS: dict[str, type[_Object]] = {kind.__name__: kind for kind in (PrometheusRule, ServiceMonitor, ConfigMap)}


def deviations(manifest: dict[str, Any]) -> list[str]:
    """Where a manifest is not what Kubernetes and the operator take, and why."""
    kind = KINDS.get(str(manifest.get("kind")))
    if kind is None:
        return [f"kind: {manifest.get('kind')!r} is none of {', '.join(KINDS)}"]
    try:
        kind.model_validate(manifest)
    except ValidationError as error:
        return [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    return []


def seconds(duration: str) -> int:
    """Of a duration in whole seconds, minutes or hours."""
    units = {"h": 3_600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", duration))
