"""One incident, one page: a real Alertmanager tells which alerts it keeps quiet while another fires."""

import asyncio
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from alerts.names import Alert
from monitor.telemetry.catalog import Label
from tests.alerts.alertmanager import open_alertmanager

pytestmark = pytest.mark.system

_FOLLOW_FROM_NO_JOB: Final = {
    Alert.DELIVERY_BELOW_OBJECTIVE,
    Alert.ERROR_BUDGET_BURNS_FAST,
    Alert.ERROR_BUDGET_BURNS,
    Alert.PROVIDER_UNREACHABLE,
    Alert.POLLING_EXHAUSTED,
    Alert.CANARY_FAILING,
}
SILENCES: Final[Mapping[Alert, set[Alert]]] = {
    Alert.PROVIDER_UNAUTHORIZED: _FOLLOW_FROM_NO_JOB,
    Alert.NOTHING_GETS_THROUGH: _FOLLOW_FROM_NO_JOB,
    Alert.DELIVERY_BELOW_OBJECTIVE: {
        Alert.ERROR_BUDGET_BURNS_FAST,
        Alert.ERROR_BUDGET_BURNS,
        Alert.POLLING_EXHAUSTED,
        Alert.CANARY_FAILING,
    },
    Alert.ERROR_BUDGET_BURNS_FAST: {Alert.ERROR_BUDGET_BURNS},
    Alert.CANARY_SILENT: {Alert.NO_TRAFFIC},
    Alert.CANARY_LIMIT_REACHED: {Alert.NO_TRAFFIC},
}
"""By the alert that says enough, what follows from it, of the same provider."""
SILENCED_BY_ABSENCE: Final = {Alert.SCRAPE_FAILING, Alert.NO_TRAFFIC, Alert.CANARY_SILENT}
"""Whoever the provider is."""
_OTHERS: Final = [alert for alert in Alert if alert is not Alert.MONITOR_ABSENT]
_LAST: Final = (Alert.DELIVERY_BELOW_OBJECTIVE, Alert.ERROR_BUDGET_BURNS)
"""They are told last: when the second is quiet, all before have been seen."""


async def _quiet(folder: Path, fire: Iterable[tuple[Alert, str]]) -> list[tuple[str, str]]:
    """Names and providers of what is kept quiet once these fire."""
    told = [{"labels": {"alertname": alert, Label.PROVIDER: provider}} for alert, provider in fire]
    last = [{"labels": {"alertname": alert, Label.PROVIDER: "last"}} for alert in _LAST]
    async with (
        open_alertmanager(folder, "http://127.0.0.1:9") as url,
        aiohttp.ClientSession(url) as http,
        asyncio.timeout(30),
    ):
        await (await http.post("/api/v2/alerts", json=[*told, *last], raise_for_status=True)).read()
        while True:
            async with http.get("/api/v2/alerts") as answer:
                found = [alert["labels"] for alert in await answer.json() if alert["status"]["inhibitedBy"]]
            if last[1]["labels"] in found:
                pairs = [(labels["alertname"], labels.get(Label.PROVIDER, "")) for labels in found]
                return sorted(pair for pair in pairs if pair[1] != "last")
            await asyncio.sleep(0.05)


async def test_an_alert_keeps_what_follows_from_it_quiet_and_nothing_else(tmp_path: Path) -> None:
    pairs = {f"{one} and {other}": (one, other) for one, other in combinations(_OTHERS, 2)}
    expected = [
        (target, provider)
        for provider, pair in pairs.items()
        for source, target in (pair, pair[::-1])
        if target in SILENCES.get(source, ())
    ]
    fire = [(alert, provider) for provider, pair in pairs.items() for alert in pair]
    assert await _quiet(tmp_path, fire) == sorted(expected)


async def test_an_alert_of_one_provider_keeps_none_of_another_quiet(tmp_path: Path) -> None:
    assert await _quiet(tmp_path, [(alert, f"only {alert}") for alert in _OTHERS]) == []


async def test_while_no_monitor_is_there_its_silence_is_told_once(tmp_path: Path) -> None:
    fire = [(Alert.MONITOR_ABSENT, ""), *((alert, f"only {alert}") for alert in _OTHERS)]
    assert await _quiet(tmp_path, fire) == sorted((alert, f"only {alert}") for alert in SILENCED_BY_ABSENCE)
