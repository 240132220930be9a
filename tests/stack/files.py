"""The files that the stack is made of, read as their programs read them."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
SECRETS: Final = PurePosixPath("/run/secrets")


@dataclass(frozen=True)
class Mount:
    """A file or folder of this project, as a container sees it."""

    service: str
    source: Path
    target: PurePosixPath
    is_read_only: bool


@dataclass(frozen=True)
class StackFiles:
    """All of them, under `root`. Nothing is checked here."""

    root: Path

    @cached_property
    def compose(self) -> dict[str, Any]:
        return self._yaml("docker-compose.yml")

    @cached_property
    def prometheus(self) -> dict[str, Any]:
        return self._yaml("deploy/prometheus/prometheus.yml")

    @cached_property
    def jaeger(self) -> dict[str, Any]:
        return self._yaml("deploy/jaeger/jaeger.yaml")

    @cached_property
    def datasources(self) -> dict[str, Any]:
        return self._yaml("deploy/grafana/datasources.yaml")

    @cached_property
    def dashboards(self) -> dict[str, Any]:
        return self._yaml("deploy/grafana/dashboards.yaml")

    @cached_property
    def monitor(self) -> dict[str, Any]:
        return tomllib.loads((self.root / "deploy/monitor.toml").read_text("utf-8"))

    @cached_property
    def demo(self) -> dict[str, str]:
        """The variables of the demo."""
        lines = (self.root / "deploy/demo.env").read_text("utf-8").splitlines()
        pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
        return {name: value.strip("'") for name, _, value in pairs}

    @cached_property
    def dockerfile(self) -> list[tuple[str, str]]:
        """Each instruction with its arguments, continued lines joined."""
        text = (self.root / "Dockerfile").read_text("utf-8")
        text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
        pairs = (line.partition(" ") for line in text.splitlines() if line.strip())
        return [(instruction, " ".join(rest.split())) for instruction, _, rest in pairs]

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        services: dict[str, dict[str, Any]] = self.compose["services"]
        return services

    def mounts(self) -> Iterator[Mount]:
        """Every bind mount."""
        for name, service in self.services.items():
            for mount in service.get("volumes", []):
                if mount["type"] == "bind":
                    source, target = self.root / mount["source"], PurePosixPath(mount["target"])
                    yield Mount(name, source, target, mount.get("read_only", False))

    def source_of(self, service: str, target: str) -> Path | None:
        """What of this project stands at a path in a container."""
        wanted = PurePosixPath(target)
        for mount in self.mounts():
            if mount.service == service and wanted.is_relative_to(mount.target):
                return mount.source / wanted.relative_to(mount.target)
        return None

    def kept_folders(self, service: str) -> set[PurePosixPath]:
        """Where a container may write what outlives it."""
        volumes = self.services[service].get("volumes", [])
        return {PurePosixPath(mount["target"]) for mount in volumes if mount["type"] == "volume"}

    def secret_paths(self, service: str) -> set[str]:
        """Where a container finds its secrets."""
        return {str(SECRETS / name) for name in self.services[service].get("secrets", [])}

    def published(self, service: str) -> dict[int, int]:
        """Ports inside the container, with those of this machine."""
        triples = (port.split(":") for port in self.services[service].get("ports", []))
        return {int(parts[-1]): int(parts[-2]) for parts in triples}

    def flags(self, service: str) -> dict[str, str]:
        """The command's options, written `--name=value` or `--name value`."""
        words = " ".join(self.services[service].get("command", [])).replace("=", " ").split()
        return {name: value for name, value in zip(words, [*words[1:], ""], strict=True) if name.startswith("--")}

    def _yaml(self, path: str) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load((self.root / path).read_text("utf-8"))
        return loaded


def host_and_port(address: str) -> tuple[str, int]:
    """Of `host:port`, or of a URL."""
    host, _, port = address.rpartition("//")[2].rstrip("/").partition(":")
    return host, int(port)


def instructions(dockerfile: list[tuple[str, str]], name: str) -> list[str]:
    """The arguments of all instructions of that name."""
    return [arguments for instruction, arguments in dockerfile if instruction == name]


def environment(files: StackFiles, service: str) -> Mapping[str, str | None]:
    """The variables that a service is given; None: those of whoever starts it."""
    given: Mapping[str, str | None] = files.services[service].get("environment", {})
    return given
