"""Whole people for sequences: what stays of a person from outing to outing, and what an outing puts on.

A person is a build, a head of hair, a skin and a gait. An outing (a video) is clothes, light, place and camera. What
one draws never moves what another draws: each has its stream, named by seed, person and number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.appearance import HAIR_COLOURS, SKIN_TONES

STREAM_BODY, STREAM_OUTFIT, STREAM_OUTING, STREAM_SEQUENCE = range(20, 24)
HAIR_STYLES = ("bald", "crop", "receding", "short", "bob", "long", "bun", "curls")
TOPS = ("t-shirt", "long sleeves", "jacket", "top without sleeves")
BOTTOMS = ("trousers", "shorts", "skirt")
PATTERNS = ("plain", "plain", "stripes", "rings", "check")
# Standard deviation of the logarithm of a limb's length at a given height: anthropometric surveys of adults have 4 to 6
# per cent for the lengths of limbs and the breadths of shoulders and hips over stature.
LIMB_SPREAD, GIRTH_SPREAD = 0.05, 0.16
Colour = NDArray[np.float64]  # (3,) sRGB, 0 to 1


class Limbs(NamedTuple):
    """Lengths and girths of a person as parts of the height.

    Attributes:
        torso: hip to shoulder. ``thigh``, ``shin``, ``upper_arm``, ``forearm``: joint to joint.
        shoulders, hips: half of the distance of the two joints.
        neck: shoulders to the middle of the head.
        head: its half height.
        girth: radius of a limb over the usual; ``waist``: likewise of the trunk.
    """

    torso: float
    thigh: float
    shin: float
    upper_arm: float
    forearm: float
    shoulders: float
    hips: float
    neck: float
    head: float
    girth: float
    waist: float


USUAL = Limbs(0.29, 0.245, 0.245, 0.17, 0.15, 0.108, 0.062, 0.105, 0.075, 1.0, 1.0)


class Gait(NamedTuple):
    """How a person moves.

    Attributes:
        cadence: strides (two steps) a second.
        stride, arms: swing of thigh and upper arm, radians to either side.
        knee, elbow: how far they bend, radians.
        lean: of the trunk, forwards; ``sway``: of the trunk, sideways; ``bounce``: parts of the height.
        slouch: how far the head is held forwards, parts of the height.
        apart: of the arms from the trunk, radians.
    """

    cadence: float
    stride: float
    arms: float
    knee: float
    elbow: float
    lean: float
    sway: float
    bounce: float
    slouch: float
    apart: float


GAIT_MEANS = Gait(0.95, 0.42, 0.38, 0.75, 0.35, 0.04, 0.04, 0.012, 0.015, 0.12)
GAIT_SPREADS = Gait(0.10, 0.08, 0.14, 0.15, 0.16, 0.04, 0.02, 0.005, 0.012, 0.05)


class Body(NamedTuple):
    """A person.

    Attributes:
        limbs: lengths and girths.
        gait: how they move.
        skin, hair, lips, iris: colours.
        style: of :data:`HAIR_STYLES`.
        volume: of the hair, over the usual; ``length``: likewise.
        beard: share of it that is seen, 0: none; ``glasses``: whether they wear some, always.
    """

    limbs: Limbs
    gait: Gait
    skin: Colour
    hair: Colour
    lips: Colour
    iris: Colour
    style: str
    volume: float
    length: float
    beard: float
    glasses: bool


@dataclass(frozen=True, eq=False)
class Outfit:
    """Clothes.

    Attributes:
        top, bottom: of :data:`TOPS` and :data:`BOTTOMS`.
        pattern: of the top, of :data:`PATTERNS`.
        colours: (5, 3) of top, its pattern, bottom, shoes and what is under a jacket.
        period: of the pattern, parts of the height.
        hem: where shorts and skirts end, as a part of the leg from the hip.
    """

    top: str
    bottom: str
    pattern: str
    colours: NDArray[np.float64]
    period: float
    hem: float


def stream(*key: int) -> np.random.Generator:
    """The random numbers of ``key``."""
    return np.random.default_rng(key)


def blended(table: NDArray[Any], place: float) -> Colour:
    """The colour at ``place``, 0 to 1, along the rows of ``table`` (K, 3)."""
    at = place * (len(table) - 1)
    low = min(int(at), len(table) - 2)
    return np.asarray(table[low] + (at - low) * (table[low + 1] - table[low]), np.float64)


def draw_body(seed: int, person: int) -> Body:
    """Person number ``person``, a function of the arguments alone."""
    rng = stream(STREAM_BODY, seed, person)
    factors = np.exp(rng.normal(0, LIMB_SPREAD, len(USUAL)))
    legs = np.exp(rng.normal(0, LIMB_SPREAD / 2))  # both parts of a leg go together, and against the trunk
    factors[1:3] *= legs
    factors[0] /= legs
    factors[-2:] = np.exp(rng.normal(0, GIRTH_SPREAD, 2) + rng.normal(0, GIRTH_SPREAD / 2))
    limbs = Limbs(*(np.array(USUAL) * factors).tolist())
    gait = Gait(*np.maximum(np.array(GAIT_MEANS) + rng.normal(size=len(GAIT_MEANS)) * GAIT_SPREADS, -0.05).tolist())
    skin = np.clip(blended(SKIN_TONES, rng.random()) + rng.normal(0, 0.015, 3), 0, 1)
    hair = np.clip(blended(HAIR_COLOURS, rng.random()) + rng.normal(0, 0.02, 3), 0, 1)
    if rng.random() < 0.15:
        hair = np.full(3, rng.uniform(0.45, 0.85)) * (1, 0.99, 0.96)  # grey
    lips = np.clip(skin * (0.85, 0.6, 0.6) + rng.normal(0, 0.04, 3), 0, 1)
    iris = np.clip(rng.uniform(0.05, 0.5) * np.array((0.8, 0.9, 1.1)), 0, 1)
    style = HAIR_STYLES[rng.integers(len(HAIR_STYLES))]
    volume, length = np.exp(rng.normal(0, (0.10, 0.25)))
    bearded = style in HAIR_STYLES[:4] and rng.random() < 0.4
    beard = float(rng.uniform(0.4, 1)) if bearded else 0.0
    return Body(limbs, gait, skin, hair, lips, iris, style, float(volume), float(length), beard, rng.random() < 0.2)


def draw_outfit(seed: int, person: int, number: int) -> Outfit:
    """Outfit ``number`` of a person; clothes say nothing of who wears them but for being theirs."""
    rng = stream(STREAM_OUTFIT, seed, person, number)
    return Outfit(
        TOPS[rng.integers(len(TOPS))],
        BOTTOMS[rng.choice(len(BOTTOMS), p=(0.65, 0.15, 0.2))],
        PATTERNS[rng.integers(len(PATTERNS))],
        np.stack([_cloth(rng) for _ in range(5)]),
        float(rng.uniform(0.03, 0.07)),
        float(rng.uniform(0.3, 0.75)),
    )


def _cloth(rng: np.random.Generator) -> Colour:
    """Half of all clothes are dark, grey or white, the others have a colour."""
    value = rng.uniform(0.08, 0.95)
    if rng.random() < 0.45:
        return np.clip(np.full(3, value) + rng.normal(0, 0.02, 3), 0, 1)
    hue, saturation = rng.random() * 6, rng.uniform(0.3, 0.9)
    wheel = np.clip(np.abs((hue - np.array((0, 2, 4)) + 3) % 6 - 3) * -1 + 2, 0, 1)
    return np.asarray(value * (1 - saturation + saturation * wheel))
