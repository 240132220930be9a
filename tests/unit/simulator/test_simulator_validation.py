"""Bodies of create calls are refused in FastAPI's words."""

from typing import Any

import orjson
import pytest

from monitor.simulator.validation import BodyRefused, parse_create

GOOD = {"prompt": "a fox", "generation_config_name": "comfyui/flux"}


def refused(body: Any, *, kind: str = "image", is_project: bool = False) -> list[tuple[str, list[Any]]]:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(BodyRefused) as caught:
        parse_create(raw, kind=kind, is_project=is_project)
    assert all(set(found) == {"type", "loc", "msg", "input"} for found in caught.value.problems)
    return [(found["type"], found["loc"]) for found in caught.value.problems]


def test_what_is_missing_is_named() -> None:
    assert refused({"config": {}}) == [
        ("missing", ["body", "config", "prompt"]),
        ("missing", ["body", "config", "generation_config_name"]),
    ]
    assert refused({}) == [("missing", ["body", "config"])]


def test_what_has_the_wrong_type_is_named() -> None:
    wrong = GOOD | {"prompt": 7, "width": "wide", "seed": True, "steps": 1.5, "shot_size": "Huge", "style_name": 1}
    assert {loc[-1]: type_ for type_, loc in refused({"config": wrong})} == {
        "prompt": "string_type",
        "style_name": "string_type",
        "width": "int_type",
        "steps": "int_type",
        "seed": "int_type",
        "shot_size": "enum",
    }
    assert refused({"config": "a fox"}) == [("dict_type", ["body", "config"])]


def test_unhashable_and_null_values_do_no_harm() -> None:
    assert refused({"config": GOOD | {"shot_size": ["Close-Up"]}}) == [("enum", ["body", "config", "shot_size"])]
    assert parse_create(orjson.dumps({"config": GOOD | {"seed": None}}), kind="image", is_project=False)["seed"] is None


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"nul"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert [type_ for type_, _ in refused(body)] == ["json_invalid"]


@pytest.mark.parametrize("body", [[], 7, None, "text"])
def test_what_is_no_object_is_refused(body: Any) -> None:
    assert refused(body) == [("model_attributes_type", ["body"])]


def test_unknown_keys_are_ignored_as_the_provider_does() -> None:
    body = {"config": GOOD | {"params": {"width": 1}}, "file_ids": []}
    assert parse_create(orjson.dumps(body), kind="image", is_project=False)["prompt"] == "a fox"


def test_only_a_video_needs_no_prompt() -> None:
    body = orjson.dumps({"config": {"generation_config_name": "comfyui/ltx", "duration": 5.0}})
    assert "prompt" not in parse_create(body, kind="video", is_project=False)
    assert refused(body) == [("missing", ["body", "config", "prompt"])]
    assert refused({"config": GOOD | {"prompt": 1}}, kind="video") == [("string_type", ["body", "config", "prompt"])]


def test_a_project_is_of_type_media_and_names_its_template() -> None:
    assert refused({"type": "image", "config": GOOD}, is_project=True) == [
        ("missing", ["body", "template_name"]),
        ("literal_error", ["body", "type"]),
    ]
    body = orjson.dumps({"type": "media", "template_name": None, "config": GOOD})
    assert parse_create(body, kind="image", is_project=True) == GOOD
