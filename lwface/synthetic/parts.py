"""What a head wears and stands on: ears, hair, cap, hood, mask, glasses, shoulders, a hand, in millimetres.

Every part is a grid of vertices (R, C, 3), so that normals and triangles come from the same functions as the head's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic import kernel
from lwface.synthetic.appearance import Appearance, HairCut
from lwface.synthetic.arithmetic import cos, exp, power, sin
from lwface.synthetic.filters import gaussian
from lwface.synthetic.head import COLUMNS, MOUTH_ROW, hermite, smoothstep, template

Floats = NDArray[Any]  # float32 unless said otherwise

EAR_ROWS, EAR_COLUMNS = 15, 13
HAIR_COLUMNS = slice(0, COLUMNS, 2)
HAIR_HEAD_ROWS = np.r_[0:34:2, 35 : MOUTH_ROW - 16 : 3]  # down to the height of the nose
HAIR_FALL_ROWS = 12
_DROP = np.linspace(0, 1, HAIR_FALL_ROWS + 1, dtype=np.float32)[1:, None]

# Lower edge of the hair in mm at these azimuths (degrees), by style; the last entries are the nape. -1 is "length".
EDGE_DEGREES = (0, 25, 42, 56, 66, 78, 92, 112, 135, 180)
LENGTH = -1000.0
HAIR_EDGES: dict[str, tuple[float, ...]] = {
    "buzz": (62, 61, 54, 34, 8, -14, 22, -10, -44, -46),
    "short": (60, 59, 52, 34, 10, -12, 20, -12, -46, -50),
    "side part": (58, 58, 52, 36, 12, -10, 16, -14, -48, -54),
    "receding": (66, 82, 78, 48, 16, -12, 22, -12, -44, -48),
    "bowl": (25, 24, 22, 20, 4, -16, -22, -38, -58, -62),
    "bob": (60, 58, 50, 30, LENGTH, LENGTH, LENGTH, LENGTH, LENGTH, LENGTH),
    "long": (60, 58, 50, 30, LENGTH, LENGTH, LENGTH, LENGTH, LENGTH, LENGTH),
    "long fringe": (24, 23, 22, 20, LENGTH, LENGTH, LENGTH, LENGTH, LENGTH, LENGTH),
    "curly": (52, 50, 46, 32, 8, -20, -22, -45, -60, -62),
    "afro": (58, 56, 48, 32, 8, -12, 4, -22, -50, -52),
    "bun": (62, 61, 55, 40, 20, 0, 14, 2, -26, -40),
}
# Thickness in mm on top, at the sides, irregularity, and how curled the strands look.
HAIR_SHAPES: dict[str, tuple[float, float, float, float]] = {
    "buzz": (3, 2, 0.2, 0.0),
    "short": (13, 5, 1.5, 0.1),
    "side part": (19, 7, 2.0, 0.05),
    "receding": (6, 4, 1.0, 0.1),
    "bowl": (14, 11, 1.2, 0.0),
    "bob": (14, 13, 1.5, 0.05),
    "long": (13, 11, 2.0, 0.1),
    "long fringe": (14, 12, 1.5, 0.0),
    "curly": (24, 18, 6.0, 0.8),
    "afro": (46, 38, 5.0, 1.0),
    "bun": (7, 5, 0.8, 0.0),
}


@lru_cache(maxsize=1)
def _ear_template() -> tuple[Floats, Floats]:
    """A right-hand ear as a relief (EAR_ROWS, EAR_COLUMNS, 3), x back, y up, z out, and its occlusion."""
    v, u = np.mgrid[-1 : 1 : EAR_ROWS * 1j, -1 : 1 : EAR_COLUMNS * 1j]
    radius = np.maximum(np.abs(u), np.abs(v))
    length = np.sqrt(u * u + v * v)
    disc = np.stack((u, v)) * (radius / np.where(length > 0, length, 1))  # the square becomes a disc
    back, up = disc[0] * (17 - 4 * (disc[1] < 0) * -disc[1]), -disc[1] * 31
    rim = exp(-(((radius - 0.80) / 0.16) ** 2)) * smoothstep(-0.85, -0.2, disc[0] - 0.3 * disc[1])
    inner = exp(-(((radius - 0.42) / 0.14) ** 2)) * smoothstep(-0.1, 0.5, disc[0])
    concha = exp(-((disc[0] + 0.15) ** 2 + (disc[1] - 0.1) ** 2) / 0.10)
    out = 6 + 5.5 * rim + 3.0 * inner - 7.0 * concha - 9 * smoothstep(0.86, 1.0, radius)
    ambient = 1 - 0.62 * concha - 0.35 * exp(-(((radius - 0.62) / 0.10) ** 2)) * smoothstep(-0.3, 0.2, disc[0])
    return np.stack((back, up, out), axis=-1).astype(np.float32), np.clip(ambient, 0.2, 1).astype(np.float32)


@lru_cache(maxsize=64)
def _both_ears(size: float, degrees: float) -> tuple[list[tuple[Floats, int]], Floats]:
    """Both ears beside where they hang, each with the column of that, the image's left one first; their occlusion."""
    shape, ambient = _ear_template()
    columns = np.interp(np.radians((-97.0, 97.0)), template().angle, np.arange(COLUMNS)).tolist()
    sine, cosine = kernel.sin(degrees * np.pi / 180), kernel.cos(degrees * np.pi / 180)
    back, up, out = np.moveaxis(shape * np.float32(size), -1, 0)
    away = back + 13 * size  # the ear hangs by its front edge
    result = []
    for side, column in zip((-1, 1), columns, strict=True):
        sideways = away * sine + out * cosine - 3.5
        forward = -away * cosine + out * sine + 15
        ear = np.stack((side * sideways, up + 0.25 * away, forward), axis=-1)
        result.append((np.ascontiguousarray(ear if side > 0 else ear[:, ::-1]), round(column)))
    return result, ambient


