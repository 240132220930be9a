"""The metrics reference is what the catalogue says."""

from monitor.telemetry.docs import PATH, render_metrics_page


def test_the_metrics_page_is_up_to_date() -> None:
    assert PATH.read_text("utf-8") == render_metrics_page(), "run `make docs`"
