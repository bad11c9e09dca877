"""Who somebody is: everything about a person that stays from picture to picture, drawn from (seed, identity)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.appearance import (
    BEARD_STYLES,
    EYE_COLOURS,
    HAIR_COLOURS,
    HAIR_STYLES,
    SKIN_TONES,
    Appearance,
    between_tones,
)
from lwface.synthetic.form import form
from lwface.synthetic.head import blend, template
from lwface.synthetic.looks import restyled, varied
from lwface.synthetic.options import USUAL, Ranges

Floats = NDArray[Any]  # float32 unless said otherwise

# Streams of random numbers: what is drawn for one purpose never moves what is drawn for another.
STREAM_PERSON, STREAM_TEXTURE, STREAM_SESSION, STREAM_SHOT, STREAM_NOISE, STREAM_VIDEO, STREAM_COARSE = range(7)
STREAM_WEB, STREAM_PLACE, STREAM_FORM, STREAM_SKIN, STREAM_LOOKS, STREAM_LIGHTS, STREAM_STYLE = range(7, 14)
STREAM_LENS, STREAM_SENSOR, STREAM_MAKEUP, STREAM_TEETH = range(14, 18)  # 20 and up: lwface/synthetic/body.py

SHAPE_LIMIT = 2.1  # standard deviations; beyond, faces stop looking like people
SHAPE_SCALE = 0.8


def generator(seed: int, identity: int, index: int, stream: int) -> np.random.Generator:
    """The random numbers of one purpose: a function of its arguments alone, so order and workers do not matter."""
    return np.random.default_rng((seed, identity, index, stream))


@dataclass(frozen=True)
class Person:
    """A synthetic person: ``Person(seed, identity)`` is always the same one."""

    seed: int
    identity: int
    spread: float = 1.0  # how far heads are from the mean one, beside what is usual
    form: float = 0.0  # how much of what :mod:`lwface.synthetic.form` adds
    skin: float = 0.0  # how much of what :mod:`lwface.synthetic.complexion` adds
    looks: float = 0.0  # how much of what :mod:`lwface.synthetic.looks` draws
    other: bool = False  # at another time, with other hair
    teeth: float = 0.0  # how far teeth are from everybody's, of :mod:`lwface.synthetic.teeth`

    @cached_property
    def _latent(self) -> tuple[Floats, Appearance]:
        rng = generator(self.seed, self.identity, 0, STREAM_PERSON)
        names = template().identity_names
        shape = rng.normal(size=len(names))
        masculine, age = float(np.clip(rng.normal() * 1.0, -2, 2)), float(rng.beta(1.4, 2.0))
        weight = dict(zip(names, range(len(names)), strict=True))
        for name, amount in (
            ("jaw width", 0.4),
            ("jaw corner", 0.5),
            ("brow ridge", 0.5),
            ("chin length", 0.4),
            ("chin width", 0.4),
            ("nose width", 0.3),
            ("neck width", 0.7),
            ("forehead slope", 0.3),
            ("face length", 0.3),
            ("brow height", -0.4),
            ("upper lip", -0.3),
            ("lower lip", -0.3),
            ("eye opening", -0.3),
        ):
            shape[weight[name]] += amount * masculine
        shape = (np.clip(shape, -SHAPE_LIMIT, SHAPE_LIMIT) * (SHAPE_SCALE * self.spread)).astype(np.float32)
        look = _appearance(rng, masculine, age, self)
        if self.looks:
            look = varied(look, generator(self.seed, self.identity, 0, STREAM_LOOKS), self.looks)
        if self.other:
            look = restyled(look, generator(self.seed, self.identity, 0, STREAM_STYLE))
        return shape, look

    @property
    def shape(self) -> Floats:
        """Strength (K,) of every identity mode of the template, in standard deviations."""
        return self._latent[0]

    @property
    def look(self) -> Appearance:
        """Skin, eyes, hair and build."""
        return self._latent[1]

    @cached_property
    def vertices(self) -> Floats:
        """The neutral head (ROWS, COLUMNS, 3) in mm."""
        base = template()
        usual = base.vertices + blend(self.shape, base.identity_modes)
        if not self.form:
            return usual
        return usual + form(generator(self.seed, self.identity, 0, STREAM_FORM), self.form, self.spread)


@lru_cache(maxsize=64)
def person(seed: int, identity: int, ranges: Ranges = USUAL, *, other: bool = False) -> Person:
    """A person of these ranges, remembered, since texture and shape are costly next to one picture."""
    return Person(seed, identity, ranges.shape, ranges.form, ranges.skin, ranges.looks, other, ranges.teeth)


def person_of_picture(seed: int, identity: int, index: int, ranges: Ranges) -> Person:
    """The person as of picture or video ``index``: with other hair in a share ``ranges.restyle`` of them."""
    other = ranges.restyle > 0 and generator(seed, identity, index + 1, STREAM_STYLE).random() < ranges.restyle
    return person(seed, identity, ranges, other=bool(other))


def _appearance(rng: np.random.Generator, masculine: float, age: float, who: Person) -> Appearance:
    u, n = rng.uniform, rng.normal
    tone = u(0, len(SKIN_TONES) - 1)
    skin = between_tones(SKIN_TONES, tone) * (1 + 0.03 * n(size=3).astype(np.float32))
    dark = tone > 3.2
    hair = between_tones(HAIR_COLOURS[:3], u(0, 2)) if dark or u() < 0.35 else between_tones(HAIR_COLOURS[:7], u(1, 6))
    if not dark and u() < 0.08:
        hair = HAIR_COLOURS[7] * np.float32(u(0.8, 1.25))
    grey = np.clip((age - 0.5) * 2.2 + 0.25 * n(), 0, 1)
    hair = hair + (np.float32(u(0.5, 0.8)) - hair) * np.float32(grey)
    iris = (
        between_tones(EYE_COLOURS[:2], u(0, 1))
        if dark or u() < 0.35
        else between_tones(EYE_COLOURS, u(0.5, len(EYE_COLOURS) - 1))
    )
    man = masculine > 0
    man_styles = (0.10, 0.16, 0.28, 0.18, 0.10, 0.05, 0.01, 0.03, 0.0, 0.06, 0.03, 0.0)
    woman_styles = (0.0, 0.01, 0.08, 0.07, 0.0, 0.04, 0.17, 0.25, 0.14, 0.08, 0.04, 0.12)
    style = str(rng.choice(HAIR_STYLES, p=man_styles if man else woman_styles))
    if style == "bald" and age < 0.25:
        style = "buzz"
    beard = str(rng.choice(BEARD_STYLES, p=(0.42, 0.23, 0.08, 0.11, 0.16))) if man else "none"
    lips = skin * np.array((0.88, 0.62, 0.62), np.float32) * np.float32(u(0.85, 1.05)) + np.array(
        (0.08, 0.0, 0.01), np.float32
    ) * np.float32(u(0, 1))
    spots = int(rng.integers(0, 6))
    moles = np.stack((u(-58, 58, spots), u(-105, 55, spots), u(0.7, 1.7, spots)), axis=1).astype(np.float32)
    return Appearance(
        age=age,
        masculine=masculine,
        skin=np.clip(skin, 0.05, 0.98),
        redness=u(0.2, 1.0),
        freckles=max(0.0, n() - 0.7) if not dark else 0.0,
        moles=moles,
        shadows_under_eyes=u(0, 0.5) + 0.4 * age,
        wrinkles=max(0.0, age - 0.25) * u(0.6, 1.5),
        lips=np.clip(lips, 0.04, 1),
        lip_height=np.array((u(4.8, 8.2), u(7.0, 11.0)), np.float32) - np.float32(0.7) * np.float32(masculine > 0),
        iris=iris,
        iris_radius=u(5.5, 6.2),
        eye_height=np.array((u(4.4, 7.0), u(3.0, 4.8)), np.float32),
        eye_peak=u(-0.35, 0.3),
        crease=u(-0.5, 4.2),
        lashes=u(0.2, 0.6) + 0.35 * (not man),
        brow_height=u(16.5, 21.0),
        brow_arch=u(0.5, 5.5) - 0.8 * masculine,
        brow_slope=u(-0.08, 0.10),
        brow_thickness=max(1.8, u(2.2, 3.8) + 0.5 * masculine),
        brow_density=u(0.65, 1.0),
        brow_length=u(0.88, 1.12),
        hair=np.clip(hair, 0.03, 1),
        hair_style=style,
        hair_volume=u(0.75, 1.35),
        hair_length=u(0, 1),
        hairline=u(-7, 7),
        parting=float(rng.choice((-1, 1))) * u(0.15, 0.6),
        beard=beard,
        beard_density=u(0.5, 1.0),
        glasses=bool(u() < 0.25 + 0.2 * age),
        ear_size=u(0.84, 1.08),
        ear_angle=u(8, 32),
        shoulders=188 + 16 * masculine + 10 * n(),
        build=1 + 0.08 * n(),
    )
