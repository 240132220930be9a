"""The objective and what guards its alerts, read from `slo.toml` and checked."""

import math
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from alerts.names import CONFIDENCE_WINDOW, SLO_WINDOW, Severity
from monitor.delivery.model import Origin

PATH: Final = Path(__file__).with_name("slo.toml")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class ObjectiveInvalid(ValueError):
    """`slo.toml` does not hold together; the message has a line for each problem."""


def seconds(window: str) -> int:
    """Of a window as Prometheus writes it, in one unit: 30s, 5m, 6h, 30d. Raises ValueError."""
    found = re.fullmatch(r"([1-9]\d{0,3})([smhd])", window)
    if found is None:
        raise ValueError(f"a window looks like 30s, 5m, 6h or 30d, not {window!r}")
    return int(found[1]) * _UNITS[found[2]]


def times(number: int, window: str) -> str:
    """`window` so many times, in its own unit."""
    return f"{number * int(window[:-1])}{window[-1]}"


def _highest_share(good: float, bad: float, z: float) -> float:
    """The upper Wilson bound of the share of the good ones, as the rules have it. Raises ZeroDivisionError of none."""
    n = good + bad
    return (good + z * z / 2 + z * math.sqrt(good * bad / n + z * z / 4)) / (n + z * z)


def _check_window(window: str) -> str:
    seconds(window)
    return window


Window = Annotated[str, AfterValidator(_check_window)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Delivery(_Section):
    ratio: Share
    period: Window
    origins: tuple[Origin, ...] = Field(min_length=1)


class ConfidenceWindow(_Section):
    """One window of `DeliveryBelowObjective`; with `recent`, losses must go on within that too."""

    long: Window
    recent: Window | None = None


class _Confidence(_Section):
    z: float = Field(gt=0, le=10)
    min_lost: Count
    windows: tuple[ConfidenceWindow, ...] = Field(min_length=1)


class BurnWindow(_Section):
    """One pair of windows of a burn rate, as in the SRE workbook, chapter 5."""

    severity: Literal[Severity.PAGE, Severity.TICKET]
    rate: float = Field(gt=0)
    long: Window
    recent: Window


class _Burn(_Section):
    min_lost: Count
    windows: tuple[BurnWindow, ...] = Field(min_length=1)


class _Outage(_Section):
    min_lost: Count
    windows: tuple[Window, ...] = Field(min_length=1)


class _Causes(_Section):
    z: float = Field(gt=0, le=10)
    sse_success: Share
    asset_success: Share
    unreachable_ratio: Share
    min_bad: Count


class _Canaries(_Section):
    min_failed: Count
    intervals: tuple[Window, ...] = Field(min_length=1)

    @field_validator("intervals")
    @classmethod
    def _rise(cls, intervals: tuple[Window, ...]) -> tuple[Window, ...]:
        if sorted(set(intervals), key=seconds) != list(intervals):
            raise ValueError("each must be longer than the one before")
        return intervals


class _Links(_Section):
    runbooks: str = Field(pattern=r"^https?://\S+[^/\s]$")
    dashboards: str = Field(pattern=r"^https?://\S+[^/\s]$")
    monitor: str = Field(pattern=r"^https?://\S+[^/\s]$")


class Objective(_Section):
    """Everything that the rules are built from."""

    objective: _Delivery
    confidence: _Confidence
    burn: _Burn
    outage: _Outage
    causes: _Causes
    canaries: _Canaries
    links: _Links

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.objective.period != SLO_WINDOW:
            raise ValueError(f"objective.period: dashboards show {SLO_WINDOW}, found {self.objective.period!r}")
        if self.confidence.windows[0].long != CONFIDENCE_WINDOW:
            raise ValueError(f"confidence.windows: the first is shown on dashboards and must be {CONFIDENCE_WINDOW!r}")
        for recent, long in self.window_pairs:
            if recent is not None and seconds(recent) >= seconds(long):
                raise ValueError(f"windows: recent {recent!r} must be shorter than long {long!r}")
        for burn in self.burn.windows:
            if burn.rate * self.budget >= 1:
                raise ValueError(f"burn.windows: at a rate of {burn.rate:g} more would be lost than there is")
            if burn.severity is Severity.PAGE and not self._is_seen_by_confidence(burn):
                raise ValueError(
                    f"confidence: too strict. The burn rate over {burn.long!r} would page before it and must not, as "
                    "only it silences the other: lower z or min_lost, raise burn.min_lost, or add the window"
                )
        return self

    def _is_seen_by_confidence(self, burn: BurnWindow) -> bool:
        """Whether `DeliveryBelowObjective` fires whenever this burn rate does: of most generations, fewest losses."""
        bad, z = self.burn.min_lost, self.confidence.z
        good = bad / (burn.rate * self.budget) - bad
        is_there = any((window.long, window.recent) == (burn.long, burn.recent) for window in self.confidence.windows)
        return is_there and bad >= self.confidence.min_lost and _highest_share(good, bad, z) < self.objective.ratio

    @property
    def window_pairs(self) -> list[tuple[str | None, str]]:
        """The recent and the long window of each rule that has both."""
        burns = [(window.recent, window.long) for window in self.burn.windows]
        return [*((window.recent, window.long) for window in self.confidence.windows), *burns]

    @property
    def budget(self) -> float:
        """The share that may be lost."""
        return round(1 - self.objective.ratio, 12)


def read_objective(path: Path = PATH) -> Objective:
    """The objective in `path`. Raises ObjectiveInvalid and OSError."""
    try:
        return Objective.model_validate(tomllib.loads(path.read_text("utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise ObjectiveInvalid(f"{path.name}: {error}") from error
    except ValidationError as error:
        raise ObjectiveInvalid("\n".join(_problem(path.name, item) for item in error.errors())) from error


def _problem(file: str, error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    found = "" if error["type"] in ("missing", "value_error") else f", found {error['input']!r}"
    return f"{file}: {where or 'slo'}: {error['msg'].removeprefix('Value error, ')}{found}"
