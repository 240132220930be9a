"""Every named fault of the provider, over real sockets: how a generation must end, by which channel, and what is left.

All of them run side by side in one service against one simulated provider, so the whole takes one window. Both are in
one loop whose time stands still while there is work: a slow machine is slow, and turns no event into a late one.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import pytest_asyncio
from yarl import URL

from monitor.simulator.config import SimulatorConfig
from monitor.simulator.faults import FAULTS
from tests.fault_ends import DELIVERED, ENDS, EXPIRED, PLAYS
from tests.serving import QUICK, UNSAMPLED, Running, running

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.patient_time(pace=4.0),
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("faults"),
]

APART_S: Final = 0.05
"""From the start of one to that of the next, so that they do not hold each other up when all begin."""
IMPATIENT = {"connect_timeout": 3.0, "request_timeout": 3.0, "create_timeout": 3.0, "silence_limit": 1.5}
LOOKS_ON: Final = {"Reconciler._reconcile": [end.outcome for end in PLAYS.values()].count(EXPIRED)}
"""What may go on: a look again, later, at each that has expired."""
_FIRST_CHECK: Final = 0
"""The number of the attempt that is made because the stream has opened."""


@dataclass(frozen=True, slots=True)
class Open:
    """What a process holds."""

    tasks: Counter[str]
    files: int
    sockets: int

    @classmethod
    def now(cls, peer: str) -> "Open":
        """Sockets are those connected to `peer`; the database is left out, whose pool grows to its size."""
        process = psutil.Process()
        files = [file.path for file in process.open_files() if "monitor.db" not in file.path]
        to_peer = [one for one in process.net_connections() if one.raddr[1:] == (URL(peer).port,)]
        tasks = (task.get_coro() for task in asyncio.all_tasks())
        names = Counter(getattr(coroutine, "__qualname__", "?") for coroutine in tasks)
        del names["RequestHandler.start"]  # the server's, one a connection of whoever is connected
        return cls(names, len(files), len([one for one in to_peer if one.status == psutil.CONN_ESTABLISHED]))

    def more_than(self, before: "Open") -> dict[str, int]:
        """What there is now, and was not before."""
        found = Counter(self.tasks - before.tasks)
        found += Counter(files=self.files - before.files, sockets=self.sockets - before.sockets)
        return dict(+found)


@dataclass(frozen=True, slots=True)
class Story:
    """What came of all faults: each generation, the provider's truth about its jobs, and what was left open."""

    provider_url: str
    ended: dict[str, dict[str, Any]]
    jobs: dict[str, list[dict[str, Any]]]
    creates: int
    left_open: dict[str, int]
    left_after: int

    def truth(self, name: str) -> dict[str, Any]:
        """The only job of a play, or its first."""
        return self.jobs[name][0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """Run one generation for every fault, side by side."""
    folder: Path = tmp_path_factory.mktemp("faults")
    simulator = SimulatorConfig(fixed_render_s=1.5, heartbeat_s=0.5)
    descriptors = psutil.Process().num_fds()
    async with running(folder, simulator, provider=IMPATIENT) as service:
        await service.generate("warm up [fault:healthy]")
        before = Open.now(service.provider_url)
        asked = [_generate(service, place * APART_S, name) for place, name in enumerate(PLAYS)]
        ended = dict(zip(PLAYS, await asyncio.gather(*asked), strict=True))
        await service.http.close()  # what is connected to the provider from now on is the service
        left_open = await _left_open(service.provider_url, before)
        async with service.called_anew() as caller:
            jobs = await _jobs(caller)
            creates = (await caller.provider("/-/counts"))["creates"]
    yield Story(service.provider_url, ended, jobs, creates, left_open, psutil.Process().num_fds() - descriptors)


async def _generate(service: Running, after_s: float, name: str) -> dict[str, Any]:
    await asyncio.sleep(after_s)
    play = PLAYS[name]
    render = "" if play.render_s is None else f" [render:{play.render_s}]"
    return await service.generate(f"{name}: [fault:{play.fault}]{render}", flow=play.flow)


async def _left_open(provider_url: str, before: Open) -> dict[str, int]:
    """What a generation left open, once everybody had the time to notice that it is closed."""
    left: dict[str, int] = {}
    for _ in range(100):
        left = Open.now(provider_url).more_than(before)
        if left == LOOKS_ON:
            break
        await asyncio.sleep(0.1)
    return left


async def _jobs(service: Running) -> dict[str, list[dict[str, Any]]]:
    """The provider's jobs by the play that made them, the first one first."""
    jobs = defaultdict(list)
    for short in reversed((await service.provider("/-/jobs?limit=10000"))["jobs"]):
        job = await service.provider(f"/-/jobs/{short['id']}")
        jobs[job["prompt"].partition(":")[0]].append(job)
    return jobs


async def test_every_fault_of_the_simulator_is_told_here() -> None:
    assert set(ENDS) == set(FAULTS)


@pytest.mark.parametrize("name", PLAYS)
async def test_a_generation_ends_as_it_must(story: Story, name: str) -> None:
    generation, end = story.ended[name], PLAYS[name]
    assert generation["outcome"] == end.outcome, generation
    assert generation["channel"] in end.channels, generation
    if end.reason is not None:
        assert generation["reason"] == end.reason, generation
    assert (generation["asset"] is not None) == (end.outcome == DELIVERED)
    assert [entry["event"] for entry in generation["timeline"]].count("ended") == 1


@pytest.mark.parametrize("name", [name for name, end in PLAYS.items() if end.outcome == DELIVERED])
async def test_what_is_delivered_is_the_file_of_its_own_job(story: Story, name: str) -> None:
    asset = story.ended[name]["asset"]
    own = f"{story.provider_url}/assets/generated/image/{story.truth(name)['id']}"
    assert asset["url"].partition("?")[0].lower() in (own, f"{own}.png")


@pytest.mark.parametrize("name", PLAYS)
async def test_no_job_is_made_twice(story: Story, name: str) -> None:
    assert len(story.jobs[name]) == PLAYS[name].jobs


async def test_a_create_call_is_repeated_only_where_the_provider_made_no_job_and_may_make_one(story: Story) -> None:
    warm_up, repeated = 1, ("create_409", "create_429")
    assert story.creates == warm_up + len(PLAYS) + len(repeated)


async def test_nothing_is_left_open(story: Story) -> None:
    assert story.left_open == LOOKS_ON
    jobs = [job for jobs in story.jobs.values() for job in jobs]
    assert [job["fault"] for job in jobs if None in [one["ended_at_ms"] for one in job["connections"]]] == []


async def test_when_the_service_has_ended_nothing_is_left_open_at_all(story: Story) -> None:
    assert story.left_after <= 0


def _polls(generation: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in generation["timeline"] if entry["event"] == "poll"]


def _closings(generation: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in generation["timeline"] if entry["event"] == "sse_closed"]


async def test_silence_is_noticed_and_the_stream_reopened(story: Story) -> None:
    assert _closings(story.ended["dead_air"])[0]["reason"] == "silence"
    assert len(story.truth("dead_air")["connections"]) > 1


@pytest.mark.parametrize("name", ["early", "gap"])
async def test_what_nobody_heard_is_found_by_the_check_as_the_stream_opens(story: Story, name: str) -> None:
    found = _polls(story.ended[name])[-1]
    assert (found["attempt"], found["result"]) == (_FIRST_CHECK, "ready")


@pytest.mark.parametrize("fault", ["early", "sse_401"])
async def test_the_documents_policy_neither_checks_nor_begins_early(tmp_path: Path, fault: str) -> None:
    simulator = SimulatorConfig(fixed_render_s=1.5)
    async with running(tmp_path, simulator, provider={**UNSAMPLED, "policy": "fixed"}) as service:
        generation = await service.generate(f"a fox [fault:{fault}]")
    assert (generation["outcome"], generation["channel"], generation["attempts"]) == (DELIVERED, "polling", 1)
    (only,) = _polls(generation)
    assert (only["attempt"], only["result"]) == (1, "ready")
    assert only["at_ms"] >= 10_000


FOR_GOOD = ["sse_401", "sse_403", "sse_404", "sse_410", "sse_204", "sse_html", "sse_json"]


@pytest.mark.parametrize("name", FOR_GOOD)
async def test_a_dead_stream_is_not_tried_again(story: Story, name: str) -> None:
    assert len(story.truth(name)["connections"]) == 1


@pytest.mark.parametrize("name", [*FOR_GOOD, "refused", "reset"])
async def test_polling_begins_early_where_the_stream_is_dead(story: Story, name: str) -> None:
    generation = story.ended[name]
    began = next(entry for entry in generation["timeline"] if entry["event"] == "polling_started")
    assert began["early"]
    assert _polls(generation)[0]["at_ms"] < QUICK["grace"] * 1_000


@pytest.mark.parametrize("status", [429, 503])
async def test_the_next_connect_waits_for_retry_after(story: Story, status: int) -> None:
    at_ms = [one["at_ms"] for one in story.truth(f"a slow render behind sse_{status}")["connections"]]
    gaps_ms = [later - earlier for earlier, later in pairwise(at_ms)]
    assert gaps_ms
    assert min(gaps_ms) >= 2_000


@pytest.mark.parametrize("name", ["a slow render while flapping", "a slow render behind sse_500"])
async def test_reconnects_back_off(story: Story, name: str) -> None:
    assert 2 < len(story.truth(name)["connections"]) <= 16


async def test_a_token_is_not_sent_to_another_origin(story: Story) -> None:
    here, there = story.truth("sse_redirect_elsewhere")["connections"]
    assert (here["authorised"], there["authorised"]) == (True, False)


async def test_on_the_same_origin_the_token_is_sent_along(story: Story) -> None:
    assert [one["authorised"] for one in story.truth("sse_redirect")["connections"]] == [True, True]


async def test_retry_and_the_last_event_id_are_honoured(story: Story) -> None:
    connections = story.truth("id_retry")["connections"]
    assert connections[1]["last_event_id"]
    assert connections[1]["at_ms"] - connections[0]["ended_at_ms"] >= 4_900


async def test_a_stream_is_listened_to_though_asking_is_refused(story: Story) -> None:
    (connection,) = story.truth("poll_401_mid")["connections"]
    assert connection["ended_at_ms"] >= QUICK["window"] * 1_000 - 1
    assert [poll["answer"] for poll in story.truth("poll_401_mid")["polls"]] == ["pending", "401"]


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("poll_5xx_burst", ["502"] * 4 + ["ready"]),
        ("poll_404_first", ["404"] * 3 + ["ready"]),
        ("poll_hangs", ["hangs", "ready"]),
        ("poll_slow_body", ["drips", "ready"]),
        ("poll_garbage", ["garbage"] * 4 + ["ready"]),
        ("poll_huge", ["huge", "ready"]),
        ("poll_429", ["429"] * 2 + ["ready"]),
        ("poll_429_date", ["429"] * 2 + ["ready"]),
    ],
)
async def test_a_poll_that_fails_is_an_attempt_and_the_next_one_finds_it(
    story: Story, name: str, seen: list[str]
) -> None:
    assert [poll["answer"] for poll in story.truth(name)["polls"]] == seen