def ears(head: Floats, size: float, degrees: float) -> tuple[list[Floats], Floats]:
    """Both ears (EAR_ROWS, EAR_COLUMNS, 3), the image's left one first, and their occlusion."""
    both, ambient = _both_ears(size, degrees)
    return [(ear + head[MOUTH_ROW - 22, column]).astype(np.float32) for ear, column in both], ambient


def edge_heights(edge: tuple[float, ...], length: float, shift: float) -> Floats:
    """Lower edge (columns,) of a shell in mm; ``shift`` moves the hairline at the forehead."""
    heights = np.array([length if value == LENGTH else value for value in edge], np.float64)
    heights[:4] += shift
    degrees = np.abs(np.degrees(template().angle[HAIR_COLUMNS]))
    return np.interp(degrees, EDGE_DEGREES, heights).astype(np.float32)


def hair_edge(look: Appearance, length: float, shift: float = 0.0) -> Floats:
    """Lower edge (columns,) in mm of a person's hair; long hair ends at ``length``, ``shift`` lowers the hairline."""
    edge = edge_heights(HAIR_EDGES[look.hair_style], length, look.hairline - shift)
    if look.hair_style in ("side part", "bob", "long"):
        angle = template().angle[HAIR_COLUMNS]
        swept = exp(-(((angle + 0.5 * np.sign(look.parting)) / 0.42) ** 2)) - 0.5 * exp(
            -(((angle - look.parting) / 0.2) ** 2)
        )
        edge = edge - np.float32(14) * swept.astype(np.float32)
    return edge if look.cut is None else edge + _cut_edge(look.cut)


def _cut_edge(cut: HairCut) -> Floats:
    """What a cut (columns,) adds to the lower edge of its style, in mm."""
    angle = template().angle[HAIR_COLUMNS]
    offsets = np.interp(np.abs(np.degrees(angle)), EDGE_DEGREES, cut.edge)
    tilt = cut.swept * sin(np.clip(angle * 1.8, -np.pi, np.pi)) * smoothstep(1.6, 0.9, np.abs(angle))
    return (offsets + tilt).astype(np.float32)


def hair_shape(look: Appearance) -> tuple[float, float, float, float]:
    """Thickness of a person's hair on top and at the sides in mm, its irregularity, and how curled strands look."""
    top, side, rough, curl = HAIR_SHAPES[look.hair_style]
    if look.cut is None:
        return top, side, rough, curl
    cut = look.cut
    return top * cut.top, side * cut.side, rough * cut.rough, min(max(curl + cut.curl, 0.0), 1.0)


