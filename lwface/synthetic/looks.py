"""Faces that differ in more than the usual: brows, eyes, lips, hair, beard and age over wider ranges, each on its own.

What :mod:`lwface.synthetic.person` draws keeps to the middle of what there is, and much of it goes together. Here every
property is drawn again and evenly over what is seen on people, and a cut of hair has lines and volumes of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.appearance import (
    EYE_COLOURS,
    HAIR_COLOURS,
    HAIR_STYLES,
    Appearance,
    BeardParts,
    HairCut,
    between_tones,
)

Floats = NDArray[Any]  # float32 unless said otherwise
Draw = Callable[[float, float], float]
DARK = 0.45  # green of a skin under which eyes and hair are dark, mostly
BEARDS = (  # stubble, full, goatee, moustache: most, of which a share is drawn
    BeardParts(0.1, 0.0, 0.0, 0.0),
    BeardParts(1.0, 0.0, 0.0, 0.0),
    BeardParts(1.2, 0.2, 0.2, 0.3),
    BeardParts(0.4, 0.0, 0.0, 1.0),
    BeardParts(0.6, 0.0, 1.0, 0.9),
    BeardParts(0.3, 0.0, 1.0, 0.0),
    BeardParts(0.5, 0.7, 0.8, 0.9),
    BeardParts(0.2, 1.0, 1.0, 1.0),
    BeardParts(0.2, 1.0, 1.0, 0.1),
)
BEARD_SHARES = np.cumsum((0.34, 0.16, 0.10, 0.09, 0.08, 0.05, 0.08, 0.08, 0.02))


def wide(rng: np.random.Generator, amount: float) -> Draw:
    """What draws evenly from a range; an ``amount`` over 1 widens it, by a third at most."""

    def draw(low: float, high: float) -> float:
        reach = (high - low) / 2 * min(max(amount, 1.0), 4 / 3)
        return (low + high) / 2 + reach * (2 * float(rng.random()) - 1)

    return draw


def varied(look: Appearance, rng: np.random.Generator, amount: float) -> Appearance:
    """``look`` with all that is seen drawn anew, as far as ``amount`` says: 0 not at all, 1 all of it."""
    draw, share = wide(rng, amount), min(amount, 1.0)
    age = float(rng.beta(1.1, 1.3))
    drawn = {"age": age} | _brows(draw, look) | _eyes(draw, rng, look) | _lips(draw, look) | _marks(draw, rng, age)
    drawn |= _head(draw) | {"hair": _hair(rng, draw, look, age)}
    mixed: dict[str, Any] = {name: _between(getattr(look, name), value, share) for name, value in drawn.items()}
    mixed["cut"] = _cut(rng, draw, share)
    spots, style, beard = _moles(rng), _style(rng, look), _beard(rng, draw)
    if rng.random() < share:
        mixed |= {"moles": spots, "hair_style": style, "beard_parts": beard if look.masculine > 0 else None}
    return replace(look, **mixed)


def restyled(look: Appearance, rng: np.random.Generator) -> Appearance:
    """The same person at another time: other hair, and a man's beard another one; what is not hair stays."""
    draw = wide(rng, 1.0)
    changes: dict[str, Any] = {
        "hair_style": _style(rng, look),
        "cut": _cut(rng, draw, 0.8),
        "hair_volume": draw(0.55, 1.6),
        "hair_length": draw(0.0, 1.0),
        "hairline": look.hairline + draw(-3.0, 5.0),
        "parting": draw(0.15, 0.6) * (1 if rng.random() < 0.5 else -1),
    }
    colour, beard = _hair(rng, draw, look, look.age), _beard(rng, draw)
    if rng.random() < 0.35:
        changes["hair"] = colour
    if look.masculine > 0:
        changes["beard_parts"] = beard
    return replace(look, **changes)


def _between(usual: Any, drawn: Any, share: float) -> Any:
    value = usual + share * (drawn - usual)
    return value.astype(np.float32) if isinstance(value, np.ndarray) else float(value)


def _brows(draw: Draw, look: Appearance) -> dict[str, Any]:
    man = look.masculine
    return {
        "brow_height": draw(14.5, 22.5) - 0.8 * man,
        "brow_arch": draw(-1.5, 7.5) - 0.9 * man,
        "brow_slope": draw(-0.16, 0.17),
        "brow_thickness": max(1.1, draw(1.3, 5.6) + 0.5 * man),
        "brow_density": min(1.0, draw(0.35, 1.1)),
        "brow_length": draw(0.78, 1.2),
        "brow_gap": draw(8.5, 17.5),
        "brow_tone": draw(0.35, 1.3),
    }


