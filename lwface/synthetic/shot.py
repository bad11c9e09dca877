"""What changes from picture to picture: pose, expression, light, camera, clothes, occlusion, image quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic import lighting
from lwface.synthetic.appearance import Appearance
from lwface.synthetic.head import template
from lwface.synthetic.kernel import cos, exp, sin
from lwface.synthetic.makeup import Makeup, chance, draw_makeup
from lwface.synthetic.optics import Lens, Sensor, draw_lens, draw_sensor
from lwface.synthetic.options import USUAL, Ranges
from lwface.synthetic.parts import GLASSES_SHAPES
from lwface.synthetic.person import (
    STREAM_COARSE,
    STREAM_LENS,
    STREAM_LIGHTS,
    STREAM_MAKEUP,
    STREAM_PLACE,
    STREAM_SENSOR,
    STREAM_SESSION,
    STREAM_SHOT,
    STREAM_WEB,
    Person,
    generator,
)
from lwface.synthetic.web import Web, draw_web

Floats = NDArray[Any]  # float32 unless said otherwise
Uniform = Callable[..., float]  # of its limits, 0 and 1 where none are given
Choice = TypeVar("Choice")

FRAME_SIZE = 192
YAW_LIMIT = 60.0
DISTANCES = 6.040254711277414, 7.863266724009574  # logarithms of 420 and 2600 mm
WIDE_SHARE = 0.25  # of shots whose yaw is drawn evenly up to the limit
SESSIONS = 6  # outings of a person: clothes and headgear are those of the session
GARMENTS = ("t-shirt", "v-neck", "shirt", "jacket", "hoodie", "turtleneck")
HAND_TARGETS = (  # mm, where a hand lies on the face
    (28, -78, 100),
    (0, -68, 112),
    (-30, -70, 100),
    (45, -40, 85),
    (-45, -40, 85),
    (30, 0, 100),
    (0, -105, 100),
)
PATTERNS = ("plain", "plain", "stripes", "bars", "check", "print")


@dataclass(frozen=True)
class Session:
    """One outing: what somebody has on. Nothing here depends on who it is but the glasses of their wearers."""

    garment: str
    pattern: str
    colours: Floats  # (3, 3) cloth, second cloth, shirt under a jacket; linear
    pattern_size: float  # mm
    headgear: str  # "", "cap", "beanie", "hood"
    headgear_colour: Floats  # (3,) linear
    glasses: str  # "" or a shape
    glasses_colour: Floats  # (3,) linear
    glasses_width: float  # mm of the rim's line
    sunglasses: bool
    lens_tint: float  # share of light a lens takes
    hair_volume: float
    hair_shift: float  # mm the hairline's edge lies lower
    lip_tint: Floats  # (4,) colour and coverage
    hair_brightness: float


@dataclass(frozen=True)
class Shot:
    """Everything of one picture that is not the person. Angles are degrees, lengths mm or, where said, pixels."""

    session: Session
    yaw: float  # the face turns to the image's right when positive
    pitch: float  # the face looks up when positive
    roll: float  # the head leans clockwise when positive
    torso_yaw: float
    expression: Floats  # (E,) strength of every movement of the template
    lids: Floats  # (2,) 1 open .. 0 closed, the image's left eye first
    gaze: Floats  # (2,) mm the irises are off centre
    light: Floats  # (3,) direction to the key light
    key: Floats  # (3,) its linear colour
    sky: Floats  # (3,) ambient from above
    ground: Floats  # (3,) ambient from below
    rim: Floats  # (4,) side of a second light (-1 or 1) and its colour
    shadow: float  # how dark cast shadows are
    scale: float  # pixels a mm at the head in a frame of FRAME_SIZE
    distance: float  # mm from the camera to the head
    centre: Floats  # (2,) where the eyes' middle would be in the frame, as a share of it
    background: tuple[int, float]  # seed and blur
    mask: Floats | None  # (4,) colour and kind of a face mask
    hand: int  # 0: none, else the seed of its pose
    hand_target: Floats  # (3,) mm on the head
    exposure: float
    balance: Floats  # (3,) white balance
    contrast: float
    blur: float  # pixels
    motion: Floats  # (2,) pixels
    noise: float  # grey levels
    detail: float  # share of the resolution that is kept
    quality: int  # JPEG
    grey: bool
    clutter: int = 0  # 0: the background is the usual one, else the seed of a cluttered one
    second: Floats | None = None  # (6,) direction to a second light and its linear colour
    pattern: int = 0  # 0: nothing is before the key light, else the seed of what it falls through
    web: Web | None = None  # what an old video on the web made of the picture
    lens: Lens | None = None  # None: a good one
    sensor: Sensor | None = None  # None: a good one
    makeup: Makeup | None = None  # that of the outing


def colour(rng: np.random.Generator) -> Floats:
    """A colour of cloth or paint, linear: often muted, sometimes bright."""
    u = uniform(rng)
    value, saturation, hue = u(0.06, 0.95), rng.beta(1.1, 2.0), u(0, 6)
    ramp = [min(max(abs((hue + start) % 6 - 3) - 1, 0), 1) for start in (0.0, 4.0, 2.0)]
    return np.array([(value * (1 - saturation + saturation * share)) ** 2 + 0.004 for share in ramp], np.float32)


def uniform(rng: np.random.Generator) -> Uniform:
    """``rng.uniform`` of a single number: the same one in a third of the time."""
    draw = rng.random

    def between(low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * draw()

    return between


def clipped(value: float, low: float, high: float) -> float:
    """``value`` between ``low`` and ``high``; NumPy's takes long for one number."""
    return min(max(float(value), low), high)


