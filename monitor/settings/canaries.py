"""Settings of canaries: what each makes, when, and what all of them may cost."""

from datetime import timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from monitor.delivery.model import Flow, Kind
from monitor.settings.section import Name, Section, Usd, UsdLimit
from monitor.timetable import (
    CrontabTimetable,
    IntervalTimetable,
    Timetable,
    parse_crontab,
    parse_hours,
    zone_named,
)

_JITTER_SHARE: Final = 10


def _check_zone(name: str) -> str:
    return zone_named(name).key


def _check_cron(line: str) -> str:
    return parse_crontab(line).text


def _check_hours(text: str) -> str:
    return str(parse_hours(text))


ZoneName = Annotated[str, AfterValidator(_check_zone)]
Cron = Annotated[str, AfterValidator(_check_cron)]
HoursOfDay = Annotated[str, AfterValidator(_check_hours)]


class CanariesSettings(Section):
    """What holds for all canaries together. Limits of one provider's stand with the provider."""

    time_zone: ZoneName = Field("UTC", description="IANA zone in which days and months of spending begin")
    max_usd_per_day: UsdLimit | None = Field(None, description="US dollars that all canaries may cost in a day")
    max_usd_per_month: UsdLimit | None = Field(None, description="the same in a calendar month")


class CanarySettings(Section):
    """One canary: a generation that is run on a timetable, so that there is a signal without traffic."""

    name: Name
    provider: str | None = Field(None, description="name of the provider; none: the first")
    model: str | None = Field(None, description="one of the provider's models; none: its first")
    prompt: str = Field(min_length=1, description="what to make")
    kind: Kind = Field(Kind.IMAGE, description="what to make of it: image or video")
    flow: Flow = Field(Flow.FILE, description="which of the provider's create calls to use: file or project")
    interval: float | None = Field(
        None, ge=1, le=86_400, allow_inf_nan=False, description="seconds from run to run; or give cron"
    )
    cron: Cron | None = Field(
        None, description='five fields of crontab(5), as "*/5 8-20 * * mon-fri"; or give interval'
    )
    time_zone: ZoneName | None = Field(None, description="IANA zone of cron and window; none: that of [canaries]")
    jitter: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = Field(
        None, description="most seconds that a run is put off; none: a tenth of interval, and 0 with cron"
    )
    window: HoursOfDay | None = Field(
        None, description='hours of the day in which it runs, as "08:00-20:00"; none: all day'
    )
    price_usd: Usd | None = Field(None, description="US dollars for one generation; required where a limit applies")
    enabled: bool = Field(True, description="false: it runs on demand only")
    max_usd_per_day: UsdLimit | None = Field(None, description="US dollars that this canary may cost in a day")
    max_usd_per_month: UsdLimit | None = Field(None, description="the same in a calendar month")

    @model_validator(mode="after")
    def _check(self) -> "CanarySettings":
        if (self.interval is None) == (self.cron is None):
            found = "neither" if self.cron is None else "both"
            raise ValueError(f"give interval, in seconds, or cron, not both; found {found}")
        gap_s = self.timetable("UTC").shortest_gap.total_seconds()
        if self.jitter_s > gap_s / 2:
            raise ValueError(
                f"jitter: may be half of the time from run to run, {gap_s / 2:g} s, at the most; found {self.jitter:g}"
            )
        return self

    @property
    def jitter_s(self) -> float:
        """Most seconds that a run is put off."""
        if self.jitter is None:
            return 0.0 if self.interval is None else self.interval / _JITTER_SHARE
        return self.jitter

    def timetable(self, default_zone: str) -> Timetable:
        """When it is due; `default_zone` is that of the section [canaries]."""
        zone = ZoneInfo(self.time_zone or default_zone)
        hours = parse_hours(self.window) if self.window else None
        if self.cron is not None:
            return CrontabTimetable(parse_crontab(self.cron), zone, hours)
        return IntervalTimetable(timedelta(seconds=self.interval or 0), zone, hours)