def _eyes(draw: Draw, rng: np.random.Generator, look: Appearance) -> dict[str, Any]:
    light = float(look.skin[1]) > DARK and rng.random() < 0.55
    place = draw(2.0, 6.0) if light else draw(0.0, 1.6)
    return {
        "iris": between_tones(EYE_COLOURS, place) * np.float32(draw(0.45, 1.0)),
        "iris_radius": draw(5.3, 6.5),
        "eye_height": np.array((draw(3.4, 7.4), draw(2.2, 4.9)), np.float32),
        "eye_peak": draw(-0.6, 0.55),
        "crease": draw(-2.0, 5.2),
        "lashes": max(0.0, draw(0.0, 1.1) - 0.15 * look.masculine),
        "white": draw(0.55, 0.95),
        "shadows_under_eyes": max(0.0, draw(-0.2, 1.0)),
    }


def _lips(draw: Draw, look: Appearance) -> dict[str, Any]:
    """Lips from thin to full, from the skin's colour to a red, a brown or a purple of it."""
    pale = draw(0.5, 0.88)
    red = np.array((draw(0.78, 1.05), pale, pale * draw(0.94, 1.14)), np.float32)
    heights = np.array((draw(2.6, 9.0), draw(4.6, 12.5)), np.float32) - np.float32(0.4 * look.masculine)
    return {"lips": np.clip(look.skin * red + np.float32(draw(-0.02, 0.04)), 0.04, 1), "lip_height": heights}


def _marks(draw: Draw, rng: np.random.Generator, age: float) -> dict[str, Any]:
    freckled = rng.random() < 0.3
    return {
        "wrinkles": max(0.0, age - 0.2) * draw(0.3, 2.4),
        "freckles": max(0.0, draw(0.0, 1.5)) if freckled else 0.0,
        "redness": max(0.0, draw(0.0, 1.3)),
    }


def _head(draw: Draw) -> dict[str, Any]:
    """Ears, neck and what of the hair is a number already."""
    return {
        "ear_size": draw(0.74, 1.18),
        "ear_angle": draw(3.0, 42.0),
        "build": draw(0.82, 1.22),
        "hair_volume": draw(0.55, 1.6),
        "hair_length": draw(0.0, 1.0),
        "hairline": draw(-11.0, 13.0),
        "beard_density": draw(0.25, 1.0),
        "beard_tone": draw(0.55, 1.25),
    }


def _hair(rng: np.random.Generator, draw: Draw, look: Appearance, age: float) -> Floats:
    """A colour (3,), greyer with age."""
    light = float(look.skin[1]) > DARK and rng.random() < 0.62
    tone = between_tones(HAIR_COLOURS[:7], draw(1.0, 6.0) if light else draw(0.0, 2.2))
    if light and rng.random() < 0.12:
        tone = HAIR_COLOURS[7]
    grey = np.float32(np.clip((age - 0.52) * 2.4 + 0.25 * rng.standard_normal(), 0, 1))
    return np.clip((tone + (np.float32(draw(0.4, 0.85)) - tone) * grey) * np.float32(draw(0.8, 1.2)), 0.03, 1)


def _style(rng: np.random.Generator, look: Appearance) -> str:
    """Any style, those of the other sex half as often as one's own."""
    if rng.random() < 0.6:
        return look.hair_style
    return HAIR_STYLES[int(rng.integers(1, len(HAIR_STYLES)))]


def _cut(rng: np.random.Generator, draw: Draw, share: float) -> HairCut:
    """Lines of the hair that wander, higher temples or a peak in the middle, sides from shaved to full."""
    edge = 7 * rng.standard_normal(10)
    edge[1:3] += max(0.0, draw(-16.0, 20.0))  # temples
    edge[0] -= max(0.0, draw(-20.0, 9.0))  # a peak
    edge[4:6] += draw(-26.0, 20.0)  # the hair before the ears
    top, side, rough = (1 + share * (draw(*ends) - 1) for ends in ((0.4, 1.7), (0.25, 1.8), (0.3, 2.2)))
    swept, curl = share * draw(-15.0, 15.0), share * draw(-0.2, 0.6)
    return HairCut((share * edge).astype(np.float32), swept, top, side, rough, curl)


def _moles(rng: np.random.Generator) -> Floats:
    """Places and radii (M, 3) in mm, mostly of none or two."""
    count = min(int(rng.exponential(2.2)), 12)
    radius = 0.6 + rng.exponential(0.6, count)
    return np.stack(
        (rng.uniform(-58, 58, count), rng.uniform(-105, 55, count), np.minimum(radius, 3.2)), axis=1
    ).astype(np.float32)


def _beard(rng: np.random.Generator, draw: Draw) -> BeardParts:
    kind = BEARDS[min(int(np.searchsorted(BEARD_SHARES, rng.random())), len(BEARDS) - 1)]
    return BeardParts(*(part * min(1.0, max(0.0, draw(0.45, 1.1))) for part in kind))
