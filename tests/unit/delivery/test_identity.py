"""The ids of a generation and of its spans."""

import random
import re
import uuid

import pytest

from monitor.delivery.identity import (
    first_generation_id,
    new_generation_id,
    new_span_id,
)

NOW_MS = 1_769_860_800_000


def test_a_generation_id_is_a_uuid_of_version_7_that_holds_its_instant() -> None:
    generation_id = new_generation_id(NOW_MS)
    parsed = uuid.UUID(generation_id)
    assert str(parsed) == generation_id
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert parsed.int >> 80 == NOW_MS


def test_generation_ids_order_by_time() -> None:
    ids = [new_generation_id(NOW_MS + later_ms) for later_ms in range(100)]
    assert ids == sorted(ids)


def test_generation_ids_of_one_millisecond_differ() -> None:
    assert len({new_generation_id(NOW_MS) for _ in range(1_000)}) == 1_000


def test_the_first_id_of_an_instant_parts_what_came_before_from_what_came_then() -> None:
    for at_ms in (0, 1, 65_535, 65_536, 1_769_860_800_123):
        first = first_generation_id(at_ms)
        assert first < new_generation_id(at_ms) < first_generation_id(at_ms + 1)


def test_an_instant_too_large_for_its_48_bits_does_not_break_the_shape() -> None:
    assert uuid.UUID(new_generation_id(1 << 50)).version == 7


def test_a_span_id_is_eight_bytes_in_hex() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", new_span_id())


def test_a_span_id_is_never_all_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "getrandbits", lambda _: 0)
    assert new_span_id() == "0000000000000001"