def shell(
    head: Floats, edge: Floats, top: float, side: float, bumps: Floats | None, *, taper: float = 12.0
) -> tuple[Floats, Floats, Floats]:
    """A layer over the scalp that hangs down below the ears' height where its edge is lower.

    Args:
        head: (ROWS, COLUMNS, 3).
        edge: (columns,) height of the lower edge, from :func:`edge_heights`.
        top, side: thickness in mm.
        bumps: (R, C) irregularity in mm, or None.
        taper: mm above the edge over which the layer grows to its thickness.

    Returns:
        Vertices (R, C, 3); height above the edge (R, C) in mm, where it is negative there is no layer; and the
        length along the layer from the crown (R, C) in mm.
    """
    scalp = head[HAIR_HEAD_ROWS][:, HAIR_COLUMNS]
    upper, height = np.empty_like(scalp), np.empty(scalp.shape[:2], np.float32)
    rough = np.zeros((len(scalp), len(edge)), np.float32) if bumps is None else bumps
    _cover(scalp, edge, float(top), float(side), rough, float(taper), upper, height)
    # Below the ears' height the layer hangs: from the widest ring straight down, a little outwards.
    last = upper[-1]
    widest = upper[-8:, :, :].copy()
    reach = np.abs(widest[..., 0]).argmax(axis=0)
    column = np.arange(len(edge))
    x = np.where(np.abs(widest[reach, column, 0]) > np.abs(last[:, 0]), widest[reach, column, 0], last[:, 0])
    fall = np.empty((HAIR_FALL_ROWS, len(edge), 3), np.float32)
    depth = np.maximum(last[:, 1] - edge + 6, 8.0)[None] * _DROP
    fall[..., 0] = last[:, 0] + (x - last[:, 0]) * np.minimum(depth / 40, 1) + np.sign(last[:, 0]) * depth * 0.06
    fall[..., 1] = last[:, 1] - depth
    fall[..., 2] = last[:, 2] + depth * 0.05 * np.sign(last[:, 2] + 20)
    if bumps is not None:
        fall[..., 0] += bumps[len(scalp) :] * 0.6 * np.sign(last[:, 0])
    vertices = np.concatenate((upper, fall)).astype(np.float32)
    above = np.concatenate((height, fall[..., 1] - edge[None])).astype(np.float32)
    steps = np.sqrt((np.diff(vertices, axis=0) ** 2).sum(axis=-1))
    along = np.concatenate((np.zeros((1, len(edge)), np.float32), np.cumsum(steps, axis=0)))
    return vertices, above, along


@kernel.kernel
def _cover(
    scalp: Floats, edge: Floats, top: float, side: float, bumps: Floats, taper: float, upper: Floats, height: Floats
) -> None:
    """The part of a layer (R, C, 3) that lies on the scalp (R, C, 3), and its heights (R, C) above its edge (C,)."""
    for row in range(upper.shape[0]):
        for column in range(upper.shape[1]):
            x, y, z = (
                np.float64(scalp[row, column, 0]),
                np.float64(scalp[row, column, 1]),
                np.float64(scalp[row, column, 2]),
            )
            out = np.sqrt(x * x + (y - 10) * (y - 10) + (z + 12) * (z + 12))
            over = y - edge[column]
            thick = side + (top - side) * kernel.step(20.0, 75.0, y) + bumps[row, column]
            far = (1.5 + thick * (0.12 + 0.88 * kernel.step(-2.0, taper, over))) / out
            upper[row, column, 0] = x + x * far
            upper[row, column, 1] = y + (y - 10) * kernel.step(0.0, 60.0, y) * far
            upper[row, column, 2] = z + (z + 12) * far
            height[row, column] = over


def mask_shell(head: Floats) -> Floats:
    """A face mask: the lower face from the bridge of the nose to under the chin, puffed out and smoothed (R, C, 3)."""
    angle = template().angle
    low, high = np.searchsorted(angle, np.radians((-70, 70)))
    region = head[42 : MOUTH_ROW + 30, low : high + 1]
    smooth = cv2.blur(region, (9, 9), borderType=cv2.BORDER_REPLICATE)
    # The cloth spans from ridge to ridge: the highest surface near by, smoothed.
    z = cv2.dilate(np.ascontiguousarray(region[..., 2]), np.ones((13, 7), np.uint8))
    z = np.maximum(gaussian(z[..., None], 4.0)[..., 0], region[..., 2] + 1.0)
    return np.ascontiguousarray(np.stack((smooth[..., 0] * 1.03, smooth[..., 1], z), axis=-1))


