"""The book of jobs: what the dice decide, what a prompt may say, and what is forgotten when."""

from typing import Any

import pytest

from monitor.simulator.book import JobBook
from monitor.simulator.config import SimulatorConfig
from monitor.simulator.faults import FAULTS
from monitor.simulator.jobs import MAX_NOTED, Job


def make(book: JobBook, prompt: str = "a fox", *, is_project: bool = False, model: str = "comfyui/flux") -> Job:
    dice = book.next_dice()
    return book.make(
        dice,
        config={"prompt": prompt, "generation_config_name": model},
        kind="image",
        fault=book.choose_fault(prompt, dice),
        is_project=is_project,
        origin="http://127.0.0.1:9100",
        traceparent=None,
    )


MIX = {"healthy": 1.0, "silent": 1.0, "early": 1.0}


def story(seed: int, prompts: list[str], **wanted: Any) -> list[tuple[str, str, float]]:
    book = JobBook(SimulatorConfig(seed=seed, mix=MIX))
    return [(job.file_id, job.fault.name, job.render_s) for job in (make(book, prompt, **wanted) for prompt in prompts)]


async def test_a_seed_tells_the_same_story() -> None:
    prompts = [f"fox {number}" for number in range(30)]
    assert story(3, prompts) == story(3, prompts)
    assert story(3, prompts) != story(4, prompts)
    assert {fault for _, fault, _ in story(3, prompts)} == set(MIX)


async def test_what_one_prompt_asks_for_changes_nothing_for_the_next() -> None:
    plain, told = story(3, ["a fox", "an owl"]), story(3, ["a fox [fault:never] [render:9]", "an owl"])
    assert plain[1] == told[1]
    assert plain[0][0] == told[0][0]
    assert told[0][1:] == ("never", 9.0)
    assert [id_ for id_, *_ in story(3, ["a", "b"], is_project=True)] == [id_ for id_, *_ in story(3, ["a", "b"])]


async def test_times_are_scaled() -> None:
    book = JobBook(SimulatorConfig(time_scale=0.1))
    assert make(book, "[render:2.5]").render_s == pytest.approx(0.25)
    assert make(book, "[fault:late]").render_s == pytest.approx(9.0)
    assert make(book, "[fault:late] [render:20]").render_s == pytest.approx(2.0)


@pytest.mark.parametrize("named", ["nothing_like_it", "HEALTHY", "healthy2", "é"])
async def test_an_unknown_fault_in_a_prompt_is_refused(named: str) -> None:
    book = JobBook(SimulatorConfig())
    with pytest.raises(ValueError, match="there is no fault") as caught:
        book.choose_fault(f"a fox [fault:{named}]", book.next_dice())
    assert "drop_mid_event" in str(caught.value)


@pytest.mark.parametrize("named", ["", " silent", "two words", "x" * 41])
async def test_a_directive_that_is_none_is_refused_and_not_overlooked(named: str) -> None:
    book = JobBook(SimulatorConfig())
    with pytest.raises(ValueError, match="there is no fault"):
        book.choose_fault(f"a fox [fault:{named}]", book.next_dice())


@pytest.mark.parametrize("told", ["", "abc", "-1", "1e3", "nan", "1.2345", "1234567", " 2"])
async def test_a_render_time_that_is_none_is_refused_with_what_is_allowed(told: str) -> None:
    book = JobBook(SimulatorConfig())
    with pytest.raises(ValueError, match="the render time is") as caught:
        book.choose_fault(f"a fox [render:{told}]", book.next_dice())
    assert repr(told) in str(caught.value)
    assert "[render:2.5]" in str(caught.value)


async def test_a_seed_that_nobody_asked_for_is_drawn_with_about_14_digits_and_stays() -> None:
    drawn = make(JobBook(SimulatorConfig())).seed
    assert drawn == make(JobBook(SimulatorConfig())).seed
    assert len(str(drawn)) == 14


async def test_ended_jobs_are_forgotten_before_those_that_render() -> None:
    book = JobBook(SimulatorConfig(max_jobs=3))
    rendering, ended = make(book), make(book, is_project=True)
    book.note_end(ended)
    make(book)
    newest = make(book)
    assert book.by_file(rendering.file_id) is rendering
    assert book.by_file(ended.file_id) is None
    assert book.by_project(ended.project_id or "") is None
    assert book.by_file(newest.file_id) is newest


async def test_memory_is_bounded_even_when_nothing_ends() -> None:
    book = JobBook(SimulatorConfig(max_jobs=5))
    jobs = [make(book, is_project=True) for _ in range(50)]
    for number in range(50):
        book.refuse_once(f"prompt {number}")
    assert list(book.jobs.values()) == jobs[-5:]
    assert len(book._by_project) == 5
    assert len(book._refused) == 5
    book.note_end(jobs[0])
    assert not book._ended


async def test_a_seed_that_was_refused_stays_refused_and_another_is_taken() -> None:
    book = JobBook(SimulatorConfig())
    assert book.refuse_once("a fox", by=1)
    assert book.refuse_once("a fox", by=1)
    assert not book.refuse_once("a fox", by=2)
    assert book.refuse_once("an owl")
    assert not book.refuse_once("an owl")


async def test_channels_lead_to_their_jobs_and_others_to_none() -> None:
    book = JobBook(SimulatorConfig())
    job = make(book, is_project=True)
    assert book.by_channel(f"file.{job.file_id}") is job
    assert book.by_channel(f"project.{job.project_id}") is job
    for channel in (f"project.{job.file_id}", f"user.{job.project_id}", "test", "", "file."):
        assert book.by_channel(channel) is None


async def test_a_storm_cannot_crowd_the_result_out_of_the_truth() -> None:
    job = make(JobBook(SimulatorConfig()))
    for _ in range(5 * MAX_NOTED):
        job.note_event({"type": "render_progress"})
        job.note_poll({})
    job.note_event({"type": "file"})
    assert job.events[-1] == {"type": "file"}
    assert len(job.events) == MAX_NOTED + 1
    assert len(job.polls) == MAX_NOTED


def test_every_fault_says_what_it_does_and_how_it_ends() -> None:
    for name, fault in FAULTS.items():
        assert name == fault.name
        assert fault.says
        assert fault.end
        assert "|" not in fault.says + fault.end
