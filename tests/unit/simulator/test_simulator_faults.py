"""The behaviours that faults name exist: a typo in the table would pass for health."""

from monitor.simulator import answers, streams
from monitor.simulator.faults import FAULTS
from monitor.simulator.stories import STORIES

STORIES_WITHOUT_A_TASK = {"early", "never"}
STREAMS = {"mute", "flap", "redirect", "redirect_elsewhere", "slow_headers", "bytewise", "bom", *streams._INSTEAD}
READ_DIFFERENTLY = {
    "poll_stale",
    "poll_completed_no_url",
    "resolve_pending",
    "resolve_404",
    "resolve_500",
    "resolve_wrong_type",
    "resolve_thumbnail",
}


def test_every_story_is_told_and_used() -> None:
    named = {fault.story for fault in FAULTS.values()} - {""}
    assert named <= {*STORIES, *STORIES_WITHOUT_A_TASK}
    assert set(STORIES) - {"publish"} <= named


def test_every_stream_and_every_answer_exists() -> None:
    ways = {fault.stream for fault in FAULTS.values() if not fault.stream.startswith("status_")} - {""}
    assert ways == STREAMS
    assert {fault.status for fault in FAULTS.values()} - {""} == {*answers._SPOILT, *READ_DIFFERENTLY}


def test_where_sse_has_to_win_status_calls_hide_the_result() -> None:
    must_win = {name for name, fault in FAULTS.items() if fault.group == "SSE" and "by SSE" in fault.end}
    # A healthy provider waits for no listener; a bare id is resolved at once; another origin may be out of reach.
    assert {name for name in must_win if not FAULTS[name].hides} == {
        "healthy",
        "file_id_only",
        "sse_redirect_elsewhere",
    }
