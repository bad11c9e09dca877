"""Draws a whole person into a small picture: round-ended limbs, cloth, hair and a face, the nearest last.

It is a cartoon in 2.5 dimensions: joints are placed in space, limbs are painted flat, in the order of their depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.body import Body, Colour, Outfit
from lwface.synthetic.skeleton import CROWN, LEFT_TOE, NECK, about_x, about_y

Pixels = NDArray[np.float32]  # (H, W, 3), 0 to 1
SHIFT = 4  # fractional bits of coordinates that OpenCV draws at
_CIRCLE = np.stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)], axis=1)
FACE_SEEN = -0.1  # cosine of the head's turn from the camera up to which a face is seen
MASK = 0.5  # grey of a face that is masked


class Viewpoint(NamedTuple):
    """Where the picture is taken from.

    Attributes:
        yaw: of the person against the camera, radians; 0: they face it. ``pitch``: from above.
        scale: pixels of a person's height. ``centre``: pixels of the point on the ground below the hips.
        light: from where, (x, y, z) against the picture; ``ambient``: share of the light that comes from everywhere.
    """

    yaw: float
    pitch: float
    scale: float
    centre: tuple[float, float]
    light: NDArray[np.float64]
    ambient: float

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (N, 3) in pixels, x, y, and their depth in pixels, which grows towards the camera."""
        seen = points @ (about_x(-self.pitch) @ about_y(self.yaw)).T * self.scale
        return np.stack([self.centre[0] + seen[:, 0], self.centre[1] - seen[:, 1], seen[:, 2]], axis=1)


class Stroke(NamedTuple):
    """Something to paint: the hull of circles.

    Attributes:
        depth: of its middle.
        centres: (K, 2) pixels. ``radii``: (K,).
        colour: of it.
        pattern: what is woven into it: kind, colour, period in pixels; None: nothing.
    """

    depth: float
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]
    colour: Colour
    pattern: tuple[str, Colour, float] | None = None


def paint(
    canvas: Pixels, body: Body, outfit: Outfit, joints: NDArray[np.float64], camera: Viewpoint, *, masked: bool = False
) -> None:
    """Draw a person into ``canvas``.

    Args:
        joints: (21, 3) of :func:`lwface.synthetic.skeleton.joints`.
        masked: a grey disc in place of the face.
    """
    places = camera.project(joints)
    for stroke in sorted(_trunk_and_limbs(body, outfit, places, camera), key=lambda one: one.depth):
        _draw(canvas, stroke, camera)
    _head(canvas, body, joints, places, camera, masked=masked)


def _trunk_and_limbs(body: Body, outfit: Outfit, places: NDArray[np.float64], camera: Viewpoint) -> list[Stroke]:
    limbs, unit = body.limbs, camera.scale
    girth, waist = 0.03 * limbs.girth * unit, 0.075 * limbs.waist * unit
    top, woven, bottom, shoes, under = outfit.colours
    pattern = None if outfit.pattern == "plain" else (outfit.pattern, woven, outfit.period * unit)
    strokes = []

    def limb(a: int, b: int, radii: tuple[float, float], colour: Colour, part: float = 1.0, more: float = 0.0) -> None:
        end = places[a] + part * (places[b] - places[a])
        centres = np.stack([places[a], end])
        strokes.append(Stroke(centres[:, 2].mean() + more, centres[:, :2], np.array(radii), colour))

    for side in (0, 1):
        shoulder, elbow, wrist, hip, knee, ankle = (joint + side for joint in (5, 7, 9, 11, 13, 15))
        sleeve = {"t-shirt": 0.55, "top without sleeves": 0.0}.get(outfit.top, 1.0)
        limb(shoulder, elbow, (girth, 0.85 * girth), body.skin)
        limb(elbow, wrist, (0.8 * girth, 0.6 * girth), top if sleeve == 1 else body.skin)
        limb(wrist, wrist, (0.75 * girth, 0.75 * girth), body.skin, more=0.01 * unit)
        if sleeve:
            limb(shoulder, elbow, (1.15 * girth, 1.0 * girth), top, sleeve, 0.005 * unit)
        covered = {"trousers": 2.0, "shorts": outfit.hem}.get(outfit.bottom, 0.0)
        thigh, calf = 1.65 * girth, 1.2 * girth
        limb(hip, knee, (thigh, calf), body.skin)
        limb(knee, ankle, (calf, 0.8 * girth), bottom if covered == 2 else body.skin)
        if covered:
            limb(hip, knee, (1.1 * thigh, 1.1 * calf), bottom, min(1.0, covered), 0.005 * unit)
        limb(ankle, LEFT_TOE + side, (0.9 * girth, 0.7 * girth), shoes, more=0.01 * unit)
    middle = float(places[[5, 6, 11, 12], 2].mean())
    shoulders, hips = places[[5, 6], :2], places[[11, 12], :2]
    belly = 0.45 * shoulders.mean(0) + 0.55 * hips.mean(0)
    centres = np.vstack([shoulders, belly, hips])
    radii = np.array([1.15 * girth, 1.15 * girth, waist, 0.85 * waist, 0.85 * waist])
    strokes.append(Stroke(middle, centres, radii, top, pattern))
    if outfit.top == "jacket" and np.cos(camera.yaw) > 0.2:
        front = np.vstack([0.55 * shoulders + 0.45 * shoulders[::-1], belly])
        narrow = 0.45 * girth * np.ones(3)
        strokes.append(Stroke(middle + 0.01 * unit, front, narrow, under))
    if outfit.bottom == "skirt":
        ends = places[[11, 12], :2] + outfit.hem * (places[[13, 14], :2] - places[[11, 12], :2])
        wide = np.array([0.9, 0.9, 1.0, 1.0]) * waist
        strokes.append(Stroke(middle + 0.004 * unit, np.vstack([hips, ends]), wide, bottom))
    neck = np.stack([places[NECK, :2], places[CROWN, :2]])
    strokes.append(Stroke(middle + 0.002 * unit, neck, np.array((1.0, 0.9)) * 0.038 * unit, body.skin))
    return strokes


