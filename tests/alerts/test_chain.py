"""The whole chain: simulated provider, service, Prometheus, Alertmanager, and whoever carries the pager.

The rules are the committed ones, built to run 180 times faster.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from alerts.build import render_rules
from alerts.names import Alert
from alerts.objective import read_objective
from alerts.rule import Timing
from monitor.simulator.config import SimulatorConfig
from tests.alerts.alertmanager import open_alertmanager
from tests.peers import Peer, always, serve
from tests.prometheus import open_prometheus
from tests.serving import Running, running

TIMES_FASTER: Final = 180
POLICY: Final = {"grace": 0.2, "interval": 0.2, "max_attempts": 3, "window": 0.8, "check_on_open": False}
PER_SECOND: Final = 10


def _received(pager: Peer, path: str) -> list[dict[str, Any]]:
    """The alerts that came in, one entry for each time that each was told."""
    told = [
        json.loads(body) for request, body in zip(pager.requests, pager.bodies, strict=True) if request.path == path
    ]
    return [alert for notice in told for alert in notice["alerts"]]


def _names(alerts: list[dict[str, Any]], status: str) -> set[str]:
    return {alert["labels"]["alertname"] for alert in alerts if alert["status"] == status}


async def _generate(service: Running, fault: Callable[[int], str], until: Callable[[], bool]) -> None:
    """Generations at a steady pace, each with its fault, until something is so."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(60 * PER_SECOND):
            if until():
                return
            group.create_task(service.generate(f"a fox [fault:{fault(number)}]", wait_s=0))
            await asyncio.sleep(1 / PER_SECOND)


@pytest.mark.system
@pytest.mark.timeout(150)
async def test_losses_page_once_and_broken_sse_makes_a_ticket(tmp_path: Path) -> None:
    rules = render_rules(Timing(read_objective(), times_faster=TIMES_FASTER))
    changes = {"policies": {"quick": POLICY}, "provider": {"measured_ratio": 1.0}}
    async with (
        running(tmp_path, SimulatorConfig(fixed_render_s=0.1), **changes) as service,
        serve(always({})) as pager,
        open_alertmanager(tmp_path, pager.url) as alertmanager_url,
        open_prometheus(tmp_path, service.url, rules=rules, alertmanager_url=alertmanager_url),
    ):
        await _generate(
            service, lambda _: "silent", lambda: Alert.SSE_DEGRADED in _names(_received(pager, "/ticket"), "firing")
        )
        assert _received(pager, "/page") == [], "polling carries them: nobody is woken"

        await _generate(
            service, lambda number: "never" if number % 10 < 3 else "healthy", lambda: bool(_received(pager, "/page"))
        )
        (page, *_) = _received(pager, "/page")
        assert page["labels"]["alertname"] == Alert.DELIVERY_BELOW_OBJECTIVE
        assert page["labels"]["provider"] == "superduperai"
        assert page["annotations"]["runbook_url"].endswith("/DeliveryBelowObjective.md")
        assert "superduperai" in page["annotations"]["summary"]

        await _generate(
            service,
            lambda _: "healthy",
            lambda: Alert.DELIVERY_BELOW_OBJECTIVE in _names(_received(pager, "/page"), "resolved"),
        )
        assert _names(_received(pager, "/page"), "firing") == {Alert.DELIVERY_BELOW_OBJECTIVE}, "one incident, one page"
        assert Alert.WATCHDOG in _names(_received(pager, "/heartbeat"), "firing")
