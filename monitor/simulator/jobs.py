"""The jobs: what each is, how far it is, and the truth of what was seen of it."""

import asyncio
import random
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from monitor.simulator.config import SimulatorConfig
from monitor.simulator.faults import FAULTS, Fault, check_mix

_DIRECTIVE: Final = re.compile(r"\[fault:([a-z0-9_]{1,40})\]")
_RENDER: Final = re.compile(r"\[render:(\d{1,6}(?:\.\d{1,3})?)\]")


@dataclass(slots=True, eq=False, kw_only=True)
class Job:
    """One job. Times in `truth` are milliseconds since it was made; `render_s` is scaled already."""

    file_id: str
    project_id: str | None
    generation_id: str
    kind: str
    prompt: str
    model: str
    fault: Fault
    render_s: float
    origin: str
    created_at_s: float
    traceparent: str | None
    status_ready_at_s: float | None = None
    """From when on status calls show the result; None while they do not."""
    has_failed: bool = False
    status_calls: int = 0
    resolve_calls: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a stream of the job opens."""
    completed_at_ms: float | None = None
    completed_monotonic_s: float | None = None
    creates: list[float] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    connections: list[dict[str, Any]] = field(default_factory=list)
    polls: list[dict[str, Any]] = field(default_factory=list)

    @property
    def channels(self) -> list[str]:
        """The channels on which its events are published."""
        return [f"file.{self.file_id}"] + ([f"project.{self.project_id}"] if self.project_id else [])

    def ms(self, now_s: float) -> float:
        """Milliseconds since it was made."""
        return round((now_s - self.created_at_s) * 1000, 3)

    def truth(self) -> dict[str, Any]:
        """All that can be told about it afterwards."""
        return {
            "id": self.file_id,
            "project_id": self.project_id,
            "fault": self.fault.name,
            "model": self.model,
            "prompt": self.prompt,
            "traceparent": self.traceparent,
            "render_s": self.render_s,
            "completed_at_ms": self.completed_at_ms,
            "completed_monotonic_s": self.completed_monotonic_s,
            "creates": self.creates,
            "events": self.events,
            "connections": self.connections,
            "polls": self.polls,
        }


class JobBook:
    """All jobs that are remembered, and the dice that decide about new ones."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._rng = random.Random(config.seed)
        self.mix: Mapping[str, float] = dict(config.mix)
        self.counts: Counter[str] = Counter(creates=0, jobs=0, polls=0, streams=0)
        self.jobs: dict[str, Job] = {}
        self._by_project: dict[str, Job] = {}
        self._refused_once: set[str] = set()

    def change_mix(self, mix: Mapping[str, float]) -> None:
        """Draw from `mix` from now on. Raises ValueError."""
        check_mix(mix)
        self.mix = dict(mix)

    def choose_fault(self, prompt: str) -> Fault:
        """The fault that the prompt names, else one drawn from the mix. Raises ValueError for an unknown name."""
        named = _DIRECTIVE.search(prompt)
        if named is None:
            return FAULTS[self._rng.choices(list(self.mix), list(self.mix.values()))[0]]
        if named[1] not in FAULTS:
            raise ValueError(f"there is no fault {named[1]!r}; there are: {', '.join(FAULTS)}")
        return FAULTS[named[1]]

    def refuse_once(self, key: str) -> bool:
        """True the first time that `key` is asked about."""
        is_first = key not in self._refused_once
        self._refused_once.add(key)
        return is_first

    def make(
        self,
        *,
        prompt: str,
        model: str,
        kind: str,
        fault: Fault,
        is_project: bool,
        origin: str,
        traceparent: str | None,
    ) -> Job:
        """A new job, begun now."""
        drawn_s = self._config.draw_render_s(model, self._rng)
        told = _RENDER.search(prompt)
        render_s = float(told[1]) if told else fault.render_s if fault.render_s is not None else drawn_s
        now_s = asyncio.get_running_loop().time()
        job = Job(
            file_id=self._new_id(),
            project_id=self._new_id() if is_project else None,
            generation_id=self._new_id(),
            kind=kind,
            prompt=prompt,
            model=model,
            fault=fault,
            render_s=render_s * self._config.time_scale,
            origin=origin,
            created_at_s=now_s,
            traceparent=traceparent,
            creates=[0.0],
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
        return self.by_file(subject_id) if kind == "file" else self.by_project(subject_id)

    def _remember(self, job: Job) -> None:
        self.counts["jobs"] += 1
        self.jobs[job.file_id] = job
        if job.project_id:
            self._by_project[job.project_id] = job
        while len(self.jobs) > self._config.max_jobs:
            oldest = self.jobs.pop(next(iter(self.jobs)))
            self._by_project.pop(oldest.project_id or "", None)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
