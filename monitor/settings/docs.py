"""Writes docs/settings.md from the models: `python -m monitor.settings.docs`."""

from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from monitor.settings import canaries, model

PATH: Final = Path("docs/settings.md")
_HEAD: Final = (
    "# Settings",
    "",
    "Built from `monitor/settings/` by `make docs`; do not edit.",
    "",
    "From a TOML file (`--config`, else `$MONITOR_CONFIG`, else `./monitor.toml`) and from variables, which win:",
    "`MONITOR_SERVER__PORT=8081` is `port` of `[server]`, and `MONITOR_PROVIDERS` takes JSON. Times are in seconds.",
    "`monitor check` says everything that is wrong at once. `MONITOR_REVISION` is shown as `revision` in",
    "`generation_monitor_build_info`; `MONITOR_TOKEN` and `MONITOR_URL` are for `monitor generate`.",
)
_SECTIONS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("[server]", model.ServerSettings),
    ("[store]", model.StoreSettings),
    ("[tracing]", model.TracingSettings),
    ("[logging]", model.LoggingSettings),
    ("[reports]", model.ReportsSettings),
    ("[[tokens]]", model.TokenSettings),
    ("[[providers]]", model.ProviderSettings),
    ("[policies.NAME]", model.PolicySettings),
    ("[canaries]", canaries.CanariesSettings),
    ("[[canary]]", canaries.CanarySettings),
)


def render_settings_page() -> str:
    """The page as Markdown."""
    return "\n".join([*_HEAD, *(line for title, section in _SECTIONS for line in _section(title, section))]) + "\n"


def _section(title: str, section: type[BaseModel]) -> list[str]:
    rows = [_row(name, field) for name, field in section.model_fields.items()]
    about = (section.__doc__ or "").strip()
    return ["", f"## `{title}`", "", about, "", "| key | default | says |", "|---|---|---|", *rows]


def _row(name: str, field: Any) -> str:
    return f"| `{name}` | {_default(field.default)} | {field.description or ''} |"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    shown = str(value) if isinstance(value, StrEnum) else value  # as it is written, not Python's name for it
    return f"`{shown!r}`".replace("None", "none")


if __name__ == "__main__":
    PATH.write_text(render_settings_page(), "utf-8")
