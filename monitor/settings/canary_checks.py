"""What is wrong with canaries that only shows beside the other settings. Each problem names the key and the mend."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from monitor.delivery.model import Flow, Kind
from monitor.settings.canaries import CanarySettings
from monitor.settings.model import ProviderSettings, Settings

_ANY_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""What is not due in the years from here never is."""


def check_canaries(settings: Settings) -> list[str]:
    """Every problem, as `canary.0.model: …`."""
    problems = []
    for at, canary in enumerate(settings.canary):
        provider = provider_of(canary, settings)
        found = [*_check_itself(canary, settings)]
        if provider is None:
            known = ", ".join(each.name for each in settings.providers)
            found.append(f"provider: no provider is named {canary.provider!r}; there are: {known}")
        else:
            found += [*_check_model(canary, provider), *_check_price(canary, provider, settings)]
        problems += [f"canary.{at}.{problem}" for problem in found]
    return problems


def provider_of(canary: CanarySettings, settings: Settings) -> ProviderSettings | None:
    """Whom the canary asks; None if there is no such provider."""
    return settings.providers[0] if canary.provider is None else settings.provider(canary.provider)


def _check_itself(canary: CanarySettings, settings: Settings) -> Iterator[str]:
    limit = settings.server.max_prompt_chars
    if len(canary.prompt) > limit:
        yield f"prompt: has {len(canary.prompt)} characters; server.max_prompt_chars allows {limit}"
    if canary.flow is Flow.PROJECT and canary.kind is not Kind.IMAGE:  # else each run would be rejected
        yield f"flow: a {canary.kind} is made in the file flow; the project flow makes images"
    timetable = canary.timetable(settings.canaries.time_zone)
    if timetable.first_from(_ANY_DAY) is None:
        key = "cron" if canary.cron else "interval"
        advice = "no such day or hour comes" if canary.cron else "intervals count from midnight UTC; use cron instead"
        yield f"{key}: it would never run ({timetable}): {advice}"


def _check_model(canary: CanarySettings, provider: ProviderSettings) -> Iterator[str]:
    if canary.model is not None and canary.model not in provider.models:
        allowed = ", ".join(provider.models)
        yield f"model: {provider.name} has no model {canary.model!r} in the settings; there are: {allowed}"


def _check_price(canary: CanarySettings, provider: ProviderSettings, settings: Settings) -> Iterator[str]:
    limits = {key: usd for key, usd in _limits(canary, provider, settings).items() if usd is not None}
    if limits and canary.price_usd is None:
        yield f"price_usd: is missing, and {next(iter(limits))} needs it; say what one costs, 0 if nothing"
    for key, usd in limits.items():
        if canary.price_usd is not None and canary.price_usd > usd:
            yield f"price_usd: {canary.price_usd} is more than {key} allows, {usd}; it would never run"


def _limits(canary: CanarySettings, provider: ProviderSettings, settings: Settings) -> dict[str, Decimal | None]:
    every, owner = settings.canaries, f"max_canary_usd_per_{{}} of {provider.name}"
    return {
        "its max_usd_per_day": canary.max_usd_per_day,
        "its max_usd_per_month": canary.max_usd_per_month,
        owner.format("day"): provider.max_canary_usd_per_day,
        owner.format("month"): provider.max_canary_usd_per_month,
        "canaries.max_usd_per_day": every.max_usd_per_day,
        "canaries.max_usd_per_month": every.max_usd_per_month,
    }
