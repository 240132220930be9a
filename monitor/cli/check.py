"""`monitor check`: are the settings right, and what do they mean?"""

from rich.markup import escape
from rich.table import Table

from monitor.cli.check_canaries import render_plan
from monitor.cli.output import out
from monitor.cli.serve import ConfigOption
from monitor.delivery.clock import Clock
from monitor.settings import Settings, load_settings


def check(config: ConfigOption = None) -> None:
    """Check the settings; say every key that is wrong, what was found and what is allowed."""
    settings = load_settings(config)
    out.print(_service(settings))
    out.print(_providers(settings))
    if settings.canary:
        out.print(render_plan(settings, Clock().now()))
    out.print("[green]The settings are valid.[/]")


def _service(settings: Settings) -> Table:
    table = Table("service", "", box=None, pad_edge=False)
    server, names = settings.server, ", ".join(token.name for token in settings.tokens)
    table.add_row("listens on", f"{server.host}:{server.port}")
    table.add_row("tokens", names or "none: loopback only")
    table.add_row("limit", f"{server.max_in_flight} generations in flight")
    table.add_row("store", escape(settings.store.url.rpartition("@")[2]))
    table.add_row("traces", escape(settings.tracing.endpoint or "not exported"))
    return table


def _providers(settings: Settings) -> Table:
    table = Table("provider", "base URL", "token", "model", "policy", "polls at", "window", box=None, pad_edge=False)
    table.columns[1].overflow = "fold"
    for provider in settings.providers:
        for model in provider.models:
            policy = settings.policy(provider.policy_of(model))
            last_s = policy.grace_s + (policy.max_attempts - 1) * policy.interval_s
            polls = f"{policy.grace_s:g}, {policy.grace_s + policy.interval_s:g} … {last_s:g} s"
            token = "set" if provider.token else "none"
            name, url = escape(provider.name), escape(provider.base_url)
            table.add_row(name, url, token, escape(model), policy.name, polls, f"{policy.window_s:g} s")
    return table
