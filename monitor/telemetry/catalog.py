"""The names of all metrics and labels. They exist here and nowhere else."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OTHER_MODEL: Final = "other"
"""What every model is called that the settings do not list, so that callers cannot make series."""
OTHER_SCHEDULE: Final = "other"
"""What a policy is called that the settings no longer name: of a generation that is older than they."""


class Type(StrEnum):
    """The metric types of the exposition format that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Label(StrEnum):
    """All label names."""

    PROVIDER = "provider"
    MODEL = "model"
    ORIGIN = "origin"
    OUTCOME = "outcome"
    CHANNEL = "channel"
    REASON = "reason"
    PHASE = "phase"
    SCHEDULE = "schedule"
    RESULT = "result"
    TYPE = "type"
    OPERATION = "operation"
    CODE = "code"
    VERSION = "version"
    REVISION = "revision"
    OBSERVER = "observer"
    CANARY = "canary"
    LIMIT = "limit"


class Phase(StrEnum):
    """Where a generation in flight is."""

    SUBMITTING = "submitting"
    STREAMING = "streaming"
    POLLING = "polling"
    RECONCILING = "reconciling"
    """Expired, and still looked at now and then."""


class Skip(StrEnum):
    """Why a canary that was due did not run."""

    THINNED = "thinned"
    """Left out so that the money lasts to the end of its day or month."""
    LIMIT = "limit"
    """What is left of a limit does not pay for one more."""
    PAUSED = "paused"
    OVERLAP = "overlap"
    """Its last run is still in flight."""
    MISSED = "missed"
    """Nobody was there when it was due: the service stood still, or the clock was moved. The next one ran."""
    BUSY = "busy"
    """The service took on no more, or was stopping."""
    STORE = "store"
    """The store did not answer."""


FOR_MONEY: Final = (Skip.THINNED, Skip.LIMIT)


class SpanResult(StrEnum):
    """What became of a span that was worth keeping."""

    EXPORTED = "exported"
    FAILED = "failed"
    DROPPED = "dropped"


class Code(StrEnum):
    """What a call over HTTP came to: the class of its status, or why there was none.

    Each costs a histogram for each operation, so no more are told apart. What exactly a status said is in the results
    of polls and of connections, and in the reasons of outcomes.
    """

    SUCCESS = "2xx"
    REFUSED = "4xx"
    RATE_LIMITED = "429"
    FAILED = "5xx"
    OTHER = "other"
    """A redirect that led nowhere, or a status that no standard knows."""
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    ERROR = "error"


class Foreign(StrEnum):
    """What others name: the client library of this process, and Prometheus of its scrapes. Dashboards show them."""

    RESIDENT_MEMORY = "process_resident_memory_bytes"
    CPU = "process_cpu_seconds_total"
    OPEN_FILES = "process_open_fds"
    MAX_FILES = "process_max_fds"
    STARTED_AT = "process_start_time_seconds"
    UP = "up"
    SCRAPE_DURATION = "scrape_duration_seconds"
    SCRAPE_SAMPLES = "scrape_samples_scraped"


class ExemplarLabel(StrEnum):
    """What an exemplar names: the trace, where traces are exported, and the generation, whose timeline is stored.

    Names and values have 89 characters; OpenMetrics allows 128.
    """

    TRACE_ID = "trace_id"
    GENERATION_ID = "generation_id"


MAX_SAMPLES: Final = 3_000
"""Of a scrape, when everything has happened that can. See `monitor.telemetry.series.full_spread`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: `name` as Prometheus shows it, `says` in a sentence, bounds in the unit that the name ends in."""

    name: str
    type: Type
    labels: tuple[Label, ...]
    says: str
    buckets: tuple[float, ...] = ()


DELIVERY_S: Final = (1, 2, 5, 10, 15, 20, 30, 40, 50, 60, 75, 120, 300, 600)
"""They hold the poll grid, the window of `fixed` and the objective's threshold exactly, or percentiles would lie; the
last ones are for videos. Each costs six samples a model."""
_SHORT_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_WHO: Final = (Label.PROVIDER, Label.MODEL, Label.ORIGIN)

