"""Is the one who watches well: the process, its event loop, its limits, what it failed to write, how it is scraped."""

from typing import Final

from dashboards import colours
from dashboards.frame import Band, board, label_variable
from dashboards.looks import Query, Unit
from dashboards.names import Uid
from dashboards.panels import heatmap, stat, time_series
from dashboards.promql import Part, Target, increase, rate, service, total
from dashboards.words import buckets, quantiles
from monitor.telemetry import catalog
from monitor.telemetry.catalog import MAX_SAMPLES, Foreign, Label, Phase, SpanResult

_INSTANCE: Final = f"{{{{{Target.INSTANCE}}}}}"
_BY_INSTANCE: Final = (Target.INSTANCE,)
_AT_WORK: Final = (Phase.SUBMITTING, Phase.STREAMING, Phase.POLLING)
"""The phases that count against the limit."""
_IS_ZERO_GOOD: Final = ((None, colours.GOOD), (1, colours.BAD))

_LAG: Final = service(catalog.LOOP_LAG, Part.BUCKET)
_LOST_SPANS: Final = service(catalog.TRACE_SPANS, result=(SpanResult.FAILED, SpanResult.DROPPED))

UP: Final = stat(
    "Are all of them up?",
    "Scraped instances that answered, among all. When one is down, its log and its orchestrator say why; "
    "what it had in flight is taken up when it is back.",
    Unit.SHARE,
    [Query(f"avg({service(Foreign.UP)})", "up")],
    steps=((None, colours.BAD), (1, colours.GOOD)),
    decimals=0,
    none="no target",
)

VERSIONS: Final = stat(
    "What runs here?",
    "Version and revision, and on how many instances. Two at a time outside of a deploy: one instance was left behind.",
    Unit.PLAIN,
    [
        Query(
            f"count by ({Label.VERSION}, {Label.REVISION}) ({service(catalog.BUILD_INFO)})",
            f"{{{{{Label.VERSION}}}}} ({{{{{Label.REVISION}}}}})",
        )
    ],
    named=True,
)

STARTED: Final = stat(
    "When did they start?",
    "Of the instance that started last. Again and again within minutes: it crashes or is killed, mostly "
    "for its memory.",
    Unit.WHEN,
    [Query(f"1000 * max({service(Foreign.STARTED_AT)})", "started")],
)

NOT_WRITTEN: Final = stat(
    "What could not be written?",
    "Commits of the store that failed, facts that an observer could not take, and spans that were lost, in "
    "the time shown. The log names the cause of each.",
    Unit.PLAIN,
    [
        Query(increase(service(catalog.STORE_FAILURES)), "commits"),
        Query(increase(service(catalog.OBSERVER_FAILURES)), "facts"),
        Query(increase(_LOST_SPANS), "spans"),
    ],
    steps=_IS_ZERO_GOOD,
    decimals=0,
)

REFUSED: Final = stat(
    "How many calls were refused?",
    "Answered 429 in the time shown, because a limit was reached: see what is in flight against the limit. "
    "Raise server.max_in_flight only when memory and the provider allow it.",
    Unit.PLAIN,
    [Query(increase(service(catalog.REFUSALS)), "refused")],
    steps=((None, colours.GOOD), (1, colours.WARNING)),
    decimals=0,
)

PROCESSOR: Final = time_series(
    "How much processor time does it use?",
    "Of one core, by instance: the service has one event loop. Near 100% deliveries are told late; start "
    "another instance.",
    Unit.SHARE,
    [Query(rate(service(Foreign.CPU), _BY_INSTANCE), _INSTANCE)],
    steps=((None, "text"), (0.9, colours.BAD)),
)

MEMORY: Final = time_series(
    "How much memory does it hold?",
    "Resident, by instance. It follows what is in flight. When it grows while that does not, keep a heap "
    "profile before the restart.",
    Unit.BYTES,
    [Query(service(Foreign.RESIDENT_MEMORY), _INSTANCE)],
)

FILES: Final = time_series(
    "How many files are open?",
    "Share of what the system allows; each stream and each call has one. Above 80%, raise the limit of "
    "open files or lower server.max_in_flight.",
    Unit.SHARE,
    [Query(f"{service(Foreign.OPEN_FILES)} / {service(Foreign.MAX_FILES)}", _INSTANCE)],
    steps=((None, "text"), (0.8, colours.BAD)),
)

