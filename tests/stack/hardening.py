"""What every service of the compose file keeps to. Each rule says what is wrong in words; nothing said is all well."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.stack.files import StackFiles, environment

OURS: Final = "generation-monitor:local"
MAY_LACK_A_HEALTH_CHECK: Final = {"visitor"}
"""It serves nobody, so there is nothing to ask it."""
_SECRET_NAME: Final = re.compile(r"(?i)token|password|secret")
_HEALTHY: Final = "service_healthy"


def hardening_problems(files: StackFiles) -> list[str]:
    """All that is wrong, sorted."""
    found: list[str] = []
    for name, service in files.services.items():
        rules = (_image, _privileges, _ports, _health, _mounts, _secrets, _order)
        found += [f"{name}: {problem}" for rule in rules for problem in rule(files, name, service)]
    return sorted([*found, *_unused(files)])


def _image(_: StackFiles, __: str, service: dict[str, Any]) -> Iterator[str]:
    image = service.get("image", "")
    if image == OURS:
        if "build" not in service:
            yield f"{OURS} is built here, so it needs `build`"
    elif not re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", image):
        yield f"the image {image!r} is not pinned to a version"


def _privileges(_: StackFiles, __: str, service: dict[str, Any]) -> Iterator[str]:
    wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    for key, value in wanted.items():
        if service.get(key) != value:
            yield f"{key} is {service.get(key)!r}, not {value!r}"
    if service.get("user", "root").partition(":")[0] in ("root", "0"):
        yield "runs as root"
    for key in ("mem_limit", "pids_limit", "restart"):
        if key not in service:
            yield f"{key} is missing"
    for key in ("privileged", "network_mode", "pid", "cap_add", "devices"):
        if key in service:
            yield f"{key} has no place here"


def _ports(files: StackFiles, name: str, service: dict[str, Any]) -> Iterator[str]:
    for port in service.get("ports", []):
        if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", str(port)):
            yield f"{port!r} is not published on 127.0.0.1 alone"
            return
    for inside, outside in files.published(name).items():
        if inside != outside:
            yield f"{inside} is published as {outside}; links say {inside}"


def _health(_: StackFiles, name: str, service: dict[str, Any]) -> Iterator[str]:
    check = service.get("healthcheck", {})
    if name not in MAY_LACK_A_HEALTH_CHECK and not {"test", "interval", "timeout", "start_period"} <= set(check):
        yield "has no health check with test, interval, timeout and start_period"


def _mounts(files: StackFiles, name: str, service: dict[str, Any]) -> Iterator[str]:
    for mount in files.mounts():
        if mount.service != name:
            continue
        if not mount.source.exists():
            yield f"{mount.source.relative_to(files.root)} is mounted and is not there"
        if not mount.is_read_only:
            yield f"{mount.target} may be written to"
    named = {mount["source"] for mount in service.get("volumes", []) if mount["type"] == "volume"}
    yield from (f"there is no volume {volume!r}" for volume in sorted(named - set(files.compose["volumes"])))
    writable = {str(folder) for folder in files.kept_folders(name)} | {
        mount.partition(":")[0] for mount in service.get("tmpfs", [])
    }
    if "/tmp" not in writable:
        yield "has no /tmp to write to"


def _secrets(files: StackFiles, name: str, service: dict[str, Any]) -> Iterator[str]:
    known = files.compose["secrets"]
    yield from (f"there is no secret {secret!r}" for secret in service.get("secrets", []) if secret not in known)
    for variable, value in environment(files, name).items():
        if _SECRET_NAME.search(variable) and value not in files.secret_paths(name):
            yield f"{variable} holds a secret itself, not the path of its file"


def _order(files: StackFiles, _: str, service: dict[str, Any]) -> Iterator[str]:
    for other, how in service.get("depends_on", {}).items():
        if other not in files.services:
            yield f"waits for {other!r}, which there is not"
        elif how["condition"] == _HEALTHY and "test" not in files.services[other].get("healthcheck", {}):
            yield f"waits until {other} is healthy, which nobody checks"
        elif not set(files.services[other].get("profiles", [])) <= set(service.get("profiles", [])):
            yield f"waits for {other}, which is not always started"


def _unused(files: StackFiles) -> Iterator[str]:
    text = str(files.services)
    for kind in ("volumes", "secrets"):
        yield from (f"{kind}: nobody uses {name!r}" for name in files.compose[kind] if f"'{name}'" not in text)
    for name, secret in files.compose["secrets"].items():
        if secret != {"file": f"./deploy/secrets/{name}"}:
            yield f"secrets: {name!r} is not kept in deploy/secrets/{name}"