def _head(
    canvas: Pixels,
    body: Body,
    joints: NDArray[np.float64],
    places: NDArray[np.float64],
    camera: Viewpoint,
    *,
    masked: bool,
) -> None:
    """Skull, hair, and the face where it is turned to the camera."""
    size = body.limbs.head * camera.scale
    middle = places[CROWN, :2]
    forward = camera.project(np.stack([joints[CROWN], joints[0]]))
    ahead = (forward[1] - forward[0]) / max(size, 1e-9)  # to the nose, in head half heights; [2] towards the camera
    facing = float(ahead[2]) / 0.95
    lift = _lower(middle, -0.1 * size)
    hair = body.hair if body.style != "bald" else body.skin
    volume = {"bald": 0.98, "crop": 1.02, "curls": 1.25}.get(body.style, 1.08) * (1 + 0.5 * (body.volume - 1))
    behind = middle - 0.35 * size * ahead[:2]
    falls = {"bob": 0.95, "long": 1.9}.get(body.style, 0.0) * body.length
    hanging = Stroke(0, np.stack([behind, _lower(behind, falls * size)]), np.array((0.85, 0.7)) * size, hair)
    if falls and facing > 0:
        _draw(canvas, hanging, camera)
    _draw(canvas, Stroke(0, _lower(middle, 0.15 * size)[None], np.array((0.8,)) * size, body.skin), camera)
    knot = Stroke(0, _lower(behind - 0.55 * size * ahead[:2], -0.5 * size)[None], np.array((0.42,)) * size, hair)
    if body.style == "bun" and facing > 0:
        _draw(canvas, knot, camera)
    _ellipse(canvas, lift - 0.1 * size * ahead[:2], (0.82 * volume * size, 0.92 * volume * size), hair, camera)
    if falls and facing <= 0:
        _draw(canvas, hanging, camera)
    if body.style == "bun" and facing <= 0:
        _draw(canvas, knot, camera)
    if facing > FACE_SEEN:
        _face(canvas, body, places, middle, ahead, size, camera, masked=masked)


