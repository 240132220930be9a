"""What `monitor canary plan` says: a table and sentences for people, and the same as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from monitor.canary.advice import Advice, Pace
from monitor.canary.money import Micros, dollars, render_usd
from monitor.canary.plan import Limits, Plan
from monitor.cli.canary_words import cost_words, number_words, unpaid_words
from monitor.cli.quantities import render_span

_BELOW: Final = 0.01


@dataclass(frozen=True, slots=True)
class PlannedFor:
    """Which provider is spoken of, what a run of it costs, and the plan that is configured."""

    provider: str
    price: Micros | None
    plan: Plan


def render_advice(advice: Advice, subject: PlannedFor) -> Group:
    """The question, the answer in a sentence, the table, and what to mind."""
    parts: list[RenderableType] = [Text(_question(advice, subject), style="dim"), _answer(advice, subject), Text()]
    parts += [_table(advice), Text()]
    parts += [Text(line, style="yellow") for line in _to_mind(advice, subject)]
    parts.append(Text("Runs are taken to come evenly, and each to be lost by itself: docs/canaries.md.", style="dim"))
    return Group(*parts)


def advice_json(advice: Advice, subject: PlannedFor) -> dict[str, Any]:
    """All of it for programs."""
    wish = advice.wish
    return {
        "provider": subject.provider,
        "wish": {
            "healthy": wish.fall.healthy,
            "detect": wish.fall.fallen,
            "within_seconds": wish.within_s,
            "certainty": wish.share,
            "false_pages_per_year": wish.false_pages,
        },
        "answer": _pace_json(advice.answer),
        "in_time_but_louder": _pace_json(advice.louder),
        "fastest": _pace_json(advice.fastest),
        "nearest_fall": advice.nearest_fall,
        "with_more_time": [
            {"within_seconds": within_s, "answer": _pace_json(pace)} for within_s, pace in advice.with_more_time
        ],
        "today": _pace_json(advice.today),
        "notes": list(_to_mind(advice, subject)),
    }


def _pace_json(pace: Pace | None) -> dict[str, Any] | None:
    if pace is None:
        return None
    return {
        "interval_seconds": pace.every_s,
        "runs_per_day": pace.runs_a_day,
        "usd_per_30_days": None if pace.cost is None else float(dollars(pace.cost)),
        "half_paged_within_seconds": pace.half_after_s,
        "paged_within_seconds": pace.share_after_s,
        "paged_in_time": pace.share_in_time,
        "false_pages_per_year": pace.false_pages,
    }


def _question(advice: Advice, subject: PlannedFor) -> str:
    wish = advice.wish
    return (
        f"Delivery of {subject.provider} falls from {_share(wish.fall.healthy)} to {_share(wish.fall.fallen)}. "
        f"{_share(wish.share)} of such falls are to be paged within {render_span(wish.within_s)}, "
        f"with no more than {wish.false_pages:g} a year for nothing."
    )


def _answer(advice: Advice, subject: PlannedFor) -> Text:
    answer = advice.answer
    if answer is None:
        return Text(_cannot(advice), style="bold red")
    if answer.every_s is None:
        return Text("The traffic alone is enough: no canary is needed for this.", style="bold green")
    cost = f"{render_usd(answer.cost)} in 30 days" if answer.cost is not None else "at a price that is not known"
    at = f", at {render_usd(subject.price)} a run" if subject.price is not None else ""
    told = f"One canary run every {render_span(answer.every_s)}: {number_words(answer.runs_a_day)} a day, {cost}{at}."
    return Text(told, style="bold green")


def _cannot(advice: Advice) -> str:
    wish, fastest = advice.wish, advice.fastest
    within = render_span(wish.within_s)
    if advice.louder is not None:
        often = _pages(advice.louder.false_pages)
        why = f"a run every {_every(advice.louder)} would page in time, but {often} times a year for nothing"
    else:
        paged = f"{_share(fastest.share_in_time)} of such falls within {within}"
        why = f"even a run every {_every(fastest)}, the most that the settings allow, pages {paged}"
    nearest = "no fall at all" if advice.nearest_fall is None else f"a fall to {_share(advice.nearest_fall)} or less"
    return f"This cannot be had: {why}. Within {within}, {nearest} can be paged so."


def _table(advice: Advice) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("within", no_wrap=True)
    share = _share(advice.wish.share)
    for name in ("run every", "runs a day", "30 days", "half in", f"{share} in", "in vain"):
        table.add_column(name, justify="right", no_wrap=True)
    for within_s, pace in ((advice.wish.within_s, advice.answer), *advice.with_more_time):
        table.add_row(render_span(within_s), *_cells(pace), style="bold" if within_s == advice.wish.within_s else "")
    table.add_row("today", *_cells(advice.today), style="cyan")
    return table


def _cells(pace: Pace | None) -> Iterator[str]:
    if pace is None:
        yield "none fits"
        return
    yield _every(pace)
    yield number_words(pace.runs_a_day)
    yield cost_words(pace.cost)
    for after_s in (pace.half_after_s, pace.share_after_s):
        yield "over 30d" if after_s is None else render_span(after_s)
    yield _pages(pace.false_pages)


def _to_mind(advice: Advice, subject: PlannedFor) -> Iterator[str]:
    wish, answer = advice.wish, advice.answer
    if answer is not None and advice.louder is not None:
        yield (
            f"A run every {_every(advice.louder)} would be in time as well, but page for nothing "
            f"{_pages(advice.louder.false_pages)} times a year."
        )
    if answer is not None:
        yield from _limits_passed(answer, subject)
    in_time = _share(advice.today.share_in_time)
    yield f"Today's plan pages at least {in_time} of such falls within {render_span(wish.within_s)}."
    if not advice.today_is_even:
        yield "It is counted as if it ran evenly round the clock; in hours without runs nothing is seen."


def _limits_passed(answer: Pace, subject: PlannedFor) -> Iterator[str]:
    """Limits that would leave runs out."""
    holders = {
        f"provider {subject.provider}": subject.plan.provider_limits.get(subject.provider, Limits()),
        "all canaries": subject.plan.limits,
    }
    for holder, limits in holders.items():
        yield from unpaid_words(answer.cost, limits, holder)


def _every(pace: Pace) -> str:
    return "–" if pace.every_s is None else render_span(pace.every_s)


def _share(share: float) -> str:
    """To a tenth of a percent, and never rounded up."""
    return f"{int(share * 1_000 + 1e-6) / 10:g}%"


def _pages(number: float) -> str:
    return f"< {_BELOW}" if number < _BELOW else f"{number:.2f}"
