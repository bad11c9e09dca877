"""What is to be known of a person's skin, eyes and hair, and the palettes that their colours are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # float32 unless said otherwise

# sRGB of skin from light to dark (Monk's scale, evened out), of hair and of irises.
SKIN_TONES = (
    np.array(
        [
            (247, 222, 205),
            (240, 205, 182),
            (228, 186, 156),
            (208, 160, 126),
            (178, 128, 95),
            (140, 95, 68),
            (104, 69, 50),
            (72, 48, 38),
        ],
        np.float32,
    )
    / 255
)
HAIR_COLOURS = (
    np.array(
        [
            (22, 18, 17),
            (38, 27, 22),
            (62, 42, 30),
            (92, 62, 42),
            (128, 90, 58),
            (176, 134, 84),
            (208, 176, 122),
            (140, 62, 34),
        ],
        np.float32,
    )
    / 255
)
EYE_COLOURS = (
    np.array(
        [(58, 34, 20), (84, 52, 28), (112, 80, 42), (96, 98, 58), (92, 118, 102), (92, 124, 156), (120, 132, 142)],
        np.float32,
    )
    / 255
)
HAIR_STYLES = (
    "bald",
    "buzz",
    "short",
    "side part",
    "receding",
    "bowl",
    "bob",
    "long",
    "long fringe",
    "curly",
    "afro",
    "bun",
)
BEARD_STYLES = ("none", "stubble", "moustache", "goatee", "full")


class BeardParts(NamedTuple):
    """How much hair there is where beards grow, 0 to 1 each."""

    stubble: float
    full: float
    goatee: float
    moustache: float


@dataclass(frozen=True, eq=False)
class HairCut:
    """What a person's hair differs in from the style that it is named after."""

    edge: Floats  # (10,) mm by which its lower edge is higher, at parts.EDGE_DEGREES
    swept: float  # mm by which the fringe lies lower on one side, which its sign says, and higher on the other
    top: float  # factor of its thickness on top
    side: float  # at the sides
    rough: float  # of its irregularity
    curl: float  # added to how curled strands look, 0 straight .. 1


@dataclass(frozen=True, eq=False)  # as a key of what is remembered, an object is itself
class Appearance:
    """Colours and details of a person's skin, eyes and hair. Colours are sRGB in 0..1; sizes are in mm."""

    age: float  # 0 young .. 1 old
    masculine: float  # -2 .. 2
    skin: Floats  # (3,)
    redness: float
    freckles: float
    moles: Floats  # (M, 3) canonical x, y and radius
    shadows_under_eyes: float
    wrinkles: float
    lips: Floats  # (3,) colour
    lip_height: Floats  # (2,) upper and lower vermilion
    iris: Floats  # (3,)
    iris_radius: float
    eye_height: Floats  # (2,) of the upper and the lower lid above and below the corner line
    eye_peak: float  # where along the eye the upper lid is highest, -1 inner .. 1 outer
    crease: float  # distance of the lid's fold from its edge; below 1 there is none to see
    lashes: float
    brow_height: float
    brow_arch: float
    brow_slope: float
    brow_thickness: float
    brow_density: float
    brow_length: float
    hair: Floats  # (3,)
    hair_style: str
    hair_volume: float
    hair_length: float
    hairline: float
    parting: float
    beard: str
    beard_density: float
    glasses: bool  # wears them as a rule
    ear_size: float
    ear_angle: float
    shoulders: float  # half width
    build: float  # 1 is average
    white: float = 1.0  # brightness of the eyes' white
    brow_gap: float = 13.0  # mm from the middle to where brows begin
    brow_tone: float = 0.75  # of the hair's colour
    beard_tone: float = 1.0
    beard_parts: BeardParts | None = None  # None: as ``beard`` says
    cut: HairCut | None = None  # None: as ``hair_style`` says


def between_tones(palette: Floats, at: float) -> Floats:
    """The colour (3,) at place ``at`` of a palette (N, 3), linear between its colours."""
    position = np.clip(at, 0, len(palette) - 1.001)
    low = int(position)
    return palette[low] + (palette[low + 1] - palette[low]) * np.float32(position - low)
