"""Typed settings from a TOML file and `MONITOR_*` variables; variables win. Everything wrong is told at once."""

from monitor.settings.addresses import BaseUrl
from monitor.settings.canaries import CanariesSettings, CanarySettings
from monitor.settings.canary_checks import check_canaries, provider_of
from monitor.settings.loading import CONFIG_VARIABLE, DEFAULT_FILE, load_settings
from monitor.settings.model import (
    LoggingSettings,
    PolicySettings,
    ProviderSettings,
    ReportsSettings,
    Scope,
    ServerSettings,
    Settings,
    StoreSettings,
    TokenSettings,
    TracingSettings,
    hash_token,
)
from monitor.settings.section import Name, Seconds, Section, check_name

__all__ = [
    "CONFIG_VARIABLE",
    "DEFAULT_FILE",
    "BaseUrl",
    "CanariesSettings",
    "CanarySettings",
    "LoggingSettings",
    "Name",
    "PolicySettings",
    "ProviderSettings",
    "ReportsSettings",
    "Scope",
    "Seconds",
    "Section",
    "ServerSettings",
    "Settings",
    "StoreSettings",
    "TokenSettings",
    "TracingSettings",
    "check_canaries",
    "check_name",
    "hash_token",
    "load_settings",
    "provider_of",
]