LAG: Final = time_series(
    "How late is the event loop?",
    "How late a sleeper woke: p50, p95, p99. All latencies that are measured here are too long by this "
    "much. Above 50 ms something holds the loop: the processor is full, or a call blocks.",
    Unit.SECONDS,
    quantiles(_LAG, colours.QUIET, exemplars=False),
    steps=((None, "text"), (0.05, colours.BAD)),
    every="2m",
)

LAG_SPREAD: Final = heatmap(
    "Lag of the event loop",
    "How often the loop was how late. Rare spikes are the garbage collector; a band that moves up is load.",
    Unit.SECONDS,
    buckets(_LAG),
    scheme="Purples",
    exemplars=False,
)

IN_FLIGHT: Final = time_series(
    "How near is the limit of generations in flight?",
    "In flight, and from where on more are refused, of all instances together. When it comes near, results "
    "do not come (see Channels) or more instances are needed.",
    Unit.COUNT,
    [
        Query(total(service(catalog.IN_FLIGHT, phase=_AT_WORK)), "in flight", colour=colours.LILAC),
        Query(total(service(catalog.IN_FLIGHT_LIMIT)), "limit", colour=colours.BAD),
    ],
    logarithmic=True,
    at_least=None,
)

WAITING_WRITES: Final = time_series(
    "How many writes wait for the store?",
    "Not committed yet, by instance. A handful is normal. When it grows, the store is slow or away: "
    "deliveries go on, and are recorded late.",
    Unit.COUNT,
    [Query(service(catalog.STORE_WAITING), _INSTANCE)],
)

COMMITS: Final = time_series(
    "Which commits failed?",
    "By instance; each is tried again until it holds. When it goes on, look at the store's disk, its locks "
    "and its connections.",
    Unit.COUNT,
    [Query(increase(service(catalog.STORE_FAILURES), _BY_INSTANCE, "$__rate_interval"), _INSTANCE)],
)

OBSERVERS: Final = time_series(
    "Which observers failed?",
    "Facts that metrics, log or another observer could not take. It is always a bug: the log has the "
    "traceback, and until it is mended these numbers miss something.",
    Unit.COUNT,
    [
        Query(
            increase(service(catalog.OBSERVER_FAILURES), (Label.OBSERVER,), "$__rate_interval"),
            f"{{{{{Label.OBSERVER}}}}}",
        )
    ],
)

SPANS: Final = time_series(
    "What became of the traces' spans?",
    "Spans a second. failed: the collector did not take them. dropped: they came faster than they could be "
    "sent. Deliveries are not touched by either.",
    Unit.EVENTS_A_SECOND,
    [Query(rate(service(catalog.TRACE_SPANS), (Label.RESULT,)), f"{{{{{Label.RESULT}}}}}", words=SpanResult)],
)

SCRAPE_DURATION: Final = time_series(
    "How long does a scrape take?",
    "As Prometheus measures it, by instance. Above a second, look at the number of samples beside and at "
    "the event loop; at the scrape's time-out there will be holes.",
    Unit.SECONDS,
    [Query(service(Foreign.SCRAPE_DURATION), _INSTANCE)],
    steps=((None, "text"), (1, colours.BAD)),
)

SCRAPE_SAMPLES: Final = time_series(
    "How many samples has a scrape?",
    "By instance. More models and providers make more; the dashed line is where a second service should "
    "take a part of them.",
    Unit.COUNT,
    [Query(service(Foreign.SCRAPE_SAMPLES), _INSTANCE)],
    steps=((None, "text"), (MAX_SAMPLES, colours.BAD)),
)

dashboard = board(
    Uid.MONITOR,
    "The monitor itself",
    "Is the one who watches well? Its process, its event loop, its limits, and what it could not write.",
    variables=(
        label_variable(Target.JOB, catalog.BUILD_INFO),
        label_variable(Target.INSTANCE, catalog.BUILD_INFO, only={Target.JOB: Target.JOB}),
    ),
    bands=[
        Band(4, [(4, UP), (5, VERSIONS), (5, STARTED), (5, NOT_WRITTEN), (5, REFUSED)]),
        Band(7, [(8, PROCESSOR), (8, MEMORY), (8, FILES)], title="Process"),
        Band(7, [(12, LAG), (12, LAG_SPREAD)], title="Event loop"),
        Band(7, [(12, IN_FLIGHT), (12, WAITING_WRITES)], title="Queue and limits"),
        Band(7, [(8, COMMITS), (8, OBSERVERS), (8, SPANS)], title="What it could not write"),
        Band(7, [(12, SCRAPE_DURATION), (12, SCRAPE_SAMPLES)], title="Scrapes"),
    ],
)
