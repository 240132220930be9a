"""What `monitor check` tells of the plan of canaries: when they run, what that costs, how much one loss weighs."""

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from monitor.canary.forecast import MONTH, Forecast, budget_share, forecasts, total_cost
from monitor.canary.plan import Plan, build_plan
from monitor.cli.canary_words import cost_words, number_words, unpaid_words
from monitor.settings import Settings
from monitor.web.wording import percentage


def render_plan(settings: Settings, now: datetime) -> Group:
    """Each canary in a row, and below them what those of a provider come to."""
    plan = build_plan(settings)
    found = forecasts(plan, now)
    lines = [Text(line) for line in _together(settings, found)]
    passed = [Text(line, style="yellow") for line in _limits_passed(found, plan)]
    return Group(_table(found), *lines, *passed)


def _table(found: tuple[Forecast, ...]) -> Table:
    table = Table("canary", box=None, pad_edge=False)
    table.add_column("next runs", no_wrap=True)
    table.add_column("time zone")
    for name in ("runs a day", "cost a day", f"in {MONTH.days} days"):
        table.add_column(name, justify="right")
    for each in found:
        costs = (cost_words(each.cost_a_day), cost_words(each.cost))
        zone = each.canary.timetable.zone.key if each.next_ticks else ""
        table.add_row(escape(each.canary.name), _next(each), zone, number_words(each.runs_a_day), *costs)
    return table


def _next(found: Forecast) -> str:
    """By the clocks that the canary goes by."""
    zone = found.canary.timetable.zone
    shown = [f"{tick.due_at.astimezone(zone):%Y-%m-%d %H:%M:%S}" for tick in found.next_ticks]
    return "\n".join(shown) or "on demand only"


def _together(settings: Settings, found: tuple[Forecast, ...]) -> Iterator[str]:
    """What the canaries of each provider come to, and what one loss would weigh."""
    for provider in settings.providers:
        mine = [each for each in found if each.canary.provider == provider.name]
        share = budget_share(mine, provider.objective)
        if share is not None:
            runs, cost = number_words(sum(each.runs_a_day for each in mine)), total_cost(mine)
            paid = "at prices that are not known" if cost is None else f"for {cost_words(cost)} in {MONTH.days} days"
            yield (
                f"{provider.name}: {runs} runs a day, {paid}. Without other traffic one loss is "
                f"{percentage(share, 2)} of the error budget of {MONTH.days} days, at {provider.objective * 100:.6g}%."
            )


def _limits_passed(found: tuple[Forecast, ...], plan: Plan) -> Iterator[str]:
    for each in found:
        yield from unpaid_words(each.cost, each.canary.limits, f"canary {each.canary.name}")
    for provider, limits in plan.provider_limits.items():
        mine = [each for each in found if each.canary.provider == provider]
        yield from unpaid_words(total_cost(mine), limits, f"provider {provider}")
    yield from unpaid_words(total_cost(found), plan.limits, "all canaries")
