"""Colours that are seen side by side stay apart, also to eyes that lack a kind of cone.

Seen colours by the matrices of Machado, Oliveira and Fernandes (2009) at full severity; distances by CIE76 in CIELAB.
"""

from enum import StrEnum
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from dashboards import colours
from monitor.delivery.facts import CallResult, Disconnect, EventType, StreamResult
from monitor.delivery.model import ChannelResult, Stage
from monitor.telemetry.catalog import Phase, Skip

Matrix = npt.NDArray[np.float64]

EYES: Final[dict[str, Matrix]] = {
    "all cones": np.eye(3),
    "no long cones": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "no middle cones": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "no short cones": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}
TO_XYZ: Final = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE: Final = np.array([0.9505, 1.0, 1.089])
DARK_GROUND: Final = "#181B1F"


def _light(colour: str) -> Matrix:
    """Linear red, green and blue."""
    shares = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear: Matrix = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return linear


def _lab(light: Matrix) -> Matrix:
    xyz = TO_XYZ @ np.clip(light, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _apart(one: str, other: str, eyes: Matrix) -> float:
    return float(np.linalg.norm(_lab(eyes @ _light(one)) - _lab(eyes @ _light(other))))


def _contrast(one: str, other: str) -> float:
    """By WCAG 2."""
    darker, lighter = sorted(float(TO_XYZ[1] @ _light(colour)) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("eyes", EYES)
def test_sse_and_polling_and_good_and_bad_stay_apart_to_all_eyes(eyes: str) -> None:
    for one, other in combinations(colours.CORE, 2):
        assert _apart(one, other, EYES[eyes]) > 20, (one, other)


def test_all_colours_stand_out_from_dark_ground() -> None:
    assert {colour for colour in (*colours.CORE, *colours.REST) if _contrast(colour, DARK_GROUND) < 2.5} == set()


@pytest.mark.parametrize("words", [CallResult, StreamResult, Disconnect, EventType, Stage, Phase, ChannelResult, Skip])
def test_words_of_one_legend_have_colours_of_their_own(words: type[StrEnum]) -> None:
    drawn = [colours.of_word(word) for word in words if word != ChannelResult.UNUSED]
    assert len(set(drawn)) == len(drawn)
