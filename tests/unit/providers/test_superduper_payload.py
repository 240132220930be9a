"""What is sent to make something: only fields of the provider's schema, and a seed that a second try does not share."""

from typing import Any

import pytest

from monitor.delivery.errors import ChannelError
from monitor.delivery.model import ErrorKind, Flow, GenerationRequest, Kind, Stage
from monitor.providers.error_table import MAX_DETAIL_CHARS
from monitor.providers.superduper import MAX_SEED, build_payload

MODEL = "comfyui/flux"


def a_request(kind: Kind = Kind.IMAGE, flow: Flow = Flow.FILE, **params: Any) -> GenerationRequest:
    return GenerationRequest("a red cup", MODEL, kind, flow, params)


def test_an_image_of_the_file_flow() -> None:
    params: dict[str, Any] = {"width": 512, "height": 768, "steps": 30, "seed": 7, "shot_size": "Close-Up"}
    config = {"prompt": "a red cup", "generation_config_name": MODEL, **params}
    assert build_payload(a_request(**params), tries=1) == {"config": config}


def test_a_video_of_the_file_flow() -> None:
    params: dict[str, Any] = {"duration": 5.0, "aspect_ratio": "16:9", "seed": 7}
    config = {"prompt": "a red cup", "generation_config_name": MODEL, **params}
    assert build_payload(a_request(Kind.VIDEO, **params), tries=1) == {"config": config}


def test_a_project_says_of_which_type_it_is() -> None:
    config = {"prompt": "a red cup", "generation_config_name": MODEL, "seed": 7}
    payload = build_payload(a_request(flow=Flow.PROJECT, seed=7), tries=1)
    assert payload == {"type": "media", "template_name": None, "style_name": None, "config": config}


def test_what_is_null_is_left_out() -> None:
    assert "width" not in build_payload(a_request(width=None), tries=1)["config"]


def test_a_seed_is_drawn_when_none_is_given() -> None:
    seeds = {build_payload(a_request(), tries=1)["config"]["seed"] for _ in range(20)}
    assert len(seeds) > 1
    assert all(0 <= seed < MAX_SEED for seed in seeds)


def test_a_second_try_draws_a_seed_of_its_own() -> None:
    seeds = {build_payload(a_request(seed=7), tries=tries)["config"]["seed"] for tries in range(2, 12)}
    assert 7 not in seeds
    assert len(seeds) > 1


REFUSED: dict[str, tuple[Kind, dict[str, Any], str]] = {
    "an unknown one": (Kind.IMAGE, {"qualityType": "hd"}, "qualityType"),
    "several images": (Kind.IMAGE, {"batch_size": 4}, "batch_size"),
    "the prompt again": (Kind.IMAGE, {"prompt": "another"}, "prompt"),
    "the model again": (Kind.IMAGE, {"generation_config_name": "x"}, "generation_config_name"),
    "a video's, of an image": (Kind.IMAGE, {"duration": 5}, "duration"),
    "an image's, of a video": (Kind.VIDEO, {"steps": 5}, "steps"),
    "no size": (Kind.IMAGE, {"width": 0}, "width"),
    "a size in words": (Kind.IMAGE, {"width": "wide"}, "width"),
    "references in words": (Kind.IMAGE, {"references": "a.png"}, "references"),
    "a seed below zero": (Kind.IMAGE, {"seed": -1}, "seed"),
    "a seed too large for the provider": (Kind.IMAGE, {"seed": 2**63}, "seed"),
    "no number": (Kind.VIDEO, {"duration": float("nan")}, "duration"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_parameter_that_the_provider_does_not_know_is_refused_by_name(name: str) -> None:
    kind, params, wrong = REFUSED[name]
    with pytest.raises(ChannelError) as caught:
        build_payload(a_request(kind, **params), tries=1)
    error = caught.value
    assert (error.kind, error.stage, error.retryable) == (ErrorKind.REJECTED, Stage.CREATE, False)
    assert not error.may_have_effect
    assert f"params: {wrong}: " in error.detail
    assert "allowed are negative_prompt, width" in error.detail


def test_a_long_name_makes_no_long_sentence() -> None:
    with pytest.raises(ChannelError) as caught:
        build_payload(GenerationRequest("a red cup", MODEL, params={"x" * 50_000: 1}), tries=1)
    assert len(caught.value.detail) < 2 * MAX_DETAIL_CHARS
