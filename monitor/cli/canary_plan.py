"""`monitor canary plan`: how often canaries must run so that a fall of delivery is paged in time."""

from typing import Annotated

import typer

from monitor.canary.advice import LONGEST_S, Adviser
from monitor.canary.detection import Fall, Signal
from monitor.canary.forecast import forecasts
from monitor.canary.frequency import Wish
from monitor.canary.money import Micros
from monitor.canary.page_rule import shipped_rule
from monitor.canary.plan import Plan, build_plan
from monitor.cli.canary_plan_words import PlannedFor, advice_json, render_advice
from monitor.cli.output import out, print_json
from monitor.cli.quantities import parse_share, parse_span, parse_usd, render_span
from monitor.cli.serve import ConfigOption
from monitor.delivery.clock import Clock
from monitor.settings import ProviderSettings, Settings, load_settings


def plan(
    detect: Annotated[str, typer.Option(metavar="SHARE", help="The share that delivery falls to, as 95%.")],
    within: Annotated[str, typer.Option(metavar="TIME", help="When it is to be paged at the latest, as 15m.")],
    certainty: Annotated[str, typer.Option(metavar="SHARE", help="Of such falls, how many are paged in time.")] = "90%",
    healthy: Annotated[str, typer.Option(metavar="SHARE", help="What is delivered while all is well.")] = "99.5%",
    false_pages: Annotated[
        float, typer.Option(min=0.001, max=1_000, help="Most pages a year for nothing, on the average.")
    ] = 1.0,
    traffic: Annotated[
        float, typer.Option(min=0, max=1_000_000, help="Generations of callers a day, at the pace of quiet hours.")
    ] = 0.0,
    price: Annotated[
        str | None, typer.Option(metavar="USD", help="What a run costs, as 0.04; default: the highest in the settings.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Name of the provider; default: the first.")] = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON, and nothing else.")] = False,
) -> None:
    """Say how often canaries must run so that a fall of delivery is paged in time, and what that costs.

    It goes by the alert rules that this release is built with; docs/canaries.md has the method and what it assumes.
    Exit codes: 0 told, also where the answer is that it cannot be had; 2 wrong usage or settings.
    """
    wish = Wish(
        fall=Fall(parse_share(healthy, "--healthy"), parse_share(detect, "--detect")),
        within_s=parse_span(within, "--within"),
        share=parse_share(certainty, "--certainty"),
        false_pages=false_pages,
    )
    settings = load_settings(config)
    asked, planned = _provider(settings, provider), build_plan(settings)
    paid = _highest_price(planned, asked.name) if price is None else parse_usd(price, "--price")
    adviser = Adviser(rule=shipped_rule(), traffic=_traffic(settings, asked, traffic), price=paid)
    _check(wish, adviser)
    mine = [each for each in forecasts(planned, Clock().now()) if each.canary.provider == asked.name]
    advice, subject = adviser.advise(wish, mine), PlannedFor(asked.name, paid, planned)
    if as_json:
        print_json(advice_json(advice, subject))
    else:
        out.print(render_advice(advice, subject))


def _traffic(settings: Settings, provider: ProviderSettings, a_day: float) -> Signal:
    """A loss is known at the end of the window of its policy; the longest of the provider's is taken."""
    windows_s = [settings.policy(provider.policy_of(model)).window_s for model in provider.models]
    return Signal(a_day=a_day, known_after_s=max(windows_s))


def _provider(settings: Settings, name: str | None) -> ProviderSettings:
    found = settings.providers[0] if name is None else settings.provider(name)
    if found is None:
        known = ", ".join(each.name for each in settings.providers)
        raise typer.BadParameter(f"no provider is named {name!r}; there are: {known}", param_hint="--provider")
    return found


def _highest_price(planned: Plan, provider: str) -> Micros | None:
    prices = [canary.price for canary in planned.canaries if canary.provider == provider and canary.price is not None]
    return max(prices, default=None)


def _check(wish: Wish, adviser: Adviser) -> None:
    """Raises BadParameter where the question makes no sense."""
    objective, fall = adviser.rule.objective, wish.fall
    if fall.fallen >= objective:
        _refuse("--detect", f"{fall.fallen * 100:g}%", f"below the objective of the alerts, {objective * 100:g}%")
    if fall.healthy <= objective:
        _refuse("--healthy", f"{fall.healthy * 100:g}%", f"above the objective of the alerts, {objective * 100:g}%")
    if not 0 < wish.share < 1:
        _refuse("--certainty", f"{wish.share * 100:g}%", "over 0% and below 100%, as chance is never certain")
    if not adviser.traffic.lag_s < wish.within_s <= LONGEST_S:
        known_s, lag_s = adviser.traffic.known_after_s, adviser.traffic.lag_s
        why = f"a loss is known {known_s:g} s after its start, and paged up to {lag_s - known_s:g} s later"
        _refuse("--within", render_span(wish.within_s), f"over {lag_s:g} s, as {why}, and 30d at the most")


def _refuse(option: str, found: str, allowed: str) -> None:
    raise typer.BadParameter(f"must be {allowed}; found {found}", param_hint=option)