def pick(rng: np.random.Generator, choices: Sequence[Choice], shares: Sequence[float] | None = None) -> Choice:
    """One of ``choices``, the one that ``rng.choice`` draws from the same numbers, in a tenth of its time."""
    if shares is None:
        return choices[int(rng.integers(len(choices)))]
    reached = list(accumulate(shares))
    at = rng.random()
    return choices[sum(at >= end / reached[-1] for end in reached)]


def sample_session(person: Person, number: int, difficulty: float) -> Session:
    """Session ``number`` of ``person``."""
    return _session(person.seed, person.identity, person.look, number, difficulty)


@lru_cache(maxsize=8 * SESSIONS)
def _session(seed: int, identity: int, look: Appearance, number: int, difficulty: float) -> Session:
    rng = generator(seed, identity, number, STREAM_SESSION)
    u = uniform(rng)
    has_glasses = u() < (0.85 if look.glasses else 0.06 * difficulty)
    sunglasses = u() < 0.04 * difficulty
    shape = pick(rng, GLASSES_SHAPES) if not look.glasses else GLASSES_SHAPES[identity * 7 % 5]
    if look.glasses and u() < 0.3:
        shape = pick(rng, GLASSES_SHAPES)
    tint = pick(rng, (0.0, 0.0, 0.0, 0.1, 0.25))
    shares = [share * min(difficulty, 3) for share in (0.06, 0.05, 0.03)]
    headgear = pick(rng, ("", "cap", "beanie", "hood"), (1 - sum(shares), *shares))
    made_up = u() < (0.35 if look.masculine < 0 else 0.02)
    lip = np.array((u(0.35, 0.75), u(0.05, 0.3), u(0.08, 0.35), u(0.3, 0.8) if made_up else 0.0), np.float32)
    return Session(
        garment=pick(rng, GARMENTS),
        pattern=pick(rng, PATTERNS),
        colours=np.stack([colour(rng) for _ in range(3)]),
        pattern_size=u(8, 40),
        headgear=headgear,
        headgear_colour=colour(rng),
        glasses=shape if has_glasses or sunglasses else "",
        glasses_colour=colour(rng) * np.float32(0.5 if u() < 0.4 else 0.06),
        glasses_width=u(1.2, 4.2),
        sunglasses=sunglasses,
        lens_tint=u(0.75, 0.97) if sunglasses else float(tint),
        hair_volume=exp(0.16 * difficulty * rng.normal()),
        hair_shift=float(3.0 * difficulty * rng.normal()),
        lip_tint=lip,
        hair_brightness=exp(0.15 * difficulty * rng.normal()),
    )


def sample_expression(rng: np.random.Generator, difficulty: float) -> Floats:
    """Strengths (E,) of a face's movements: often near neutral, often a smile, sometimes speaking or surprised.

    A ``difficulty`` over 1 draws the same as 1.
    """
    names = {name: index for index, name in enumerate(template().expression_names)}
    e = np.zeros(len(names), np.float32)
    mood = pick(
        rng,
        ("neutral", "smile", "grin", "speak", "surprise", "stern", "sad", "grimace"),
        (0.26, 0.24, 0.14, 0.16, 0.06, 0.06, 0.04, 0.04),
    )
    u = uniform(rng)
    recipe: dict[str, dict[str, float]] = {
        "neutral": {"jaw": max(0.0, u(-0.15, 0.12))},
        "smile": {"smile": u(0.2, 0.9), "teeth": u(0, 0.5)},
        "grin": {"smile": u(0.6, 1.2), "teeth": u(0.6, 1.3), "jaw": u(0, 0.35), "brow raise": u(0, 0.5)},
        "speak": {"jaw": u(0.05, 0.6), "pucker": u(-0.2, 0.8), "teeth": u(0, 0.6)},
        "surprise": {"jaw": u(0.3, 1.0), "brow raise": u(0.5, 1.3)},
        "stern": {"brow knit": u(0.4, 1.2), "frown": u(0, 0.6)},
        "sad": {"frown": u(0.4, 1.0), "brow raise": u(0, 0.5), "brow knit": u(0, 0.6)},
        "grimace": {"puff": u(-0.3, 1.0), "skew": u(-1, 1), "pucker": u(0, 0.6)},
    }
    for name, value in recipe[mood].items():
        e[names[name]] = value
    e += 0.08 * rng.normal(size=len(e)).astype(np.float32)
    e[names["jaw"]] = max(0.0, float(e[names["jaw"]]))
    e[names["teeth"]] = max(0.0, float(e[names["teeth"]]))
    return e * np.float32(min(difficulty, 1.0))