def _face(
    canvas: Pixels,
    body: Body,
    places: NDArray[np.float64],
    middle: NDArray[np.float64],
    ahead: NDArray[np.float64],
    size: float,
    camera: Viewpoint,
    *,
    masked: bool,
) -> None:
    facing = float(np.clip(ahead[2] / 0.95, 0, 1))
    high = {"bald": 0.95, "receding": 0.88}.get(body.style, 0.78)
    centre = _lower(middle + 0.38 * size * ahead[:2], (0.98 - high) * size)
    axes = ((0.38 + 0.32 * facing) * size, high * size)
    if masked:
        _ellipse(canvas, centre, (1.08 * axes[0], 1.05 * axes[1]), np.full(3, MASK), camera, lit=False)
        return
    _ellipse(canvas, centre, axes, body.skin, camera)
    if body.beard:
        shade = body.beard * body.hair + (1 - body.beard) * body.skin
        _ellipse(canvas, _lower(centre, 0.45 * size), (0.85 * axes[0], 0.42 * size), shade, camera)
    for eye in (1, 2):
        if places[eye, 2] > places[CROWN, 2]:
            spot = places[eye, :2]
            _ellipse(canvas, _lower(spot, -0.2 * size), (0.2 * size, 0.06 * size), 0.7 * body.hair, camera)
            if body.glasses:
                _ellipse(canvas, spot, (0.24 * size, 0.2 * size), np.full(3, 0.12), camera)
            _ellipse(canvas, spot, (0.13 * size, 0.09 * size), body.iris, camera)
    _ellipse(canvas, places[0, :2], (0.09 * size, 0.12 * size), 0.86 * body.skin, camera)
    mouth = _lower(middle + 0.8 * size * ahead[:2], 0.5 * size)
    _ellipse(canvas, mouth, (0.25 * size * max(facing, 0.4), 0.08 * size), body.lips, camera)


def _lower(point: NDArray[np.float64], pixels: float) -> NDArray[np.float64]:
    """A point (2,) so many pixels further down."""
    return np.array((point[0], point[1] + pixels))


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points * (1 << SHIFT)).astype(np.int32)


def _lit(colour: Colour, side: float, camera: Viewpoint) -> tuple[float, float, float]:
    """A colour in the light, for a surface that looks ``side`` (-1 left, 1 right) in the picture."""
    falls = max(0.0, float(camera.light @ (side, 0.2, 0.9)))
    red, green, blue = np.clip(colour * (camera.ambient + (1 - camera.ambient) * falls), 0, 1).tolist()
    return red, green, blue


def _draw(canvas: Pixels, stroke: Stroke, camera: Viewpoint) -> None:
    outline = (stroke.centres[:, None] + stroke.radii[:, None, None] * _CIRCLE).reshape(-1, 2)
    side = float(np.clip((stroke.centres[:, 0].mean() - camera.centre[0]) / (0.15 * camera.scale), -1, 1))
    hull = cv2.convexHull(_fixed(outline))
    if stroke.pattern is None:
        cv2.fillConvexPoly(canvas, hull, _lit(stroke.colour, side, camera), cv2.LINE_AA, SHIFT)
        return
    cover = np.zeros(canvas.shape[:2], np.float32)
    cv2.fillConvexPoly(cover, hull, 1.0, cv2.LINE_AA, SHIFT)
    kind, woven, period = stroke.pattern
    cloth = _woven(canvas.shape[:2], stroke.centres.mean(0), kind, max(period, 2.5))
    plain, thread = (np.array(_lit(colour, side, camera), np.float32) for colour in (stroke.colour, woven))
    mixed = plain + cloth[..., None] * (thread - plain)
    canvas += cover[..., None] * (mixed - canvas)


def _woven(shape: Sequence[int], origin: NDArray[np.float64], kind: str, period: float) -> NDArray[np.float32]:
    """(H, W) where the second colour is: ``stripes`` go up and down, ``rings`` around, ``check`` both."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    down, across = (np.cos(2 * np.pi / period * at) for at in (rows - origin[1], columns - origin[0]))
    wave = {"stripes": across + 0 * down, "rings": down + 0 * across}.get(kind, np.maximum(down, across))
    return np.asarray(np.clip(0.5 + wave, 0, 1), np.float32)


def _ellipse(
    canvas: Pixels,
    centre: NDArray[np.float64],
    axes: tuple[float, float],
    colour: Colour,
    camera: Viewpoint,
    *,
    lit: bool = True,
) -> None:
    tone = _lit(colour, 0.0, camera) if lit else tuple(colour.tolist())
    x, y = _fixed(np.asarray(centre)).tolist()
    width, height = (max(1, round(axis * (1 << SHIFT))) for axis in axes)
    cv2.ellipse(canvas, (x, y), (width, height), 0, 0, 360, tone, -1, cv2.LINE_AA, SHIFT)
