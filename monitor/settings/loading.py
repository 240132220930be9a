"""Reads, merges and checks the settings. Everything that is wrong is told at once, and no secret is told with it."""

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError

from monitor.delivery.errors import SettingsInvalid
from monitor.settings.canaries import CanariesSettings, CanarySettings
from monitor.settings.checks import check_together
from monitor.settings.model import (
    LoggingSettings,
    PolicySettings,
    ProviderSettings,
    ReportsSettings,
    ServerSettings,
    Settings,
    StoreSettings,
    TokenSettings,
    TracingSettings,
    hash_token,
)

CONFIG_VARIABLE: Final = "MONITOR_CONFIG"
DEFAULT_FILE: Final = Path("monitor.toml")

_PREFIX: Final = "MONITOR_"
_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "server": ServerSettings,
    "store": StoreSettings,
    "tracing": TracingSettings,
    "logging": LoggingSettings,
    "reports": ReportsSettings,
    "tokens": TokenSettings,
    "policies": PolicySettings,
    "providers": ProviderSettings,
    "canaries": CanariesSettings,
    "canary": CanarySettings,
}
_LEAST_TOKEN_CHARS: Final = 16
_GUARDING_TOKEN: Final = re.compile(rf"[\x21-\x7e]{{{_LEAST_TOKEN_CHARS},}}")
_SECRET_KEYS: Final = {"token", "sha256", "url"}
_NO_PROVIDERS: Final = (
    "providers: there is none; add a [[providers]] table with name, base_url and models to the settings file, "
    f"or set {_PREFIX}PROVIDERS='[{{…}}]'"
)


