"""`monitor check`: are the settings right, and what do they mean?"""

import math
from typing import Final

from rich.markup import escape
from rich.table import Table

from monitor.cli.check_canaries import render_plan
from monitor.cli.output import out
from monitor.cli.serve import ConfigOption
from monitor.delivery.clock import Clock
from monitor.delivery.policy import Policy
from monitor.settings import Settings, load_settings

_TOLD_EACH: Final = 3
"""So many polls are told one by one; of more, how they begin and end."""


def check(config: ConfigOption = None) -> None:
    """Check the settings; say every key that is wrong, what was found and what is allowed."""
    settings = load_settings(config)
    out.print(_service(settings))
    out.print(_providers(settings))
    out.print(_models(settings))
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
    table = Table("provider", "base URL", "token", box=None, pad_edge=False)
    table.columns[1].overflow = "fold"
    for provider in settings.providers:
        table.add_row(escape(provider.name), escape(provider.base_url), "set" if provider.token else "none")
    return table


def _models(settings: Settings) -> Table:
    table = Table("model", "provider", "policy", "polls at", "window", box=None, pad_edge=False)
    for provider in settings.providers:
        for model in provider.models:
            policy = settings.policy(provider.policy_of(model))
            name, window = escape(provider.name), f"{policy.window_s:g} s"
            table.add_row(escape(model), name, policy.name, polls_words(policy), window)
    return table


def polls_words(policy: Policy) -> str:
    """When a generation is polled that nothing delivers: not at the end of its window any more, nor later."""
    polls = min(policy.max_attempts, math.ceil((policy.window_s - policy.grace_s) / policy.interval_s))
    if polls < 1:
        return "never"
    told = range(polls) if polls <= _TOLD_EACH else (0, 1, polls - 1)
    at_s = [f"{policy.grace_s + poll * policy.interval_s:g}" for poll in told]
    return f"{', '.join(at_s)} s" if polls <= _TOLD_EACH else f"{at_s[0]}, {at_s[1]} … {at_s[2]} s"
