"""Typed settings from a TOML file and `MONITOR_*` variables; variables win. Everything wrong is told at once."""

from monitor.settings.loading import CONFIG_VARIABLE, DEFAULT_FILE, load_settings
from monitor.settings.model import (
    BaseUrl,
    LoggingSettings,
    Name,
    PolicySettings,
    ProviderSettings,
    ReportsSettings,
    Scope,
    Seconds,
    ServerSettings,
    Settings,
    StoreSettings,
    TokenSettings,
    TracingSettings,
    check_name,
    hash_token,
)

__all__ = [
    "CONFIG_VARIABLE",
    "DEFAULT_FILE",
    "BaseUrl",
    "LoggingSettings",
    "Name",
    "PolicySettings",
    "ProviderSettings",
    "ReportsSettings",
    "Scope",
    "Seconds",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "TokenSettings",
    "TracingSettings",
    "check_name",
    "hash_token",
    "load_settings",
]
