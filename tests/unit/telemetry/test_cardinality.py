"""Whatever providers, callers and applications say, a scrape has no more samples than was agreed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from monitor.delivery.facts import (
    Accepted,
    AssetChecked,
    CallResult,
    ChannelsMeasured,
    CreateEnded,
    Disconnect,
    Ended,
    EventSeen,
    EventType,
    Fact,
    LookedAgain,
    PollEnded,
    PollingStarted,
    PollStarted,
    Reconciled,
    ReconcilingStarted,
    ResolveEnded,
    StreamEnded,
    StreamOpened,
    StreamResult,
    Submitted,
)
from monitor.delivery.identity import new_generation_id, new_span_id
from monitor.delivery.model import (
    Asset,
    AssetResult,
    Channel,
    ChannelResult,
    ErrorKind,
    Generation,
    Kind,
    Measurement,
    Origin,
    Outcome,
    Reason,
    Verdict,
)
from monitor.delivery.trace_context import new_trace
from monitor.settings import ProviderSettings, Settings, TracingSettings
from monitor.telemetry.catalog import MAX_SAMPLES, Phase
from monitor.telemetry.exposition import render
from monitor.telemetry.series import DELIVERING, full_spread, outcome_labels
from monitor.telemetry.setup import OWN_SAMPLES, build_telemetry
from tests.unit.telemetry.facts_of import GENERATION

VARIETY: Final = 10_000
LESS: Final = 2_000
"""Enough that all happens that can, where the bound itself has been tried already."""
POLICIES: Final = ("fixed", "quick")


def _providers(number: int, models: int) -> tuple[ProviderSettings, ...]:
    """Each with a second policy for its first model."""
    names = tuple(f"vendor/model-{model}" for model in range(models))
    return tuple(
        ProviderSettings(
            name=f"p{item}", base_url="http://p.test", models=names, model_policies={names[0]: POLICIES[1]}
        )
        for item in range(number)
    )


PLAUSIBLE: Final = {
    "one provider, three models": _providers(1, 3),
    "one provider, six models": _providers(1, 6),
    "two providers, two models each": _providers(2, 2),
}


def _settings(providers: Sequence[ProviderSettings]) -> Settings:
    tracing = TracingSettings(endpoint="http://127.0.0.1:9", sample_ratio=1.0)
    policies = {"quick": {"grace": 2.0, "interval": 2.0, "max_attempts": 10, "window": 30.0}}
    return Settings.model_validate({"providers": providers, "tracing": tracing, "policies": policies})


def _samples(registry: CollectorRegistry) -> list[str]:
    body, _ = render(registry, "")
    return [line for line in body.decode().splitlines() if not line.startswith("#")]


class _Hostile:
    """Tells of generations that differ in everything that can differ."""

    def __init__(self, providers: Sequence[ProviderSettings], variety: int = LESS) -> None:
        self._random = random.Random(7)
        self._providers = providers
        self._variety = variety

    def generations(self) -> Iterator[tuple[Generation, Iterator[Fact]]]:
        """Every combination of provider, model, origin and outcome first, then whatever comes."""
        ends = outcome_labels()
        for provider in self._providers:
            for model in (*provider.models, "of old"):
                for origin in Origin:
                    for end in ends:
                        policy = provider.policy_of(model)
                        yield self._generation(provider.name, model, origin, policy), self._story(end)
        for number in range(self._variety):
            provider = self._random.choice(self._providers)
            word = self._word(number)
            origin = self._random.choice(list(Origin))
            yield self._generation(provider.name, word, origin, word), self._story(self._random.choice(ends))

    def _generation(self, provider: str, model: str, origin: Origin, policy: str) -> Generation:
        now_ms = self._random.randrange(2**40)
        return replace(
            GENERATION,
            id=new_generation_id(now_ms),
            trace=new_trace(),
            provider=provider,
            model=model,
            origin=origin,
            policy=policy,
        )

    def _word(self, number: int) -> str:
        return f'{number}"\n\\{{}}=,\u202e\x00{self._random.getrandbits(64):x}'

    def _story(self, end: tuple[Outcome, Channel, str]) -> Iterator[Fact]:
        outcome, channel, reason = end
        pick, word = self._random.choice, self._word(self._random.randrange(self._variety))
        asset = Asset(f"https://{word}/", Kind.IMAGE) if outcome is Outcome.DELIVERED else None
        verdict = Verdict(outcome, channel, 60.0, 3, asset, Reason(reason) if reason else None, word)
        yield Accepted(0.0)
        yield CreateEnded(1.0, 0.0, new_span_id(), self._status(), pick([None, *ErrorKind]), pick([True, False]))
        yield Submitted(1.0, 10.0)
        yield StreamOpened(1.5, 1.0, 1, self._status() or 200)
        yield EventSeen(2.0, pick(list(EventType)), 0.5, True, 0.5, word)
        yield StreamEnded(
            3.0, 1.0, new_span_id(), 1, pick(list(StreamResult)), self._status(), None, word, None, pick([True, False])
        )
        yield StreamEnded(
            3.0, 1.0, new_span_id(), 2, StreamResult.OPENED, self._status(), pick(list(Disconnect)), word, 0.5
        )
        yield PollingStarted(10.0, False)
        yield PollStarted(10.0, 1, 6)
        yield PollEnded(10.5, 10.0, new_span_id(), 1, pick(list(CallResult)), self._status(), word)
        yield PollEnded(20.5, 20.0, new_span_id(), 2, CallResult.PENDING, 200, None)
        yield ResolveEnded(21.0, 20.9, new_span_id(), pick(DELIVERING), 2, pick(list(CallResult)), self._status(), word)
        yield Ended(60.0, verdict, 1.0)
        results = list(ChannelResult)
        yield ChannelsMeasured(61.0, Measurement(pick(results), pick(results), 1.0))
        yield AssetChecked(62.0, 61.0, new_span_id(), pick(list(AssetResult)), self._status(), word)
        yield ReconcilingStarted(60.0)
        yield LookedAgain(90.0, 89.0, new_span_id(), 1, pick(list(CallResult)), self._status(), word)
        yield Reconciled(91.0, pick([None, 30.0]))

    def _status(self) -> int | None:
        return self._random.choice([None, self._random.randrange(1_000), self._random.choice([200, 404, 429, 503])])


@pytest.mark.parametrize(("name", "variety"), list(zip(PLAUSIBLE, (VARIETY, LESS, LESS), strict=True)))
def test_hostile_variety_makes_no_more_samples_than_the_settings_allow(name: str, variety: int) -> None:
    providers = PLAUSIBLE[name]
    registry = CollectorRegistry()
    with capture_logs() as lines:
        telemetry = build_telemetry(_settings(providers).model_copy(update={"tracing": TracingSettings()}), registry)
        for generation, story in _Hostile(providers, variety).generations():
            for fact in story:
                telemetry.observer(generation, fact)
    samples = _samples(registry)
    of_generations = [sample for sample in samples if not sample.startswith("generation_monitor_")]
    assert len(of_generations) == full_spread(providers), "all that can happen did, and no more"
    assert len(samples) - len(of_generations) < OWN_SAMPLES
    assert len(of_generations) + OWN_SAMPLES <= MAX_SAMPLES
    assert not [line for line in lines if "recommended" in line or "an observer failed" in line["event"]]
    for phase in Phase:
        for provider in providers:
            assert registry.get_sample_value("generation_in_flight", {"provider": provider.name, "phase": phase}) == 0


def test_exemplars_are_no_samples() -> None:
    providers = PLAUSIBLE["one provider, three models"]
    telemetry = build_telemetry(_settings(providers), CollectorRegistry())
    for number, (generation, story) in enumerate(_Hostile(providers).generations()):
        if number == 500:
            break
        for fact in story:
            telemetry.observer(generation, fact)
    plain, _ = render(telemetry.registry, "")
    openmetrics, _ = render(telemetry.registry, "application/openmetrics-text; version=1.0.0")
    assert openmetrics.count(b" # {") > 100
    assert sum(not line.startswith(b"#") for line in plain.splitlines()) == sum(
        not line.startswith(b"#") for line in openmetrics.splitlines()
    )


@pytest.mark.parametrize(("number", "models", "warnings"), [(1, 6, 0), (2, 2, 0), (1, 12, 1), (3, 3, 1)])
def test_settings_that_make_large_scrapes_are_warned_of_once(number: int, models: int, warnings: int) -> None:
    with capture_logs() as lines:
        build_telemetry(_settings(_providers(number, models)), CollectorRegistry())
    assert [line["recommended"] for line in lines if line["log_level"] == "warning"] == [MAX_SAMPLES] * warnings