def load_settings(file: Path | None = None, *, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read, merge and check everything; secrets named by file or variable are read now.

    `file` is required to exist when named here or in `MONITOR_CONFIG`; else `monitor.toml` is taken if it is there.
    `overrides` stand in for the file's values where both are given.
    Raises SettingsInvalid with all problems.
    """
    path = _settings_file(file)
    values = _read_toml(path) | dict(overrides or {})
    if wrong := _wrong_variables():
        raise SettingsInvalid(wrong)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise SettingsInvalid(_problems(error)) from None
    folder = path.parent if path else Path()
    problems: list[str] = []
    providers = tuple(_with_token(provider, folder, at, problems) for at, provider in enumerate(settings.providers))
    tokens = tuple(_with_hash(token, folder, at, problems) for at, token in enumerate(settings.tokens))
    problems += check_together(settings)
    if problems:
        raise SettingsInvalid(problems)
    return settings.model_copy(update={"providers": providers, "tokens": tokens})


def _settings_file(file: Path | None) -> Path | None:
    named = file or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    if named is None:
        return DEFAULT_FILE if DEFAULT_FILE.exists() else None
    return named


def _read_toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid([f"settings file {path}: not valid TOML: {error}"]) from None
    except FileNotFoundError:
        raise SettingsInvalid([f"settings file {path}: no such file"]) from None
    except OSError as error:
        raise SettingsInvalid([f"settings file {path}: cannot be read: {error.strerror}"]) from None


def _wrong_variables() -> list[str]:
    """Variables that can have no meaning. Without `__` they may be anybody's, as those that Kubernetes sets."""
    problems = []
    for variable, value in sorted(os.environ.items()):
        section = variable.upper().removeprefix(_PREFIX).split("__")[0].lower()
        if not variable.upper().startswith(_PREFIX):
            continue
        if "__" in variable and section not in Settings.model_fields:
            problems.append(f"{variable}: there is no section {section!r}; there are: {_listed(Settings)}")
        elif "__" not in variable and section in Settings.model_fields and not _is_json(value):
            problems.append(f"{variable}: not valid JSON; it must hold the whole of {section!r} as JSON")
    return problems


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def _problems(error: ValidationError) -> list[str]:
    """One sentence for each key that is wrong. A list that is too short because its items are wrong is not told too."""
    items = error.errors(include_url=False)
    broken = {item["loc"][:depth] for item in items for depth in range(1, len(item["loc"]))}
    return [_problem(item) for item in items if item["loc"] not in broken]


def _problem(item: Any) -> str:
    """One sentence for one of pydantic's errors. The value is told only where it cannot be a secret."""
    loc, kind = item["loc"], item["type"]
    key = ".".join(str(part) for part in loc) or "settings"
    if kind == "extra_forbidden":
        return f"{key}: there is no such key; allowed here: {_listed(_section_of(loc))}"
    if loc == ("providers",) and kind in ("missing", "too_short"):
        return _NO_PROVIDERS
    if kind == "too_short":
        return f"{key}: there must be at least {item['ctx']['min_length']}; found {item['ctx']['actual_length']}"
    if kind == "tuple_type":
        how = f" ([[{key}]] in the file, {_PREFIX}{key.upper()}='[{{…}}]' as a variable)" if len(loc) == 1 else ""
        return f"{key}: must be a list{how}"
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{key}: {message}" + (f"; found {item['input']!r}" if _may_be_told(loc, item["input"]) else "")


def _section_of(loc: Sequence[str | int]) -> type[BaseModel]:
    """The section that the key at `loc` is written in."""
    return _SECTIONS[str(loc[0])] if len(loc) > 1 else Settings


def _listed(section: type[BaseModel]) -> str:
    return ", ".join(section.model_fields)


def _may_be_told(loc: Sequence[str | int], found: object) -> bool:
    leaf = next((part for part in reversed(loc) if isinstance(part, str)), "settings")
    if leaf in ("base_url", "endpoint"):
        return isinstance(found, str) and not set(found) & set("@?#")
    known = leaf in _section_of(loc).model_fields or leaf == "[key]"
    return known and len(loc) > 1 and leaf not in _SECRET_KEYS and isinstance(found, str | int | float)


def _with_token(provider: ProviderSettings, folder: Path, at: int, problems: list[str]) -> ProviderSettings:
    """The provider with its token read from where it is kept."""
    token = provider.token.get_secret_value() if provider.token is not None else None
    if provider.token_file is not None:
        token = _read_token(folder, provider.token_file, f"providers.{at}", problems)
        if token is None:
            return provider
        if not token:
            problems.append(f"providers.{at}.token_file: {provider.token_file} holds nothing; it must hold the token")
    elif token is not None and token.startswith("env:"):
        variable = token.removeprefix("env:")
        token = os.environ.get(variable, "").strip()
        if not token:
            problems.append(f"providers.{at}.token: the variable {variable} is not set or empty")
    elif token == "":
        problems.append(f"providers.{at}.token: is empty; leave it out where the provider asks for none")
    if token is not None and not re.fullmatch(r"[\x21-\x7e]*", token):
        problems.append(f"providers.{at}: the token has characters that cannot stand in a header")
    return provider.model_copy(update={"token": SecretStr(token) if token else None, "token_file": None})


def _with_hash(token: TokenSettings, folder: Path, at: int, problems: list[str]) -> TokenSettings:
    """The bearer token with its hash, made from the file if it is kept in one. An empty file would let everybody in."""
    if token.token_file is None:
        return token
    found = _read_token(folder, token.token_file, f"tokens.{at}", problems)
    if found is not None and not _GUARDING_TOKEN.fullmatch(found):
        problems.append(
            f"tokens.{at}.token_file: {token.token_file} must hold one token of {_LEAST_TOKEN_CHARS} or more visible "
            f"ASCII characters and nothing else, found {len(found)} characters; `monitor token` makes one"
        )
    return token.model_copy(update={"sha256": hash_token(found) if found else None, "token_file": None})


def _read_token(folder: Path, file: Path, where: str, problems: list[str]) -> str | None:
    """What the file holds, less white space around it."""
    try:
        return (folder / file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{where}.token_file: cannot read {file}: {error}")
        return None