COARSE = 24.0, 60.0  # pixels of the face in a coarse picture
FACE_MM = 200.0  # what is taken for a face's height


def sample_shot(
    person: Person,
    index: int,
    *,
    difficulty: float = 1.0,
    ranges: Ranges = USUAL,
    session: int | None = None,
) -> Shot:
    """Shot number ``index`` of ``person``; ``difficulty`` scales the range of everything that is not identity.

    Yaw is at most 60 degrees either way whatever the difficulty, and reaches that at any.
    """
    rng = generator(person.seed, person.identity, index, STREAM_SHOT)
    u, n, d = uniform(rng), rng.standard_normal, difficulty
    turn, shine, hide, lens = d * ranges.pose, d * ranges.light, d * ranges.covering, d * ranges.camera
    if session is None:
        session = int(rng.integers(SESSIONS))
    wear = sample_session(person, session, hide)
    spread = min(turn, 1.6)
    wide = u() < WIDE_SHARE * min(turn, 1)  # an easier set turns away less often, not less far
    yaw = clipped(u(-YAW_LIMIT, YAW_LIMIT) if wide else n() * 22 * spread, -YAW_LIMIT, YAW_LIMIT)
    pitch, roll = clipped(n() * 8 * spread, -28, 28), clipped(n() * 7 * spread, -32, 32)
    expression = sample_expression(rng, d * ranges.expression)
    lids = _lids(rng, u)
    light, key, sky, ground, rim = _lamps(rng, u, min(shine, 1.6))
    scale, blurred = u(0.44, 0.58), min(lens, 1.6)
    mask = _mask(rng, u, hide)
    with_hand = mask is None and u() < 0.05 * hide
    target = HAND_TARGETS[int(rng.integers(len(HAND_TARGETS)))]
    shot = Shot(
        session=wear,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        torso_yaw=float(yaw * u(0.2, 0.7) + n() * 9 * spread),
        expression=expression,
        lids=lids,
        gaze=np.clip(n(size=2) * (2.2, 1.0), (-5, -2), (5, 2)).astype(np.float32),
        light=light,
        key=key,
        sky=sky,
        ground=ground,
        rim=rim,
        shadow=u(0.3, 0.9),
        scale=scale,
        distance=exp(u(*DISTANCES)),
        centre=np.array((0.5 + 0.04 * n(), 0.43 + 0.03 * n()), np.float32),
        background=(int(rng.integers(1 << 31)), u(0.5, 6.0)),
        mask=mask,
        hand=int(rng.integers(1, 1 << 31)) if with_hand else 0,
        hand_target=np.array(target, np.float32),
        exposure=exp(0.18 * blurred * n()),
        balance=np.array([exp(v) for v in (0.05 * blurred * n(size=3)).tolist()], np.float32),
        contrast=exp(0.10 * blurred * n()),
        blur=max(0.0, float(u(-0.6, 1.1))) * blurred if u() < 0.8 else u(0.7, 1.5) * blurred,
        motion=(n(size=2) * (2.4 * blurred if u() < 0.12 else 0.0)).astype(np.float32),
        noise=float(rng.exponential(2.4)) * blurred,
        detail=_coarse(person, index, scale, ranges.coarse, u(0.3, 0.7) if u() < 0.15 * lens else 1.0),
        quality=int(rng.integers(max(12, int(70 - 35 * blurred)), 97)),
        grey=bool(u() < 0.03 * lens),
        clutter=_clutter(person, index, ranges.background),
        web=_web(person, index, scale, ranges.video),
        lens=_lens(person, index, ranges.lens),
        sensor=_sensor(person, index, ranges.sensor),
        makeup=_makeup(person, session, ranges.makeup),
    )
    if not ranges.lights:
        return shot
    lights = generator(person.seed, person.identity, index, STREAM_LIGHTS)
    return replace(shot, **lighting.changed(lights, ranges.lights, shot.exposure))


