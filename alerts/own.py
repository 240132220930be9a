"""What is wrong with the monitor itself, so that what it says cannot be trusted."""

from alerts.names import JOB, Alert, Severity
from alerts.promql import increase, series
from alerts.rule import Alerting, Group, Timing
from alerts.words import DURATION, INSTANCE, MONITOR_BOARD, NUMBER, PROVIDER
from monitor.telemetry import catalog
from monitor.telemetry.catalog import Label, SpanResult

_INSTANCE = ("instance",)


def own_group(timing: Timing) -> Group:
    """All of them."""
    return Group(
        "monitor-alerts",
        "30s",
        (
            _store(timing),
            _traces(timing),
            _observer(timing),
            _loop(timing),
            _scrape(),
            _clock(),
            _objective(timing),
            _reload(),
            _watchdog(),
        ),
    )


def _own(alert: Alert, expression: str, summary: str, description: str, hold: str) -> Alerting:
    return Alerting(alert, Severity.TICKET, expression, summary, description, MONITOR_BOARD, hold)


def _store(timing: Timing) -> Alerting:
    """A page: generations that wait for the store, or are refused, are in no metric of delivery."""
    failed = increase(series(catalog.STORE_FAILURES), timing.over("5m"), _INSTANCE)
    return Alerting(
        Alert.STORE_FAILING,
        Severity.PAGE,
        f"{failed} > 0",
        f"The store of {INSTANCE} cannot be written",
        f"{NUMBER} commits of {INSTANCE} failed in the last 5m, and for 5m before. What cannot be recorded is not sent "
        "to a provider: new generations wait, and no metric of delivery counts them. The service is not ready.",
        MONITOR_BOARD,
        hold="5m",
    )


def _traces(timing: Timing) -> Alerting:
    lost = series(catalog.TRACE_SPANS, result=(SpanResult.FAILED, SpanResult.DROPPED))
    return _own(
        Alert.TRACE_EXPORT_FAILING,
        f"{increase(lost, timing.over('15m'), _INSTANCE)} > 0",
        f"Traces of {INSTANCE} are lost",
        f"{NUMBER} spans of {INSTANCE} did not reach the trace store in the last 15m. Deliveries are not harmed.",
        hold="15m",
    )


def _observer(timing: Timing) -> Alerting:
    failed = increase(series(catalog.OBSERVER_FAILURES), timing.over("15m"), (*_INSTANCE, Label.OBSERVER))
    return _own(
        Alert.OBSERVER_FAILING,
        f"{failed} > 0",
        f"{{{{ $labels.observer }}}} of {INSTANCE} misses facts",
        f"{NUMBER} facts could not be taken by {{{{ $labels.observer }}}} in the last 15m. It is a bug: what it shows "
        "is too low by as much. Deliveries are not harmed.",
        hold="",
    )


def _loop(timing: Timing) -> Alerting:
    buckets = increase(series(catalog.LOOP_LAG, "_bucket"), timing.over("5m"), (*_INSTANCE, "le"))
    return _own(
        Alert.EVENT_LOOP_LAGGING,
        f"histogram_quantile(0.99, {buckets}) > 0.25",
        f"{INSTANCE} is overloaded",
        f"One wake-up in a hundred of {INSTANCE} is {DURATION} late or more, so latencies that it shows are too high. "
        "It needs more processor, fewer generations, or a second service.",
        hold="10m",
    )


def _scrape() -> Alerting:
    return _own(
        Alert.SCRAPE_FAILING,
        f'up{{job="{JOB}"}} == 0',
        f"{INSTANCE} cannot be scraped",
        f"Prometheus has had no answer from {INSTANCE} for 5m. What happens there is unseen.",
        hold="5m",
    )


def _clock() -> Alerting:
    clock = series(catalog.CLOCK)
    return _own(
        Alert.CLOCK_WRONG,
        f"abs({clock} - timestamp({clock})) > 5",
        f"The clock of {INSTANCE} is wrong",
        f"The clock of {INSTANCE} and that of Prometheus differ by {DURATION}. Stamps of generations, schedules of "
        "canaries and links from graphs to traces are off by as much; durations are not.",
        hold="5m",
    )


def _objective(timing: Timing) -> Alerting:
    ratio = timing.objective.objective.ratio
    return _own(
        Alert.OBJECTIVE_DISAGREES,
        f"max by ({Label.PROVIDER}) ({series(catalog.OBJECTIVE)} != {ratio:g})",
        f"The objective of {PROVIDER} is not that of its alerts",
        f"The service's settings say {{{{ $value }}}}, the rules were built for {ratio:g}. "
        "Set alerts/slo.toml or the provider's `objective` right, and rebuild the rules with `make alerts`.",
        hold="10m",
    )


def _reload() -> Alerting:
    return _own(
        Alert.RELOAD_REFUSED,
        f"{series(catalog.RELOADED)} == 0",
        f"{INSTANCE} did not take its changed settings",
        f"The settings that {INSTANCE} was told to read again are not valid: the canaries of before go on. A restart "
        "would fail. Its log, and `monitor check`, name each key that is wrong.",
        hold="5m",
    )


def _watchdog() -> Alerting:
    return Alerting(
        Alert.WATCHDOG,
        Severity.HEARTBEAT,
        "vector(1)",
        "Alerting lives",
        "Always firing. When it no longer arrives, Prometheus or Alertmanager is down, and nothing else would say so.",
        MONITOR_BOARD,
    )
