"""What the provider's messages mean: created handles, files, projects and events."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import (
    Asset,
    ErrorKind,
    Failed,
    Flow,
    Handle,
    Kind,
    Pending,
    Ready,
    Sighting,
    Stage,
    Unresolved,
)
from monitor.delivery.ports import Foreign, Malformed, Progress, Seen, StreamItem
from monitor.providers.superduper_wire import is_id, parse_created, parse_event, parse_file, parse_project

BASE = "https://editor.example/"
URL = "https://cdn.example/generated/image/a.webp"
OURS, OTHER, PROJECT = "0b1f6a52-file", "77aa-other", "c3d4-project"

FILE = Handle(Flow.FILE, OURS, Kind.IMAGE)
VIDEO = Handle(Flow.FILE, OURS, Kind.VIDEO)
UNKNOWN = Handle(Flow.PROJECT, PROJECT, Kind.IMAGE)
KNOWN = Handle(Flow.PROJECT, PROJECT, Kind.IMAGE, OURS)

READY = Ready(Asset(URL, Kind.IMAGE, OURS))
FAILED = Failed("a task of the job ended in error")
ERROR = {"type": "image-generation-flow", "status": "error", "id": "t"}


def a_file(**changes: Any) -> dict[str, Any]:
    file: dict[str, Any] = {
        "id": OURS,
        "url": None,
        "thumbnail_url": None,
        "type": "image",
        "duration": None,
        "tasks": [],
    }
    return {**file, **changes}


def a_project(*values: Any, **changes: Any) -> dict[str, Any]:
    data = [{"id": f"d{at}", "project_id": PROJECT, "type": "image", "value": value} for at, value in enumerate(values)]
    return {"id": PROJECT, "type": "media", "data": data, "tasks": [], "music": None, **changes}


CREATED_FILES = {
    "a list of one": [a_file()],
    "a list of three, the first is ours": [a_file(), a_file(id=OTHER), a_file(id="third")],
    "one object": a_file(),
    "the first with an id": [a_file(id=None), a_file()],
    "a video, with a task in progress": a_file(type="video", tasks=[{"status": "in_progress", "file_id": OURS}]),
    "null where a list is meant": a_file(tasks=None, data=None),
    "data[0].value.file_id": {"data": [{"id": OTHER, "value": {"file_id": OURS}}], "fileId": "third"},
    "data[0].id": {"data": [{"id": OURS, "value": {"file_id": 7}}], "fileId": "third"},
    "fileId": {"fileId": OURS},
    "an id, and data that is no list": a_file(data="queued"),
    "an id, and data of which an item is none": a_file(data=[{"id": OURS}, 7]),
    "an id, and tasks that are none": a_file(tasks="none", url=7),
    "the first item that can be read": [None, {"id": 7}, a_file()],
    "the first that can be an id": {"id": "../user/me", "fileId": OURS},
    "id before all others": {"id": OURS, "data": [{"id": OTHER, "value": {"file_id": OTHER}}], "fileId": OTHER},
}


@pytest.mark.parametrize("name", CREATED_FILES)
def test_the_id_of_a_file_is_found_where_clients_look_for_it(name: str) -> None:
    body = orjson.dumps(CREATED_FILES[name])
    assert parse_created(body, Kind.IMAGE, Flow.FILE, 200) == FILE


CREATED_PROJECTS = {
    "no data": (a_project(), None),
    "null data": (a_project(data=None), None),
    "a file id": (a_project({"file_id": OURS}), OURS),
    "the first file id": (a_project({"url": URL}, {"file_id": OURS}, {"file_id": OTHER}), OURS),
    "a direct URL": (a_project({"url": URL}), None),
    "no value": (a_project(None), None),
    "a list": ([a_project({"file_id": OURS})], OURS),
    "data that cannot be read": (a_project(data={"file_id": OURS}), None),
    "tasks that cannot be read": (a_project({"file_id": OURS}, tasks=7), OURS),
}


@pytest.mark.parametrize("name", CREATED_PROJECTS)
def test_a_project_names_its_file_if_it_knows_it(name: str) -> None:
    said, file_id = CREATED_PROJECTS[name]
    handle = parse_created(orjson.dumps(said), Kind.IMAGE, Flow.PROJECT, 200)
    assert handle == Handle(Flow.PROJECT, PROJECT, Kind.IMAGE, file_id)


CREATED_GARBAGE = {
    "nothing": b"",
    "HTML": b"<html></html>",
    "truncated": b'[{"id": "a',
    "no list item": b"[]",
    "null": b"null",
    "a number": b"7",
    "a number as id": b'{"id": 7}',
    "an empty id": b'{"id": ""}',
    "a path as id": b'{"id": "../user/me"}',
    "an address as id": b'{"id": "a?b=c"}',
    "a long id": b'{"id": "%s"}' % (b"x" * 65),
    "other things": b'{"detail": "queued"}',
}


@pytest.mark.parametrize("flow", Flow)
@pytest.mark.parametrize("name", CREATED_GARBAGE)
def test_an_answer_without_an_id_is_malformed_and_may_hide_a_job(name: str, flow: Flow) -> None:
    with pytest.raises(ChannelError) as caught:
        parse_created(CREATED_GARBAGE[name], Kind.IMAGE, flow, 200)
    error = caught.value
    assert (error.kind, error.stage, error.status) == (ErrorKind.MALFORMED, Stage.CREATE, 200)
    assert error.may_have_effect


FILES: dict[str, tuple[dict[str, Any], Sighting]] = {
    "no URL yet": (a_file(), Pending()),
    "ready": (a_file(url=URL), READY),
    "an empty URL": (a_file(url=""), Pending()),
    "only a thumbnail": (a_file(thumbnail_url=URL), Pending()),
    "both": (a_file(thumbnail_url=f"{URL}?small", url=URL), READY),
    "a data URL": (a_file(url="data:image/png;base64,AAAA"), Pending()),
    "another kind": (a_file(url=URL, type="text"), Pending()),
    "no type, fitting extension": (a_file(url=URL, type=None), READY),
    "relative": (a_file(url="/a.png"), Ready(Asset("https://editor.example/a.png", Kind.IMAGE, OURS))),
    "failed": (a_file(tasks=[ERROR]), FAILED),
    "failed, and done again": (a_file(tasks=[ERROR, {"status": "in_progress"}]), Pending()),
    "failed, but there is a URL": (a_file(url=URL, tasks=[ERROR]), READY),
    "completed, no URL": (a_file(tasks=[{"status": "completed"}]), Pending()),
    "an unknown status": (a_file(tasks=[{"status": "paused"}]), Pending()),
    "null tasks": (a_file(tasks=None, url=URL), READY),
    "no tasks": ({"id": OURS, "url": URL, "type": "image"}, READY),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_shows_what_it_is(name: str) -> None:
    said, sighting = FILES[name]
    assert parse_file(orjson.dumps(said), FILE, OURS, BASE, Stage.POLL, 200) == sighting


def test_a_video_is_no_image() -> None:
    body = orjson.dumps(a_file(url="https://cdn.example/a.mp4", type="video"))
    assert parse_file(body, FILE, OURS, BASE, Stage.POLL, 200) == Pending()
    assert isinstance(parse_file(body, VIDEO, OURS, BASE, Stage.POLL, 200), Ready)


FILE_GARBAGE = {
    "HTML": (b"<html>", "not JSON"),
    "truncated": (b'{"id": "x", "url": nul', "not JSON"),
    "nothing": (b"", "not JSON"),
    "invalid UTF-8": (b'{"id": "\xff"}', "not JSON"),
    "an array": (b"[1, 2]", "body"),
    "null": (b"null", "body"),
    "wrong types": (b'{"id": 7, "url": {"a": 1}, "type": ["image"], "tasks": "none"}', "url"),
    "tasks of another shape": (orjson.dumps(a_file(url=URL, tasks=["error"])), "tasks.0"),
    "no id": (b'{"detail": "soon"}', "id"),
    "another file": (orjson.dumps(a_file(id=OTHER, url=URL)), "id"),
}


@pytest.mark.parametrize("stage", [Stage.POLL, Stage.RESOLVE])
@pytest.mark.parametrize("name", FILE_GARBAGE)
def test_what_is_no_file_is_malformed_and_says_where(name: str, stage: Stage) -> None:
    body, place = FILE_GARBAGE[name]
    with pytest.raises(ChannelError) as caught:
        parse_file(body, FILE, OURS, BASE, stage, 200)
    error = caught.value
    assert (error.kind, error.stage, error.status, error.retryable) == (ErrorKind.MALFORMED, stage, 200, True)
    assert place in error.detail


PROJECTS: dict[str, tuple[dict[str, Any], Sighting]] = {
    "empty": (a_project(), Pending()),
    "null data": (a_project(data=None, tasks=None), Pending()),
    "no value": (a_project(None), Pending()),
    "a direct URL": (a_project({"url": URL}), Ready(Asset(URL, Kind.IMAGE))),
    "URL and file id": (a_project({"url": URL, "file_id": OURS}), READY),
    "a file id": (a_project({"file_id": OURS}), Unresolved(OURS)),
    "a URL before a file id": (a_project({"file_id": OTHER}, {"url": URL, "file_id": OURS}), READY),
    "the first usable": (a_project({"url": "data:,x"}, {"url": URL}), Ready(Asset(URL, Kind.IMAGE))),
    "a value of another type": (a_project({"url": URL, "type": "text"}), Pending()),
    "no text": (a_project({"url": 7, "file_id": 8}), Pending()),
    "a path for a file id": (a_project({"file_id": "../user/me"}), Pending()),
    "failed": (a_project(tasks=[ERROR]), FAILED),
    "failed, but there is a URL": (a_project({"url": URL}, tasks=[ERROR]), Ready(Asset(URL, Kind.IMAGE))),
    "failed, but there is a file to ask about": (a_project({"file_id": OURS}, tasks=[ERROR]), Unresolved(OURS)),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_shows_what_it_has_made(name: str) -> None:
    said, sighting = PROJECTS[name]
    assert parse_project(orjson.dumps(said), UNKNOWN, BASE, 200) == sighting


def test_an_image_needs_no_extension_where_the_project_calls_it_one() -> None:
    bare = URL.removesuffix(".webp")
    assert isinstance(parse_project(orjson.dumps(a_project({"url": bare})), UNKNOWN, BASE, 200), Ready)
    timeline = a_project({"url": bare})
    timeline["data"][0]["type"] = "timeline"
    assert parse_project(orjson.dumps(timeline), UNKNOWN, BASE, 200) == Pending()


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"id": "other", "data": []}', b'{"id": "%s", "data": 7}' % PROJECT.encode()]
)
def test_what_is_not_our_project_is_malformed(body: bytes) -> None:
    with pytest.raises(ChannelError) as caught:
        parse_project(body, UNKNOWN, BASE, 200)
    assert caught.value.kind is ErrorKind.MALFORMED


def an_event(type_: str, object_: Any) -> str:
    return orjson.dumps({"type": type_, "object": object_}).decode()


SEEN_READY, SEEN_PENDING, SEEN_FAILED = Seen(READY), Seen(Pending()), Seen(FAILED)
FILE_EVENT = an_event("file", a_file(url=URL))
THEIRS = an_event("file", a_file(id=OTHER, url=URL))


FILE_FLOW_EVENTS: dict[str, tuple[str, StreamItem]] = {
    "the result": (FILE_EVENT, SEEN_READY),
    "as a render result": (an_event("render_result", {"file_id": OURS, "file_url": URL}), SEEN_READY),
    "of another file": (THEIRS, Foreign()),
    "not ready": (an_event("file", a_file()), SEEN_PENDING),
    "only a thumbnail": (an_event("file", a_file(thumbnail_url=URL)), SEEN_PENDING),
    "only an id": (an_event("file", {"id": OURS}), SEEN_PENDING),
    "only a file id": (an_event("render_result", {"file_id": OURS}), Seen(Unresolved(OURS))),
    "of another kind": (an_event("file", a_file(url=URL, type="audio")), SEEN_PENDING),
    "a failed file": (an_event("file", a_file(tasks=[ERROR])), SEEN_FAILED),
    "no id at all": (an_event("file", {"url": URL, "type": "image"}), Malformed("a file event without an id")),
    "progress": (an_event("render_progress", {"progress": 40, "file_id": OURS}), Progress(0.4)),
    "progress of nobody": (an_event("render_progress", {"progress": 40}), Progress(0.4)),
    "progress of another file": (an_event("render_progress", {"progress": 40, "file_id": OTHER}), Foreign()),
    "too much progress": (an_event("render_progress", {"progress": 140}), Progress(1.0)),
    "less than no progress": (an_event("render_progress", {"progress": -5}), Progress(0.0)),
    "a task in progress": (an_event("task", {"status": "in_progress", "file_id": OURS}), Foreign()),
    "a completed task": (an_event("task", {"status": "completed", "file_id": OURS}), Foreign()),
    "our task failed": (an_event("task", {"status": "error", "file_id": OURS}), SEEN_FAILED),
    "a task of nobody failed": (an_event("task", {"status": "error"}), SEEN_FAILED),
    "another file's task failed": (an_event("task", {"status": "error", "file_id": OTHER}), Foreign()),
    "a project's task failed": (an_event("task", {"status": "error", "project_id": PROJECT}), Foreign()),
    "data": (an_event("data", {"project_id": PROJECT, "value": {"url": URL}}), Foreign()),
    "data of another shape": (an_event("data", {"value": "text"}), Foreign()),
    "a scene": (an_event("scene", {"id": OURS, "file_id": OURS}), Foreign()),
    "an unknown type": (an_event("image_ready", {"url": URL}), Foreign()),
    "an echo": (an_event("subscribe", "file.x"), Foreign()),
    "a test": ('{"type":"test","message":"hello"}', Foreign()),
}


@pytest.mark.parametrize("name", FILE_FLOW_EVENTS)
def test_in_the_file_flow_the_id_says_whose_it_is(name: str) -> None:
    data, item = FILE_FLOW_EVENTS[name]
    assert parse_event(data, FILE, BASE) == item


PROJECT_EVENTS: dict[str, tuple[Handle, str, StreamItem]] = {
    "the file it named": (KNOWN, FILE_EVENT, SEEN_READY),
    "another than it named": (KNOWN, THEIRS, Foreign()),
    "any of the right kind, as it named none": (UNKNOWN, FILE_EVENT, SEEN_READY),
    "one of another kind": (UNKNOWN, an_event("file", a_file(url=URL, type="music")), Foreign()),
    "one not ready": (UNKNOWN, an_event("file", a_file()), SEEN_PENDING),
    "only a file id": (UNKNOWN, an_event("render_result", {"file_id": OURS}), Seen(Unresolved(OURS))),
    "a path for a file id": (UNKNOWN, an_event("render_result", {"file_id": "../x"}), SEEN_PENDING),
    "progress": (UNKNOWN, an_event("render_progress", {"progress": 50, "file_id": OTHER}), Progress(0.5)),
    "progress of another": (KNOWN, an_event("render_progress", {"progress": 50, "file_id": OTHER}), Foreign()),
    "its task failed": (UNKNOWN, an_event("task", {"status": "error", "project_id": PROJECT}), SEEN_FAILED),
    "a task of nobody failed": (UNKNOWN, an_event("task", {"status": "error"}), SEEN_FAILED),
    "a task of its file failed": (
        UNKNOWN,
        an_event("task", {"status": "error", "file_id": OURS, "project_id": PROJECT}),
        SEEN_FAILED,
    ),
    "a task of another file of it failed": (
        KNOWN,
        an_event("task", {"status": "error", "file_id": OTHER, "project_id": PROJECT}),
        Foreign(),
    ),
    "another project's task failed": (
        UNKNOWN,
        an_event("task", {"status": "error", "project_id": OTHER}),
        Foreign(),
    ),
    "a task of another project's file failed": (
        UNKNOWN,
        an_event("task", {"status": "error", "file_id": OURS, "project_id": OTHER}),
        Foreign(),
    ),
    "its data with a URL": (
        UNKNOWN,
        an_event("data", {"id": "d", "project_id": PROJECT, "type": "image", "value": {"url": URL}}),
        Seen(Ready(Asset(URL, Kind.IMAGE))),
    ),
    "its data with a file id": (
        UNKNOWN,
        an_event("data", {"project_id": PROJECT, "value": {"file_id": OURS}}),
        Seen(Unresolved(OURS)),
    ),
    "its data with nothing of use": (
        UNKNOWN,
        an_event("data", {"project_id": PROJECT, "type": "script", "value": {"text": "x"}}),
        Foreign(),
    ),
    "data of another project": (
        UNKNOWN,
        an_event("data", {"project_id": OTHER, "type": "image", "value": {"url": URL}}),
        Foreign(),
    ),
}


@pytest.mark.parametrize("name", PROJECT_EVENTS)
def test_a_projects_channel_is_its_own(name: str) -> None:
    handle, data, item = PROJECT_EVENTS[name]
    assert parse_event(data, handle, BASE) == item


MALFORMED_EVENTS = {
    "no JSON": "{not json",
    "nothing": "",
    "replaced bytes": '{"type": "file", "object": \ufffd}',
    "an array": "[1, 2, 3]",
    "a string": '"file"',
    "null": "null",
    "no type": '{"object": {}}',
    "a number as type": '{"type": 7, "object": {}}',
    "a string as object": an_event("file", "a string"),
    "no object": '{"type": "file"}',
    "an array as object": an_event("file", [a_file(url=URL)]),
    "a string as task": an_event("task", "error"),
    "wrong types": an_event("file", {"id": 7, "url": {}}),
    "no progress": an_event("render_progress", {}),
    "progress in words": an_event("render_progress", {"progress": "half"}),
    "progress that is no number": '{"type": "render_progress", "object": {"progress": NaN}}',
    "endless progress": '{"type": "render_progress", "object": {"progress": Infinity}}',
    "too deep": "[" * 100_000,
}


@pytest.mark.parametrize("handle", [FILE, UNKNOWN])
@pytest.mark.parametrize("name", MALFORMED_EVENTS)
def test_what_cannot_be_understood_is_malformed_and_says_why(name: str, handle: Handle) -> None:
    item = parse_event(MALFORMED_EVENTS[name], handle, BASE)
    assert isinstance(item, Malformed)
    assert item.detail


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from([OURS, PROJECT, URL, "image", "file", "task", "data", "error", "render_progress"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "type", "object", "url", "file_id", "file_url", "tasks", "status", "data", "value", "progress"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)
handles = st.sampled_from([FILE, VIDEO, UNKNOWN, KNOWN])


@given(json_values.map(orjson.dumps) | st.binary(max_size=60), handles)
def test_no_body_raises_anything_but_a_channel_error(body: bytes, handle: Handle) -> None:
    parsers = (
        lambda: parse_created(body, handle.kind, handle.flow, 200),
        lambda: parse_file(body, handle, OURS, BASE, Stage.POLL, 200),
        lambda: parse_project(body, handle, BASE, 200),
    )
    for parse in parsers:
        try:
            parse()
        except ChannelError as error:
            assert error.kind is ErrorKind.MALFORMED  # noqa: PT017 - any other error fails by itself


@given(json_values.map(lambda value: orjson.dumps(value).decode()) | st.text(max_size=60), handles)
def test_no_event_raises_anything(data: str, handle: Handle) -> None:
    item = parse_event(data, handle, BASE)
    assert isinstance(item, Foreign | Malformed | Progress | Seen)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["file", "render_result", "task", "data", "render_progress"])},
        optional={"object": json_values},
    ),
    handles,
)
def test_only_our_own_file_is_ever_ready_in_the_file_flow(event: dict[str, Any], handle: Handle) -> None:
    item = parse_event(orjson.dumps(event).decode(), handle, BASE)
    if isinstance(item, Seen) and isinstance(item.sighting, Ready) and handle.flow is Flow.FILE:
        assert item.sighting.asset.file_id == handle.id


@pytest.mark.parametrize(
    ("text", "claim"),
    [("0b1f-A_z", True), ("", False), ("a/b", False), ("a.b", False), ("a\n", False), ("é", False), ("x" * 65, False)],
)
def test_an_id_is_what_can_stand_in_a_path(text: str, claim: bool) -> None:
    assert is_id(text) is claim