def _lids(rng: np.random.Generator, u: Uniform) -> Floats:
    """How far both eyes are open: a blink in 6 of 100 pictures, a wink in one."""
    blink = u()
    lids = np.full(2, u(0.75, 1.12), np.float32)
    if blink < 0.06:
        lids[:] = u(0, 0.3)
    elif blink < 0.07:
        lids[int(rng.integers(2))] = 0.0
    return lids


def _lamps(rng: np.random.Generator, u: Uniform, spread: float) -> tuple[Floats, ...]:
    """Where the key light is, and the colours of it, of sky, ground and, at times, a rim light: fields of a shot."""
    n = rng.standard_normal
    azimuth, height = n() * 55 * spread, u(-10, 70)
    a, h = clipped(azimuth, -120, 120) * (np.pi / 180), height * (np.pi / 180)
    sa, sh, ca, ch = sin(a), sin(h), cos(a), cos(h)
    light = np.array((sa * ch, sh, ca * ch), np.float32)
    warm = clipped(0.20 * spread * n(), -0.4, 0.4)
    key_share = u(0.35, 0.9)
    key = np.array((1 + warm, 1, 1 - warm), np.float32) * np.float32(0.95 * key_share)
    cool = clipped(0.15 * spread * n(), -0.3, 0.3)
    sky = np.array((1 - cool, 1, 1 + cool), np.float32) * np.float32(0.95 - 0.72 * key_share)
    ground = sky * np.float32(u(0.3, 0.8)) * np.array((1 + u(0, 0.2), 1, 1 - u(0, 0.2)), np.float32)
    rim_share = u(0.15, 0.7) if u() < 0.3 else 0.0
    rim = np.concatenate(((pick(rng, (-1.0, 1.0)),), colour(rng) * 0.5 + 0.3)).astype(np.float32)
    rim[1:] *= rim_share
    return light, key, sky, ground, rim


def _mask(rng: np.random.Generator, u: Uniform, hide: float) -> Floats | None:
    """Colour and kind (4,) of a face mask; None: no mask."""
    masked = u() < 0.045 * hide
    if u() < 0.4:
        shade = np.array((0.30, 0.55, 0.68), np.float32)
    else:
        shade = np.full(3, 0.85, np.float32) if u() < 0.4 else colour(rng)
    return np.concatenate((shade, (float(u() < 0.6),))).astype(np.float32) if masked else None


def _at_times(person: Person, index: int, stream: int, share: float) -> np.random.Generator | None:
    """The random numbers of what a ``share`` of pictures has, if picture ``index`` is one of them."""
    rng = generator(person.seed, person.identity, index, stream) if share else None
    return rng if rng and rng.uniform() < share else None


def _clutter(person: Person, index: int, share: float) -> int:
    """The seed of a cluttered background, as ``share`` of pictures have one; else 0."""
    rng = _at_times(person, index, STREAM_PLACE, share)
    return int(rng.integers(1, 1 << 31)) if rng else 0


def _web(person: Person, index: int, scale: float, share: float) -> Web | None:
    """What an old video made of a picture, as it does of ``share`` of them."""
    rng = _at_times(person, index, STREAM_WEB, share)
    return draw_web(rng, FACE_MM * scale) if rng else None


def _lens(person: Person, index: int, share: float) -> Lens | None:
    """A poor lens for ``share`` of pictures."""
    rng = _at_times(person, index, STREAM_LENS, share)
    return draw_lens(rng) if rng else None


def _sensor(person: Person, index: int, share: float) -> Sensor | None:
    """A poor sensor for ``share`` of pictures."""
    rng = _at_times(person, index, STREAM_SENSOR, share)
    return draw_sensor(rng) if rng else None


def _makeup(person: Person, session: int, share: float) -> Makeup | None:
    """The make-up of an outing, as ``share`` of all have one; nothing of it is a person's own."""
    rng = generator(person.seed, person.identity, session, STREAM_MAKEUP) if share else None
    man = person.look.masculine > 0
    return draw_makeup(rng, man=man) if rng and rng.random() < chance(share, man=man) else None


def _coarse(person: Person, index: int, scale: float, share: float, usual: float) -> float:
    """Share of the resolution that a picture keeps if it is a coarse one, as ``share`` of them are; else ``usual``."""
    if not share:
        return usual
    rng = generator(person.seed, person.identity, index, STREAM_COARSE)
    pixels = rng.uniform(*COARSE)
    return float(pixels / (FACE_MM * scale)) if rng.uniform() < share else usual
