"""`monitor canary plan`: what it says to people and to programs, and what it refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.cli.commands import build_app
from monitor.cli.quantities import render_span

SETTINGS = """
[[providers]]
name = "superduperai"
base_url = "http://127.0.0.1:9100"
models = ["comfyui/flux"]
max_canary_usd_per_month = 500

[[canary]]
name = "flux"
prompt = "a red fox"
interval = 60
price_usd = 0.04
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "monitor.toml"
    file.write_text(SETTINGS, "utf-8")
    return file


def ask(settings: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        build_app("canary"), ["canary", "plan", "--config", str(settings), *options], env={"COLUMNS": "200"}
    )
    return result.exit_code, result.output


def test_people_read_how_often_and_at_what_cost_and_what_today_s_plan_does(settings: Path) -> None:
    code, said = ask(settings, "--detect", "80%", "--within", "1h")
    assert code == 0
    assert "Delivery of superduperai falls from 99.5% to 80%. 90% of such falls are to be paged within 1h" in said
    assert "One canary run every 1m 5s: 1,329.2 a day, $1,595.08 in 30 days, at $0.04 a run." in said
    assert "Today's plan pages at least 95.5% of such falls within 1h." in said
    assert "The limit a month of provider superduperai, $500.00, does not pay for it" in said


def test_programs_get_the_same(settings: Path) -> None:
    code, said = ask(settings, "--detect", "80%", "--within", "1h", "--json")
    assert code == 0
    told = json.loads(said)
    assert told["wish"]["detect"] == 0.8
    assert (told["answer"]["interval_seconds"], told["answer"]["usd_per_30_days"]) == (65, 1_595.08)
    assert told["today"]["runs_per_day"] == 1_440


def test_what_cannot_be_had_is_said_in_words(settings: Path) -> None:
    code, said = ask(settings, "--detect", "97%", "--within", "15m")
    assert code == 0
    assert "This cannot be had: even a run every 1s, the most that the settings allow" in said
    assert "Within 15m, a fall to 95% or less can be paged so." in said


def test_enough_traffic_needs_no_canary_and_a_canary_without_a_price_has_no_cost(settings: Path) -> None:
    assert "no canary is needed" in ask(settings, "--detect", "80%", "--within", "1h", "--traffic", "20000")[1]
    settings.write_text(SETTINGS.replace("price_usd = 0.04", "").replace("max_canary_usd_per_month = 500", ""), "utf-8")
    assert "at a price that is not known" in ask(settings, "--detect", "80%", "--within", "1h")[1]
    assert "at $0.10 a run" in ask(settings, "--detect", "80%", "--within", "1h", "--price", "0.1")[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--detect", "0.95"), "--detect: '0.95' is not a share; write it as 95% or 99.5%, from 0% to 100%"),
        (("--detect", "101%"), "--detect: '101%' is not a share"),
        (("--detect", "99%"), "--detect: must be below the objective of the alerts, 99%; found 99%"),
        (("--healthy", "99%"), "--healthy: must be above the objective of the alerts, 99%; found 99%"),
        (("--certainty", "100%"), "--certainty: must be over 0% and below 100%"),
        (("--within", "soon"), "--within: 'soon' is not a span of time; write it as 90s, 15m, 1h or 7d"),
        (("--within", "2m"), "--within: must be over 165 s, as a loss is known 75 s after its start"),
        (("--within", "31d"), "30d at the most; found 31d"),
        (("--price", "cheap"), "--price: 'cheap' is not a price; write US dollars as 0.04"),
        (("--provider", "other"), "--provider: no provider is named 'other'; there are: superduperai"),
        (("--traffic", "-1"), "--traffic"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_found_and_what_is_allowed(
    settings: Path, options: tuple[str, str], said: str
) -> None:
    asked = {"--detect": "80%", "--within": "1h"} | {options[0]: options[1]}
    code, output = ask(settings, *(word for option in asked.items() for word in option))
    assert code == 2
    assert said in " ".join(output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("span_s", "told"), [(1.7, "1.7s"), (59, "59s"), (75, "1m 15s"), (3_600, "1h"), (90_061, "1d 1h")]
)
def test_spans_are_told_in_their_two_largest_units(span_s: float, told: str) -> None:
    assert render_span(span_s) == told
