"""What can be set, as types: each key with its default, its bounds and what it means."""

import hashlib
import ipaddress
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitor.delivery.policy import FIXED, Policy
from monitor.settings.addresses import BaseUrl, Host, Origin, StoreUrl
from monitor.settings.canaries import CanariesSettings, CanarySettings
from monitor.settings.section import Name, Seconds, Section, UsdLimit

_RESERVED_MODEL: Final = "other"


def hash_token(token: str) -> str:
    """What is kept of a bearer token. Plain SHA-256: the token is random, so there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _check_model(model: str) -> str:
    if not model.isprintable() or model != model.strip():
        raise ValueError("a model's name has printable characters, and no space before or after them")
    return model


Model = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_model)]


class Scope(StrEnum):
    """What a bearer token may do."""

    READ = "read"
    GENERATE = "generate"
    REPORT = "report"
    ADMIN = "admin"


class ServerSettings(Section):
    """Where the service listens, and how much it takes on."""

    host: Host = Field("127.0.0.1", description="address to listen on; other than loopback only with tokens")
    port: int = Field(8080, ge=0, le=65_535, description="port to listen on; 0 takes a free one")
    instance: Name = Field("monitor", description="name of this service among those that share a store")
    max_in_flight: int = Field(1_000, ge=1, le=100_000, description="generations in flight before 429")
    max_body_bytes: int = Field(65_536, ge=1_024, le=16_777_216, description="largest request body")
    max_prompt_chars: int = Field(4_000, ge=1, le=1_000_000, description="longest prompt, in characters")
    shutdown_grace: Seconds = Field(10.0, description="seconds to end cleanly after SIGTERM")


class StoreSettings(Section):
    """Where records are kept, and for how long."""

    url: StoreUrl = Field(
        "sqlite:///monitor.db",
        description="sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE",
        repr=False,  # it may hold a password
    )
    retention_days: float = Field(30.0, gt=0, le=3_650, description="records older than this are deleted")
    max_records: int = Field(1_000_000, ge=1, description="at most so many records of each origin are kept, the newest")


class TracingSettings(Section):
    """Where traces go, and which are kept beside those of failed, slow and canary generations."""

    endpoint: BaseUrl | None = Field(None, description="OTLP/HTTP collector, as http://127.0.0.1:4318; none: no export")
    sample_ratio: float = Field(0.1, ge=0, le=1, description="share of ordinary generations whose trace is kept")
    slow: Seconds = Field(30.0, description="seconds; a delivery that took longer is always kept")


class LoggingSettings(Section):
    """What log lines look like."""

    format: Literal["auto", "console", "json"] = Field("auto", description="auto: console on a terminal, else json")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level written")


class ReportsSettings(Section):
    """What applications may report of deliveries that they saw themselves. See docs/reports.md."""

    allowed_origins: tuple[Origin, ...] = Field(
        (), description='whose pages may report, as ["https://app.example"]; ["*"]: those of all'
    )
    max_body_bytes: int = Field(262_144, ge=1_024, le=16_777_216, description="largest body of reports")
    max_per_minute: int = Field(6_000, ge=1, le=10_000_000, description="reports with one token in a minute before 429")


class TokenSettings(Section):
    """One bearer token, known by the SHA-256 of it. `monitor token` makes one."""

    name: Name
    scopes: frozenset[Scope] = Field(min_length=1)
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the token, in lower-case hex; this or token_file"
    )
    token_file: Path | None = Field(None, description="a file that holds the token, relative to the settings file")

    @model_validator(mode="after")
    def _check(self) -> "TokenSettings":
        if (self.sha256 is None) == (self.token_file is None):
            raise ValueError("give sha256 or token_file, one of them")
        return self


class PolicySettings(Section):
    """A named policy, in seconds. See `monitor.delivery.policy`."""

    grace: float = Field(FIXED.grace_s, ge=0, le=86_400, description="seconds before the first poll")
    interval: Seconds = Field(FIXED.interval_s, description="seconds from poll to poll")
    max_attempts: int = Field(FIXED.max_attempts, ge=0, le=1_000, description="most polls of one generation")
    window: Seconds = Field(FIXED.window_s, description="seconds after which a generation has expired")
    early_fallback: bool = Field(True, description="poll at once when SSE is known to be dead")
    check_on_open: bool = Field(True, description="one status call whenever the stream opens")

    def to_policy(self, name: str) -> Policy:
        """The domain's value. Raises ValueError when the numbers do not fit together."""
        return Policy(
            name=name,
            grace_s=self.grace,
            interval_s=self.interval,
            max_attempts=self.max_attempts,
            window_s=self.window,
            early_fallback=self.early_fallback,
            check_on_open=self.check_on_open,
        )


