"""Runs the programs of the stack without containers, from the very files and command lines of the stack.

What a container would provide is put in its place: mounts, volumes and secrets are folders below one, host names are
loopback with free ports, and what happens every 15 s happens every second. Nothing else is changed.
"""

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.programs import free_port, require
from tests.stack.files import SECRETS, StackFiles, environment

PROGRAMS: Final[Mapping[str, Sequence[str]]] = {
    "monitor": (sys.executable, "-m", "monitor", "serve"),
    "simulator": (sys.executable, "-m", "monitor"),
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager",),
}
"""What stands as ENTRYPOINT (and CMD, where the compose file gives none) in each image."""
ONLY_HERE: Final[Mapping[str, Sequence[str]]] = {
    "monitor": ("--host", "127.0.0.1", "--port", "{}"),
    "simulator": ("--host", "127.0.0.1", "--port", "{}", "--render", "5"),
    "prometheus": ("--web.listen-address=127.0.0.1:{}", "--rules.alert.resend-delay=1s"),
    "alertmanager": ("--web.listen-address=127.0.0.1:{}",),
}
"""Where to listen, and haste: else an alert that was told before Alertmanager was found is told again in a minute."""
NOBODY: Final = 1
"""A port that belongs to nobody on a machine of today."""
_HEALTHY_S: Final = 60.0
_PATH_ENDS: Final = r"(?=[/\s\"'\],]|$)"


def require_programs() -> None:
    """Where one is not installed the test is skipped, and in CI it fails."""
    for program in ("prometheus", "promtool", "prometheus-alertmanager", "amtool"):
        require(program)


@dataclass(slots=True)
class NativeStack:
    """The stack's programs on this machine. `elsewhere`: addresses in the stack, with ports here that stand in."""

    files: StackFiles
    folder: Path
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in PROGRAMS}
        for name in self.files.services:
            self._lay_out(name)

    def url(self, service: str) -> str:
        """Where it listens here."""
        return f"http://127.0.0.1:{self.ports[service]}"

    def path(self, service: str, inside: str) -> Path:
        """What the service sees at a path, here."""
        return self.folder / service / inside.lstrip("/")

    def secret(self, name: str) -> str:
        """The text of a secret."""
        return (self.folder / "secrets" / name).read_text("utf-8").strip()

    def here(self, service: str, text: str) -> str:
        """`text` with the paths and addresses that `service` sees replaced by those that lead to the same here."""
        inside = sorted((*self._targets(service), str(SECRETS)), key=len, reverse=True)
        paths = "|".join(map(re.escape, inside))
        text = re.sub(rf"(?<![\w.-])({paths}){_PATH_ENDS}", lambda found: str(self.path(service, found[1])), text)
        hosts = "|".join(self.files.services)
        return re.sub(rf"(?<![\w.-])({hosts}):(\d+)", lambda found: f"127.0.0.1:{self._port(found[1], found[2])}", text)

    def command(self, service: str) -> list[str]:
        """What the container would run."""
        given = [self.here(service, word) for word in self.files.services[service].get("command", [])]
        only_here = [word.format(self.ports[service]) for word in ONLY_HERE[service]]
        return [*PROGRAMS[service], *given, *only_here]

    def health_check(self, service: str) -> list[str]:
        """What the container engine would run to see whether the service is well."""
        (port,) = self.files.published(service)
        _, program, *words = self.files.services[service]["healthcheck"]["test"]
        program = sys.executable if program == "python" else program
        return [program, *(re.sub(rf"\b{port}\b", str(self.ports[service]), word) for word in words)]

    def variables(self, service: str) -> dict[str, str]:
        """Those that the container would have, of the demo."""
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("MONITOR_")}
        if service == "monitor":
            given = {name: value for name, value in self.files.demo.items() if name in environment(self.files, service)}
            kept |= {name: self.here(service, value) for name, value in given.items()}
            kept["MONITOR_CONFIG"] = str(self.path(service, "/etc/monitor/monitor.toml"))
        return kept

    def _port(self, host: str, port: str) -> int:
        if int(port) in self.files.published(host) and host in self.ports:
            return self.ports[host]
        return self.elsewhere.get(f"{host}:{port}", NOBODY)

    def _targets(self, service: str) -> list[str]:
        mounted = [str(mount.target) for mount in self.files.mounts() if mount.service == service]
        return [*mounted, *map(str, self.files.kept_folders(service))]

    def _lay_out(self, service: str) -> None:
        """Put everything where the container would have it."""
        for kept in self.files.kept_folders(service):
            self.path(service, str(kept)).mkdir(parents=True)
        for mount in self.files.mounts():
            if mount.service == service:
                self._copy(service, mount.source, self.path(service, str(mount.target)))
        self.path(service, str(SECRETS)).mkdir(parents=True)
        for name in self.files.services[service].get("secrets", []):
            secret = self.folder / "secrets" / name
            secret.parent.mkdir(exist_ok=True)
            if not secret.exists():
                secret.write_text(f"secret-of-{name}-{os.urandom(8).hex()}\n", "utf-8")
            shutil.copy(secret, self.path(service, str(SECRETS / name)))

    def _copy(self, service: str, source: Path, target: Path) -> None:
        for file in (source, *source.rglob("*")) if source.is_dir() else (source,):
            if file.is_file():
                copy = target / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                text = self.here(service, file.read_text("utf-8"))
                copy.write_text(_hurried(text) if service == "prometheus" else text, "utf-8")


@asynccontextmanager
async def started(stack: NativeStack) -> AsyncIterator[dict[str, Process]]:
    """All programs that run here, each begun when those are healthy that it waits for, and ended with SIGTERM."""
    processes: dict[str, Process] = {}
    async with AsyncExitStack() as running:
        waiting = {name: set(stack.files.services[name].get("depends_on", {})) & set(PROGRAMS) for name in PROGRAMS}
        while waiting:
            name = min(waiting, key=lambda name: len(waiting[name]))
            assert not waiting[name], f"they wait for each other: {waiting}"
            processes[name] = await running.enter_async_context(_process(stack, name))
            await _healthy(stack, name, processes[name])
            waiting = {other: awaited - {name} for other, awaited in waiting.items() if other != name}
        yield processes


@asynccontextmanager
async def _process(stack: NativeStack, service: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *stack.command(service), env=stack.variables(service), cwd=stack.folder
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _healthy(stack: NativeStack, service: str, process: Process) -> None:
    async with asyncio.timeout(_HEALTHY_S):
        while await run_quietly(*stack.health_check(service)) != 0:
            assert process.returncode is None, f"{service} ended; what it said is above"
            await asyncio.sleep(0.1)


async def run_quietly(*command: str) -> int:
    """The exit code."""
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    return await process.wait()


def _hurried(config: str) -> str:
    """Scrapes, and evaluates each group of rules, every second."""
    return re.sub(r"^( *\w*(?:interval|timeout)): \w+$", r"\1: 1s", config, flags=re.MULTILINE)