def brim(edge_y: float, head: Floats) -> Floats:
    """The peak of a cap (5, 21, 3): half a disc in front of the forehead, slightly down and curved."""
    angle = np.radians(np.linspace(-62, 62, 21))
    t = np.linspace(0, 1, 5)[:, None]
    row = int(np.abs(head[:50, COLUMNS // 2, 1] - edge_y).argmin())
    z_front = head[row, COLUMNS // 2, 2] + 6
    sine, cosine = sin(angle)[None], cos(angle)[None]
    x = 72 * sine * (1 + 0.04 * t)
    z = z_front - 70 + 70 * cosine + t * 62 * cos(angle * 1.1)[None]
    y = edge_y + 5 - t * 12 - 11 * sine**2
    return np.stack((x + 0 * t, y, z), axis=-1).astype(np.float32)


def ball(centre: Floats, radius: float, rows: int = 9, columns: int = 13) -> Floats:
    """A ball (rows, columns, 3), such as a bun of hair."""
    theta = np.linspace(-np.pi, np.pi, columns)[None]
    phi = np.linspace(np.pi / 2, -np.pi / 2, rows)[:, None]
    level, side = cos(phi), sin(theta)
    unit = np.stack((level * side, sin(phi) + 0 * theta, level * cos(theta)), axis=-1)
    return (unit * radius + centre).astype(np.float32)


def _unit(vectors: NDArray) -> NDArray:
    """``vectors (N, 3)`` of length 1."""
    x, y, z = vectors.T
    return vectors / np.sqrt(x * x + y * y + z * z)[:, None]


def tube(points: NDArray, radii: NDArray, sides: int = 9) -> Floats:
    """A tube (K, sides, 3) around a line of points (K, 3), closed by small radii at its ends: a finger, an arm."""
    tangent = _unit(np.gradient(points, axis=0))
    helper = np.where(np.abs(tangent[:, 2:]) < 0.8, np.array((0.0, 0, 1)), np.array((1.0, 0, 0)))
    side = _unit(np.cross(tangent, helper))
    other = np.cross(side, tangent)
    angle = np.linspace(0, 2 * np.pi, sides)[None, :, None]
    ring = side[:, None] * cos(angle) + other[:, None] * sin(angle)
    return (points[:, None] + ring * radii[:, None, None]).astype(np.float32)


def hand(rng: np.random.Generator, target: Floats) -> list[Floats]:
    """A hand's tubes, four fingers, a thumb and the palm with the wrist, its fingertips near ``target`` (3,)."""
    side = rng.choice((-1.0, 1.0))
    lean = rng.uniform(-0.2, 0.9) * side
    up = np.array((-kernel.sin(lean), kernel.cos(lean), 0.0))
    right = np.array((up[1], -up[0], 0.0))
    spread, bend = rng.uniform(0.0, 0.14), rng.uniform(4, 16)
    wrist = np.asarray(target) - up * rng.uniform(95, 125) + np.array((0, 0, 24.0))
    t = np.linspace(0, 1, 9)
    ends = np.sqrt(np.clip(1 - power(np.abs(2 * t - 1), 8), 0.02, 1))
    parts = []
    for index, length in enumerate((68, 77, 72, 56)):
        direction = up + right * spread * (index - 1.5)
        start = wrist + up * 78 + right * (index - 1.5) * 19
        line = start + direction * (t * length)[:, None] - np.outer(bend * t**2, (0, 0, 1.0))
        parts.append(tube(line, (9.4 - 2.2 * t) * ends))
    line = wrist + up * 34 + right * side * -20 + (up * 0.75 - right * side * 0.65) * (t * 66)[:, None]
    parts.append(tube(line, (11.5 - 3 * t) * ends))
    palm = wrist - up * 120 + up * (t * 205)[:, None]
    width = np.interp(t, (0, 0.55, 0.7, 0.9, 1.0), (27, 27, 38, 42, 34)) * np.sqrt(
        np.clip(1 - power((t - 0.1).clip(0), 12), 0.02, 1)
    )
    body = tube(palm, width, 13)
    body[..., 2] = (body[..., 2] - palm[:, None, 2]) * 0.42 + palm[:, None, 2]
    parts.append(body)
    return parts


TORSO_ROWS, TORSO_COLUMNS = 20, 49
TORSO_LIFT = np.array((0, 22, 0), np.float32)  # mm the shoulders stand higher than their drawing


def torso(shoulders: float, build: float, *, high_collar: bool) -> Floats:
    """Shoulders and chest (TORSO_ROWS, TORSO_COLUMNS, 3), from the collar to the chest.

    The upper edge lies inside the neck, or outside it for a high collar.
    """
    w = shoulders
    table = np.array(
        [  # y, half width, z front, z back, exponent
            (-148, 51 if high_collar else 38, 20 if high_collar else 0, -84 if high_collar else -66, 2.0),
            (-176, 62 if high_collar else 54, 24 if high_collar else 14, -88, 2.0),
            (-192, 84, 30, -92, 2.0),
            (-206, 0.62 * w, 44, -98, 2.1),
            (-222, 0.86 * w, 56, -103, 2.3),
            (-248, w, 66, -108, 2.6),
            (-285, 1.05 * w, 80 * build, -112 * build, 2.7),
            (-340, 1.06 * w, 94 * build, -115 * build, 2.7),
            (-470, 1.03 * w, 98 * build, -115 * build, 2.7),
        ]
    )
    levels = np.linspace(0, 1, TORSO_ROWS)
    y, width, front, back, exponent = np.moveaxis(hermite(np.linspace(0, 1, len(table)), table, levels)[:, None], -1, 0)
    angle = np.linspace(-np.pi, np.pi, TORSO_COLUMNS)[None]
    sine, cosine = sin(angle), cos(angle)
    radius = 1 / power(power(np.abs(sine), exponent) + power(np.abs(cosine), exponent), 1 / exponent)
    x, z = width * radius * sine, radius * cosine
    middle = -32.0
    z = middle + np.where(z > 0, (front - middle) * z, (middle - back) * z)
    return np.stack((x, y + 0 * x, z), axis=-1).astype(np.float32)


GLASSES_SHAPES = ("round", "oval", "rectangle", "wayfarer", "aviator")


@lru_cache(maxsize=len(GLASSES_SHAPES))
def _outline(shape: str) -> tuple[NDArray, NDArray, NDArray]:
    """Positions x and y (33,) in mm of a rim from its middle, and the sine of where they are."""
    t = np.linspace(0, 2 * np.pi, 33)
    corners, wide, high = {
        "round": (1.0, 22.5, 21),
        "oval": (1.0, 25, 17),
        "rectangle": (0.45, 26, 16),
        "wayfarer": (0.6, 26, 19),
        "aviator": (0.8, 27, 22),
    }[shape]
    c, s = cos(t), sin(t)
    return wide * np.sign(c) * power(np.abs(c), corners), high * np.sign(s) * power(np.abs(s), corners), s


def glasses(head: Floats, eyes: Floats, shape: str, scale: float) -> tuple[list[Floats], list[Floats]]:
    """Rims (N, 3) of both lenses, and the bridge and the two temples as lines; ``eyes (2, 3)`` are on the skin."""
    rims, lines = [], []
    nose_z = float(head[:, COLUMNS // 2, 2][(head[:, COLUMNS // 2, 1] < 6) & (head[:, COLUMNS // 2, 1] > -8)].max())
    for side, eye in zip((-1, 1), eyes, strict=True):
        x, y, s = _outline(shape)
        x, y = x * scale, y * scale - 3
        if shape in ("wayfarer", "aviator"):
            x = x * (1 + 0.10 * s)
            y = y + (side * x) * (0.10 if shape == "wayfarer" else -0.06)
        z = np.maximum(eye[2] + 15, nose_z - 4) - 0.0045 * (x + side * 5) ** 2
        rims.append(np.stack((eye[0] + side * 2.5 + x, eye[1] + y, z + 0 * x), axis=1).astype(np.float32))
        outer = rims[-1][np.argmax(side * rims[-1][:, 0])]
        ear = np.array((side * (np.abs(head[45, :, 0]).max() + 4), outer[1] + 3, -14.0))
        lines.append(np.linspace(outer + np.array((0, 5, 0)), ear, 14).astype(np.float32))
    inner = [rims[0][np.argmax(rims[0][:, 0])], rims[1][np.argmin(rims[1][:, 0])]]
    u = np.linspace(0, 1, 9)[:, None]
    arch = inner[0] + (inner[1] - inner[0]) * u + np.array((0, 4.0, 5.0)) * sin(np.pi * u) + (0, 5, 0)
    return rims, [arch.astype(np.float32), *lines]