class ProviderSettings(Section):
    """One provider: where it is, how to get in, what it makes, how long to wait for what."""

    name: Name
    kind: Literal["superduperai"] = Field("superduperai", description="the wire contract that it keeps")
    base_url: BaseUrl
    token: SecretStr | None = Field(None, description='"env:VARIABLE", or the token itself')
    token_file: Path | None = Field(None, description="a file that holds the token, relative to the settings file")
    models: tuple[Model, ...] = Field(
        min_length=1, description="the models it may be asked for; the first is the default"
    )
    policy: str = Field(FIXED.name, description="name of the policy")
    model_policies: Mapping[str, str] = Field({}, description="policies of single models, by model")
    objective: float = Field(0.99, gt=0, lt=1, description="share that must be delivered")
    connect_timeout: Seconds = Field(10.0, description="seconds until a connection stands and headers are there")
    request_timeout: Seconds = Field(10.0, description="seconds for one status call, with its body")
    create_timeout: Seconds = Field(30.0, description="seconds for one create call")
    silence_limit: Seconds = Field(45.0, description="seconds without a byte until the stream is reopened")
    measured_ratio: float = Field(
        0.05, ge=0, le=1, description="share of generations of which both channels are measured; canaries always are"
    )
    max_measured: int = Field(
        500, ge=0, le=10_000, description="generations of which both are measured at a time, each for its whole window"
    )
    checked_ratio: float = Field(
        0.05, ge=0, le=1, description="share of delivered URLs that are fetched to see what they serve; canaries always"
    )
    check_private_assets: bool = Field(False, description="also fetch from loopback, private and link-local addresses")
    max_connections: int = Field(100, ge=1, le=10_000, description="connections for calls; streams have their own")
    max_canary_usd_per_day: UsdLimit | None = Field(
        None, description="US dollars that canaries of this provider may cost in a day; see [canaries]"
    )
    max_canary_usd_per_month: UsdLimit | None = Field(None, description="the same in a calendar month")

    @model_validator(mode="after")
    def _check(self) -> "ProviderSettings":
        if self.token is not None and self.token_file is not None:
            raise ValueError("give token or token_file, not both")
        if twice := sorted({model for model in self.models if self.models.count(model) > 1}):
            raise ValueError(f"models: {twice[0]!r} is there twice")
        if _RESERVED_MODEL in self.models:
            raise ValueError(f"models: {_RESERVED_MODEL!r} is what metrics call every model that is not listed")
        if unknown := sorted(set(self.model_policies) - set(self.models)):
            raise ValueError(f"model_policies: {unknown[0]!r} is not in models")
        return self

    def policy_of(self, model: str) -> str:
        """The name of the policy for `model`."""
        return self.model_policies.get(model, self.policy)


class Settings(BaseSettings):
    """Everything that can be set. Build it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="MONITOR_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    tracing: TracingSettings = TracingSettings()
    logging: LoggingSettings = LoggingSettings()
    reports: ReportsSettings = ReportsSettings()
    tokens: tuple[TokenSettings, ...] = ()
    policies: Mapping[Name, PolicySettings] = {}
    providers: tuple[ProviderSettings, ...] = Field(min_length=1)
    canaries: CanariesSettings = CanariesSettings()
    canary: tuple[CanarySettings, ...] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables over the file's values, which come in as arguments."""
        return env_settings, init_settings

    def policy(self, name: str) -> Policy:
        """The named policy; `fixed` is built in. Raises KeyError."""
        return FIXED if name == FIXED.name else self.policies[name].to_policy(name)

    def provider(self, name: str) -> ProviderSettings | None:
        """The named provider."""
        return next((provider for provider in self.providers if provider.name == name), None)

    @property
    def is_loopback_only(self) -> bool:
        """Whether nobody but this machine can reach the service."""
        if self.server.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.server.host).is_loopback
        except ValueError:
            return False