async def test_of_a_huge_body_no_more_is_read_than_may_be(story: Story) -> None:
    assert _polls(story.ended["poll_huge"])[0]["result"] == "malformed"


EAGER: Final = {**QUICK, "grace": 0.5, "interval": 0.5, "max_attempts": 50}
"""A policy that asks sooner than a provider may want."""


@pytest.mark.parametrize("fault", ["poll_429", "poll_429_date"])
async def test_polls_wait_as_long_as_told(tmp_path: Path, fault: str) -> None:
    simulator, provider = SimulatorConfig(fixed_render_s=1.5), {**UNSAMPLED, "policy": "eager"}
    async with running(tmp_path, simulator, provider=provider, policies={"eager": EAGER}) as service:
        await service.generate(f"a fox [fault:{fault}]")
        (short,) = (await service.provider("/-/jobs"))["jobs"]
        polls = (await service.provider(f"/-/jobs/{short['id']}"))["polls"]
    assert [poll["answer"] for poll in polls] == ["429", "429", "ready"]
    at_ms = [poll["at_ms"] for poll in polls]
    assert min(later - earlier for earlier, later in pairwise(at_ms)) >= 1_990


async def test_a_url_that_comes_late_is_waited_for(story: Story) -> None:
    job = story.truth("poll_completed_no_url")
    assert job["polls"][-1]["at_ms"] >= job["completed_at_ms"] + 3_000


async def test_a_create_call_waits_as_long_as_told(story: Story) -> None:
    tries = [entry for entry in story.ended["create_429"]["timeline"] if entry["event"] == "create"]
    assert [entry["result"] for entry in tries] == ["rate_limited", "accepted"]
    assert tries[1]["at_ms"] - tries[0]["at_ms"] >= 1_990


async def test_rejections_carry_the_providers_words(story: Story) -> None:
    words = {400: "Invalid payload", 401: "credentials", 402: "Not enough credits", 403: "VIP", 422: "shot_size"}
    for status, said in words.items():
        assert said in story.ended[f"create_{status}"]["detail"]


async def test_a_thumbnail_is_never_delivered(story: Story) -> None:
    assert "thumbnail" not in story.ended["thumbnail_first"]["asset"]["url"]