REQUESTS: Final = Metric("generation_requests_total", Type.COUNTER, _WHO, "generations accepted")
OUTCOMES: Final = Metric(
    "generation_outcomes_total",
    Type.COUNTER,
    (*_WHO, Label.OUTCOME, Label.CHANNEL, Label.REASON),
    "generations ended, each exactly once",
)
DELIVERY_DURATION: Final = Metric(
    "generation_delivery_duration_seconds",
    Type.HISTOGRAM,
    (*_WHO, Label.CHANNEL),
    "from the answer to the create call until delivered",
    DELIVERY_S,
)
POLL_ATTEMPTS: Final = Metric(
    "generation_poll_attempts",
    Type.HISTOGRAM,
    (*_WHO, Label.CHANNEL),
    "polls that were made by the time a generation ended; none is 0",
    (0, 1, 2, 3, 4, 5, 6, 10),
)
IN_FLIGHT: Final = Metric(
    "generation_in_flight", Type.GAUGE, (Label.PROVIDER, Label.PHASE), "generations under way, each in one phase"
)
DETECTION_GAP: Final = Metric(
    "generation_detection_gap_seconds",
    Type.HISTOGRAM,
    (Label.PROVIDER, Label.SCHEDULE),
    "from the last poll that found nothing to the one that delivered: what polling may have cost",
    (0.5, 1, 2, 3, 5, 10, 15, 20, 30, 60),
)
CHANNEL_RESULTS: Final = Metric(
    "generation_channel_results_total",
    Type.COUNTER,
    (Label.PROVIDER, Label.MODEL, Label.CHANNEL, Label.RESULT),
    "how each channel did on its own in deliveries and expiries that were measured; unused in the others",
)
CHANNEL_LAG: Final = Metric(
    "generation_channel_lag_seconds",
    Type.HISTOGRAM,
    (Label.PROVIDER, Label.CHANNEL),
    "how long after the winner the other channel had it",
    (0.1, 0.5, 1, 2, 5, 10, 15, 20, 30, 60),
)
LATE: Final = Metric(
    "generation_late_seconds",
    Type.HISTOGRAM,
    (Label.PROVIDER,),
    "how long after its window the asset of an expired generation was found",
    (30, 60, 120, 180, 240, 300, 450, 600),
)
ASSET_CHECKS: Final = Metric(
    "generation_asset_checks_total",
    Type.COUNTER,
    (Label.PROVIDER, Label.RESULT),
    "delivered URLs that were fetched, by what they serve",
)
SSE_CONNECTIONS: Final = Metric(
    "generation_sse_connections_total",
    Type.COUNTER,
    (Label.PROVIDER, Label.RESULT),
    "attempts to open an event stream",
)
SSE_DISCONNECTS: Final = Metric(
    "generation_sse_disconnects_total",
    Type.COUNTER,
    (Label.PROVIDER, Label.REASON),
    "streams that stood and ended",
)
SSE_EVENTS: Final = Metric(
    "generation_sse_events_total", Type.COUNTER, (Label.PROVIDER, Label.TYPE), "events that came over streams"
)
SSE_FIRST_EVENT: Final = Metric(
    "generation_sse_first_event_seconds",
    Type.HISTOGRAM,
    (Label.PROVIDER,),
    "from the opening of a stream to its first event",
    (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60),
)
POLLS: Final = Metric(
    "generation_polls_total", Type.COUNTER, (Label.PROVIDER, Label.RESULT), "status calls, by what they showed"
)
PROVIDER_REQUESTS: Final = Metric(
    "generation_provider_request_duration_seconds",
    Type.HISTOGRAM,
    (Label.PROVIDER, Label.OPERATION, Label.CODE),
    "calls to the provider, a poll with the resolution that belongs to it; of a stream, until its headers are there",
    _SHORT_S,
)
OBJECTIVE: Final = Metric(
    "generation_slo_objective_ratio", Type.GAUGE, (Label.PROVIDER,), "share of generations that must be delivered"
)
_CANARY: Final = (Label.PROVIDER, Label.CANARY)
CANARY_RUNS: Final = Metric(
    "generation_canary_runs_total", Type.COUNTER, (*_CANARY, Label.OUTCOME), "runs of canaries that ended"
)
CANARY_SKIPPED: Final = Metric(
    "generation_canary_skipped_total", Type.COUNTER, (*_CANARY, Label.REASON), "runs that were due and not made"
)
CANARY_SPEND: Final = Metric(
    "generation_canary_spend_usd_total",
    Type.COUNTER,
    _CANARY,
    "what runs cost by the prices of the settings, counted when the create call is sent",
)
CANARY_LAST_SUCCESS: Final = Metric(
    "generation_canary_last_success_timestamp_seconds",
    Type.GAUGE,
    _CANARY,
    "when a run was last delivered, since 1970; 0: never yet",
)
CANARY_PAUSED: Final = Metric("generation_canary_paused", Type.GAUGE, _CANARY, "1 while it is paused, else 0")
CANARY_INTERVAL: Final = Metric(
    "generation_canary_interval_seconds",
    Type.GAUGE,
    _CANARY,
    "from the run that was due last to the one that is due next, so that a night without runs is no silence; "
    "none where none is due",
)
CANARY_LIMIT_USED: Final = Metric(
    "generation_canary_limit_used_ratio", Type.GAUGE, (Label.LIMIT,), "share of a spending limit that is spent"
)
RELOADED: Final = Metric(
    "generation_monitor_last_reload_successful",
    Type.GAUGE,
    (),
    "1 while the canaries run as the settings say that were read last, 0 while a plan that is not valid was refused",
)
OF_CANARIES: Final = (
    CANARY_RUNS,
    CANARY_SKIPPED,
    CANARY_SPEND,
    CANARY_LAST_SUCCESS,
    CANARY_PAUSED,
    CANARY_INTERVAL,
    CANARY_LIMIT_USED,
)
"""They have series as soon as canaries run."""
BUILD_INFO: Final = Metric(
    "generation_monitor_build_info", Type.GAUGE, (Label.VERSION, Label.REVISION), "always 1; what runs here"
)
OBSERVER_FAILURES: Final = Metric(
    "generation_monitor_observer_failures_total",
    Type.COUNTER,
    (Label.OBSERVER,),
    "facts that an observer could not take",
)
STORE_WAITING: Final = Metric(
    "generation_monitor_store_waiting_writes", Type.GAUGE, (), "writes that the store has not committed yet"
)
STORE_FAILURES: Final = Metric(
    "generation_monitor_store_failures_total", Type.COUNTER, (), "commits that failed; they are tried again"
)
IN_FLIGHT_LIMIT: Final = Metric(
    "generation_monitor_in_flight_limit", Type.GAUGE, (), "generations in flight from which on more are refused"
)
REFUSALS: Final = Metric(
    "generation_monitor_refusals_total", Type.COUNTER, (), "calls answered 429: a limit of what is taken on was reached"
)
TRACE_SPANS: Final = Metric(
    "generation_monitor_trace_spans_total",
    Type.COUNTER,
    (Label.RESULT,),
    "spans of kept traces, by what became of them",
)
CLOCK: Final = Metric(
    "generation_monitor_time_seconds",
    Type.GAUGE,
    (),
    "the wall clock here at the time of the scrape, since 1970",
)
LOOP_LAG: Final = Metric(
    "generation_monitor_event_loop_lag_seconds",
    Type.HISTOGRAM,
    (),
    "how late the event loop woke a sleeper that wakes twice a second",
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
)

ALL: Final = (
    REQUESTS,
    OUTCOMES,
    DELIVERY_DURATION,
    POLL_ATTEMPTS,
    IN_FLIGHT,
    DETECTION_GAP,
    CHANNEL_RESULTS,
    CHANNEL_LAG,
    LATE,
    ASSET_CHECKS,
    SSE_CONNECTIONS,
    SSE_DISCONNECTS,
    SSE_EVENTS,
    SSE_FIRST_EVENT,
    POLLS,
    PROVIDER_REQUESTS,
    OBJECTIVE,
    BUILD_INFO,
    OBSERVER_FAILURES,
    STORE_WAITING,
    STORE_FAILURES,
    IN_FLIGHT_LIMIT,
    REFUSALS,
    TRACE_SPANS,
    CLOCK,
    LOOP_LAG,
    RELOADED,
    *OF_CANARIES,
)
