"""What callers send about canaries, and how one looks as JSON."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from monitor.canary.keeper import CanaryView
from monitor.canary.money import Micros, dollars
from monitor.canary.runs import LeftOut
from monitor.canary.spending import Account
from monitor.store.ledger import CanaryRun, Pause
from monitor.web.bodies import invalid, parse_json, read_body, render_instant
from monitor.web.problems import Problem

LONGEST_PAUSE: Final = timedelta(days=90)
_FAR_S: Final = 1e9
"""What can still be added to a date; a pause may not last as long."""


def _check_one_line(text: str) -> str:
    """Pages and terminals show it as it is."""
    if not text.isprintable():
        raise ValueError("line ends and control characters are not allowed")
    return text


class PauseBody(BaseModel):
    """What a pause takes. It has an end, so that nobody forgets it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
        AfterValidator(_check_one_line),
        Field(description="why; the status page tells it"),
    ]
    until: AwareDatetime | None = Field(None, description="its end; or give seconds")
    seconds: float | None = Field(None, gt=0, le=_FAR_S, allow_inf_nan=False, description="how long it lasts from now")

    @model_validator(mode="after")
    def _check(self) -> "PauseBody":
        if (self.until is None) == (self.seconds is None):
            raise ValueError(f"give until or seconds, one of them; found {'none' if self.until is None else 'both'}")
        return self

    def ends_at(self, now: datetime) -> datetime:
        """The end. Raises Problem 422 where it is past, or far off."""
        until = self.until if self.until is not None else now + timedelta(seconds=self.seconds or 0)
        if not now < until <= now + LONGEST_PAUSE:
            detail = (
                f"until: {until.isoformat()} is not ahead, or too far; it is {render_instant(now)} now, "
                f"and a pause may last {LONGEST_PAUSE.days} days"
            )
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=[{"field": "until", "message": detail}])
        return until


async def read_pause(request: web.Request) -> PauseBody:
    """The body of a pause. Raises Problem 400, 413 or 422."""
    try:
        return PauseBody.model_validate(parse_json(await read_body(request)))
    except ValidationError as error:
        raise invalid(error, PauseBody) from None


def render_canary(view: CanaryView) -> dict[str, Any]:
    """A canary as every answer shows it. Money is in US dollars."""
    canary = view.canary
    return {
        "name": canary.name,
        "provider": canary.provider,
        "model": canary.model,
        "kind": canary.kind,
        "flow": canary.flow,
        "prompt": canary.prompt,
        "timetable": str(canary.timetable),
        "enabled": canary.is_enabled,
        "price_usd": None if canary.price is None else _usd(canary.price),
        "next_at": render_instant(view.next_at),
        "pause": None if view.pause is None else render_pause(view.pause),
        "spending": _render_spending(view.spent),
        "last_skip": None if view.left_out is None else _render_skip(view.left_out),
        "runs": [_render_run(run) for run in view.runs],
    }


def render_pause(pause: Pause) -> dict[str, Any]:
    """A pause in JSON."""
    return {
        "reason": pause.reason,
        "since": render_instant(pause.since),
        "until": render_instant(pause.until),
    }


def _render_spending(spent: Mapping[Account, Micros]) -> dict[str, Any]:
    return {
        account.span.value: {
            "spent_usd": _usd(micros),
            "limit_usd": None if account.limit is None else _usd(account.limit),
        }
        for account, micros in spent.items()
    }


def _render_skip(left_out: LeftOut) -> dict[str, Any]:
    return {"at": render_instant(left_out.at), "reason": left_out.skip, "detail": left_out.detail}


def _render_run(run: CanaryRun) -> dict[str, Any]:
    return {
        "generation": run.generation_id,
        "created_at": render_instant(run.created_at),
        "outcome": run.outcome,
        "reason": run.reason,
        "channel": run.channel,
        "duration_seconds": None if run.duration_s is None else round(run.duration_s, 3),
    }


def _usd(micros: Micros) -> float:
    return float(dollars(micros))
