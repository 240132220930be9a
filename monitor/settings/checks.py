"""Checks of settings that are right each for itself, and may still not fit together, or not fit this machine."""

from pathlib import Path

from monitor.delivery.policy import FIXED
from monitor.settings.addresses import parse_store_url
from monitor.settings.canary_checks import check_canaries
from monitor.settings.model import Settings


def check_together(settings: Settings) -> list[str]:
    """A sentence for each thing that is wrong."""
    checks = (_check_store, _check_policies, _check_names, _check_access, check_canaries)
    return [problem for check in checks for problem in check(settings)]


def _check_store(settings: Settings) -> list[str]:
    """SQLite makes the file, but no folder for it."""
    url = parse_store_url(settings.store.url)
    if url.get_backend_name() != "sqlite":
        return []
    file = Path(str(url.database))
    try:
        if file.is_dir():
            return [f"store.url: {file} is a folder; sqlite:///FILE must name a file"]
        if not file.parent.is_dir():
            return [f"store.url: there is no folder {file.parent.absolute()} to keep {file.name} in; make it first"]
    except OSError as error:
        return [f"store.url: {file} cannot be looked at: {error.strerror}"]
    return []


def _check_policies(settings: Settings) -> list[str]:
    problems = []
    if FIXED.name in settings.policies:
        problems.append(f"policies.{FIXED.name}: this policy is built in; choose another name")
    for name, policy in settings.policies.items():
        try:
            policy.to_policy(name)
        except ValueError as error:
            problems.append(f"policies.{name}: {error}")
    known = {FIXED.name, *settings.policies}
    for at, provider in enumerate(settings.providers):
        unknown = sorted({provider.policy, *provider.model_policies.values()} - known)
        allowed = ", ".join(sorted(known))
        problems += [f"providers.{at}: no policy is named {wanted!r}; there are: {allowed}" for wanted in unknown]
    return problems


def _check_names(settings: Settings) -> list[str]:
    problems = []
    for section, named in (("providers", settings.providers), ("tokens", settings.tokens), ("canary", settings.canary)):
        names = [item.name for item in named]
        problems += [f"{section}: {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    return problems


def _check_access(settings: Settings) -> list[str]:
    if settings.tokens or settings.is_loopback_only:
        return []
    return [
        f"server.host: {settings.server.host} can be reached from other machines, and no token is set; "
        "make one with `monitor token` and add it under [[tokens]], or listen on 127.0.0.1"
    ]
