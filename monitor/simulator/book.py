"""The book of all jobs that are remembered, and the dice that decide about new ones."""

import asyncio
import random
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from monitor.simulator.config import SimulatorConfig
from monitor.simulator.faults import FAULTS, Fault, check_mix, unknown_fault
from monitor.simulator.jobs import Job

_FAULT: Final = re.compile(r"\[fault:([^\]]*)\]")
_RENDER: Final = re.compile(r"\[render:([^\]]*)\]")
_RENDER_S: Final = re.compile(r"\d{1,6}(?:\.\d{1,3})?")
_SHOWN: Final = 40
"""So much of a wrong directive is told again."""
_LEAST_SEED: Final = 10**13


class JobBook:
    """All jobs that are remembered, at most `max_jobs`; those that ended are forgotten first."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self.mix: Mapping[str, float] = dict(config.mix)
        self.counts: Counter[str] = Counter(creates=0, jobs=0, polls=0, streams=0)
        self.jobs: dict[str, Job] = {}
        self._by_project: dict[str, Job] = {}
        self._ended: dict[str, None] = {}
        self._refused: dict[str, object] = {}

    def change_mix(self, mix: Mapping[str, float]) -> None:
        """Draw from `mix` from now on. Raises ValueError."""
        check_mix(mix)
        self.mix = dict(mix)

    def next_dice(self) -> random.Random:
        """The dice of the next create call: its own, so that what one call draws changes nothing for the next."""
        self.counts["creates"] += 1
        return random.Random(f"{self._config.seed}/{self.counts['creates']}")

    def choose_fault(self, prompt: str, dice: random.Random) -> Fault:
        """The fault that the prompt names, else one drawn from the mix. Raises ValueError for a wrong directive."""
        told_render_s(prompt)
        drawn = dice.choices(list(self.mix), list(self.mix.values()))[0]
        named = _FAULT.search(prompt)
        name = drawn if named is None else named[1][:_SHOWN]
        if name not in FAULTS:
            raise ValueError(unknown_fault(name))
        return FAULTS[name]

    def refuse_once(self, key: str, by: object = None) -> bool:
        """True the first time that `key` is asked about, and whenever it comes again with the same `by`, if any."""
        if key not in self._refused:
            self._refused[key] = by
            self._shorten(self._refused)
            return True
        return by is not None and self._refused[key] == by

    def make(
        self,
        dice: random.Random,
        *,
        config: dict[str, Any],
        kind: str,
        fault: Fault,
        is_project: bool,
        origin: str,
        traceparent: str | None,
    ) -> Job:
        """A new job, begun now. All dice are thrown in any case, so that a seed tells the same story."""
        file_id, project_id, generation_id = (new_id(dice) for _ in range(3))
        prompt, model = config.get("prompt") or "", config["generation_config_name"]
        job = Job(
            file_id=file_id,
            project_id=project_id if is_project else None,
            generation_id=generation_id,
            kind=kind,
            prompt=prompt,
            model=model,
            fault=fault,
            render_s=self._render_s(prompt, model, fault, dice),
            seed=_seed(config, dice),
            origin=origin,
            created_at_s=asyncio.get_running_loop().time(),
            created_at=datetime.now(UTC),
            traceparent=traceparent,
            told=config,
        )
        self._remember(job)
        return job

    def by_file(self, file_id: str) -> Job | None:
        """The job of a file."""
        return self.jobs.get(file_id)

    def by_project(self, project_id: str) -> Job | None:
        """The job of a project."""
        return self._by_project.get(project_id)

    def by_channel(self, channel: str) -> Job | None:
        """The job whose events come on a channel. Any other channel is accepted too, and silent."""
        kind, _, subject_id = channel.partition(".")
        if kind == "file":
            return self.by_file(subject_id)
        return self.by_project(subject_id) if kind == "project" else None

    def note_end(self, job: Job) -> None:
        """Nothing more will become of it: it may be forgotten when there are too many."""
        if job.file_id in self.jobs:
            self._ended[job.file_id] = None

    def _render_s(self, prompt: str, model: str, fault: Fault, dice: random.Random) -> float:
        drawn_s = self._config.draw_render_s(model, dice)
        told_s = told_render_s(prompt)
        wanted_s = fault.render_s if told_s is None else told_s
        return (drawn_s if wanted_s is None else wanted_s) * self._config.time_scale

    def _remember(self, job: Job) -> None:
        self.jobs[job.file_id] = job
        if job.project_id:
            self._by_project[job.project_id] = job
        while len(self.jobs) > self._config.max_jobs:
            self._forget(next(iter(self._ended or self.jobs)))

    def _forget(self, file_id: str) -> None:
        self._ended.pop(file_id, None)
        forgotten = self.jobs.pop(file_id)
        self._by_project.pop(forgotten.project_id or "", None)

    def _shorten(self, remembered: dict[str, object]) -> None:
        while len(remembered) > self._config.max_jobs:
            del remembered[next(iter(remembered))]


def told_render_s(prompt: str) -> float | None:
    """The render time that the prompt asks for, before scaling. Raises ValueError."""
    told = _RENDER.search(prompt)
    if told is None:
        return None
    if not _RENDER_S.fullmatch(told[1]):
        found = told[1][:_SHOWN]
        raise ValueError(f"the render time is {found!r}; it must be seconds with at most 3 decimals, as [render:2.5]")
    return float(told[1])


def _seed(config: Mapping[str, Any], dice: random.Random) -> int:
    """About 14 digits, as the real provider draws them; thrown in any case, so that a seed tells the same story."""
    drawn = dice.randrange(_LEAST_SEED, 10 * _LEAST_SEED)
    asked: int | None = config.get("seed")
    return drawn if asked is None else asked


def new_id(dice: random.Random) -> str:
    """A UUID of version 4, by the dice."""
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))
