"""Shapes on the wire: objects, frames, URLs, and pictures that can be read."""

import random
import struct
import zlib
from datetime import UTC, datetime

import orjson
import pytest

from monitor.simulator import wire
from monitor.simulator.assets import render_asset
from monitor.simulator.book import new_id
from monitor.simulator.config import SimulatorConfig
from monitor.simulator.faults import FAULTS
from monitor.simulator.jobs import Job
from monitor.simulator.models import generation_config_read, list_generation_configs

FILE_KEYS = {
    "id", "url", "thumbnail_url", "type", "duration", "image_generation_id", "image_generation", "video_generation_id",
    "video_generation", "audio_generation_id", "audio_generation", "tasks",
}  # fmt: skip


def job(fault: str = "healthy", kind: str = "image", project_id: str | None = None) -> Job:
    return Job(
        file_id="f1",
        project_id=project_id,
        generation_id="g1",
        kind=kind,
        prompt="a fox",
        model="comfyui/flux",
        fault=FAULTS[fault],
        render_s=1.5,
        origin="http://127.0.0.1:9100",
        created_at_s=100.0,
        created_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        seed=7,
        traceparent=None,
        told={"width": None},
    )


async def test_an_image_has_no_url_and_no_task_until_it_is_ready() -> None:
    pending, ready = wire.file_read(job(), is_ready=False), wire.file_read(job(), is_ready=True)
    assert set(pending) == set(ready) == FILE_KEYS
    assert (pending["url"], pending["thumbnail_url"], pending["tasks"]) == (None, None, [])
    assert ready["url"] == "http://127.0.0.1:9100/assets/generated/image/f1.png"
    assert ready["tasks"] == []
    assert (ready["image_generation"]["seed"], ready["image_generation"]["width"]) == (7, 1024)


async def test_a_video_has_a_task_from_the_start() -> None:
    file = wire.file_read(job(kind="video"), is_ready=False)
    assert [task["status"] for task in file["tasks"]] == ["in_progress"]
    assert file["tasks"][0]["type"] == "video-generation-flow"
    assert file["image_generation"] is None
    assert wire.file_read(job(kind="video"), is_ready=True)["tasks"][0]["status"] == "completed"


async def test_a_video_embeds_its_generation_config_in_full() -> None:
    made = wire.file_read(job(kind="video"), is_ready=False)["video_generation"]
    assert made["generation_config"] == generation_config_read("comfyui/flux")
    assert "generation_config" not in wire.file_read(job(), is_ready=False)["image_generation"]


async def test_a_project_was_created_when_it_was_however_often_it_is_read() -> None:
    project = job(project_id="p1")
    assert wire.project_read(project, None)["created_at"] == "2026-01-31T12:00:00+00:00"


async def test_a_failed_image_shows_it_in_a_task() -> None:
    failed = job()
    failed.has_failed = True
    assert wire.file_read(failed, is_ready=False)["tasks"][0]["status"] == "error"
    assert wire.project_read(failed, None)["tasks"][0]["status"] == "error"


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("signed_url", "/f1.png?sig=a%2Bb%3D&expires=4102444800"),
        ("no_extension", "/image/f1"),
        ("uppercase", "/f1.PNG"),
    ],
)
async def test_a_url_has_the_shape_that_its_fault_asks_for(fault: str, ending: str) -> None:
    url = wire.result_url(job(fault))
    assert url.startswith("http://127.0.0.1:9100/")
    assert url.endswith(ending)


async def test_some_urls_are_not_absolute() -> None:
    assert wire.result_url(job("relative_url")) == "/assets/generated/image/f1.png"
    assert wire.result_url(job("data_url")).startswith("data:image/png;base64,")


async def test_a_project_names_its_file_unless_it_is_to_say_nothing() -> None:
    assert wire.data_of(job(project_id="p1"), is_ready=False) == {"file_id": "f1"}
    assert wire.data_of(job("create_project", project_id="p1"), is_ready=False) is None
    assert wire.project_read(job(project_id="p1"), None)["data"] == []


def test_a_frame_is_a_line_of_data_with_crlf() -> None:
    assert wire.frame(b"{}") == b"data: {}\r\n\r\n"
    assert wire.frame(b"{}", id_="7", retry_ms=50) == b"id: 7\r\nretry: 50\r\ndata: {}\r\n\r\n"
    assert orjson.loads(wire.message("task", {"a": 1})) == {"type": "task", "object": {"a": 1}}
    assert wire.ping().startswith(b": ping - ")
    assert wire.ping().endswith(b"+00:00\r\n\r\n")


def test_the_picture_is_a_real_png_and_the_same_for_the_same_id() -> None:
    body, content_type = render_asset("f1", "image")
    assert content_type == "image/png"
    assert body.startswith(b"\x89PNG\r\n\x1a\n")
    assert render_asset("f1", "image") == (body, content_type)
    assert render_asset("f2", "image")[0] != body
    chunks, at = [], 8
    while at < len(body):
        (length,) = struct.unpack(">I", body[at : at + 4])
        name, data = body[at + 4 : at + 8], body[at + 8 : at + 8 + length]
        assert zlib.crc32(name + data) == struct.unpack(">I", body[at + 8 + length : at + 12 + length])[0]
        chunks.append((name, data))
        at += 12 + length
    assert [name for name, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack(">II", chunks[0][1][:8])
    assert len(zlib.decompress(chunks[1][1])) == height * (1 + 3 * width)


def test_a_video_has_the_head_of_an_mp4() -> None:
    body, content_type = render_asset("f1", "video")
    assert content_type == "video/mp4"
    assert body[4:8] == b"ftyp"


def test_ids_are_uuids_of_version_four() -> None:
    id_ = new_id(random.Random(1))
    assert (len(id_), id_[14], id_[19] in "89ab") == (36, "4", True)


def test_the_page_of_models_is_typed() -> None:
    page = list_generation_configs(SimulatorConfig())
    types = {item["name"]: (item["type"], item["source"]) for item in page["items"]}
    assert types["comfyui/flux"] == ("text_to_image", "local")
    assert types["azure-openai/sora"] == ("text_to_video", "azure_openai_sora")
    assert types["comfyui/ltx"] == ("image_to_video", "local")
    assert page["total"] == len(page["items"])
