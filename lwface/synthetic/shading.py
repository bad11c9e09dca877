"""Light and materials: skin, mouth, hair, cloth, glasses. All colours are linear light in 0..1."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.head import COLUMNS, MOUTH_HALF_WIDTH, MOUTH_ROW, ROWS, smoothstep, turned
from lwface.synthetic.shot import Session, Shot
from lwface.synthetic.texture import SIZE as TEXTURE_SIZE
from lwface.synthetic.texture import lookup, stroke_noise

Floats = NDArray[Any]  # float32 unless said otherwise
# Where the columns of the attributes of a pixel are; see Scene.
NORMAL, DETAIL, AMBIENT, LIT, EXTRA = slice(0, 3), slice(3, 5), 5, 6, slice(7, 9)


class Projects(Protocol):
    """A camera."""

    size: int

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Pixels and depth of points."""


class ShadowMap:
    """Which points the key light reaches: the nearest surface to the light in each cell of a coarse map.

    Surfaces are represented by their vertices, so a shadow is soft and about a cell wide.
    """

    CELL, CELLS = 6.0, 72  # mm, cells a side

    def __init__(self, light: Floats, surfaces: list[Floats]) -> None:
        forward = light / np.linalg.norm(light)
        right = np.cross((0.0, 1.0, 0.0), forward)
        right /= max(float(np.linalg.norm(right)), 1e-6)
        self._axes = np.stack((right, np.cross(forward, right), forward)).astype(np.float32)
        points = np.concatenate([surface.reshape(-1, 3) for surface in surfaces])
        at, depth = self._locate(points)
        nearest = np.full(self.CELLS**2, -1e3, np.float32)
        np.maximum.at(nearest, at, depth)
        self._nearest = cv2.dilate(nearest.reshape(self.CELLS, self.CELLS), np.ones((2, 2), np.uint8)).ravel()

    def _locate(self, points: Floats) -> tuple[NDArray[np.intp], Floats]:
        local = turned(points, self._axes)
        cell = np.clip(np.rint(local[:, :2] / self.CELL + self.CELLS / 2), 0, self.CELLS - 1).astype(np.intp)
        return cell[:, 1] * self.CELLS + cell[:, 0], local[:, 2]

    def __call__(self, points: Floats, normals: Floats, shape: tuple[int, int]) -> Floats:
        """1 where the light reaches, 0 in shadow (N,), smoothed over the part's grid ``shape``."""
        at, depth = self._locate(points + normals * np.float32(2.0))
        lit = smoothstep(26, 11, self._nearest[at] - depth).astype(np.float32)
        return cv2.blur(lit.reshape(shape), (3, 3), borderType=cv2.BORDER_REPLICATE).ravel()


def light(
    albedo: Floats, normal: Floats, ambient: Floats, lit: Floats, gloss: Floats | np.float32, shot: Shot, *, soft: bool
) -> Floats:
    """Colour (P, 3) of a lit surface: wrapped Lambert key and rim lights, sky and ground, a Blinn highlight.

    ``soft`` lets light bleed round the terminator, red the furthest, as under skin.
    """
    x, y, z = normal
    scale = 1 / np.sqrt(np.maximum(x * x + y * y + z * z, np.float32(1e-8)))
    lx, ly, lz = (float(v) for v in shot.light)
    facing = (x * lx + y * ly + z * lz) * scale
    visible = lit * np.float32(shot.shadow)
    visible += np.float32(1 - shot.shadow)
    up = y * scale * np.float32(0.5) + np.float32(0.5)
    half = shot.light + np.array((0, 0, 1), np.float32)
    hx, hy, hz = (float(v) for v in half / np.linalg.norm(half))
    shine = np.maximum((x * hx + y * hy + z * hz) * scale, 0)
    shine *= shine
    shine *= shine
    shine = shine * shine * shine * (np.float32(0.06) + np.float32(0.22) * shine * shine) * gloss * visible
    shine *= facing > -0.1
    side = np.maximum(x * scale * (shot.rim[0] * np.float32(0.9)) - z * scale * np.float32(0.35), 0)
    result = np.empty((len(x), 3), np.float32)
    for channel, wrap in enumerate((0.30, 0.16, 0.11) if soft else (0.1, 0.1, 0.1)):
        total = np.maximum(facing + np.float32(wrap), 0)
        total *= visible
        total *= shot.key[channel] / np.float32(1 + wrap)
        around = up * (shot.sky[channel] - shot.ground[channel])
        around += shot.ground[channel]
        around *= ambient
        total += around
        if shot.rim[1 + channel] > 0:
            total += side * shot.rim[1 + channel]
        total *= albedo[:, channel]
        total += shine * shot.key[channel]
        result[:, channel] = total
    return result


def skin(texture: Floats, at: Floats, shot: Shot) -> tuple[Floats, Floats]:
    """Colour (P, 3) and gloss (P,) of the skin from its texture, with this session's lipstick."""
    value = lookup(texture, at[3], at[4])
    albedo, gloss = np.ascontiguousarray(value[:, :3]), np.ascontiguousarray(value[:, 3])
    tint = shot.session.lip_tint
    if tint[3] > 0:
        red = np.clip((gloss - 0.36) / 0.1, 0, 1) * (np.abs(at[7]) < 26) * (at[8] < -56) * (at[8] > -84)
        weight = (red * tint[3])[:, None]
        albedo += (tint[:3] * (0.6 + albedo.mean(axis=1, keepdims=True)) - albedo) * weight
    return albedo, gloss


def mouth(albedo: Floats, gloss: Floats, at: Floats, interior: NDArray[np.intp], head: Floats) -> None:
    """Teeth, tongue and dark between the lips: the pixels ``interior`` of the strip that opens, changed in place."""
    column = at[3][interior] * np.float32((COLUMNS - 1) / (TEXTURE_SIZE - 1))
    share = at[4][interior] * np.float32((ROWS - 1) / (TEXTURE_SIZE - 1)) - MOUTH_ROW
    gaps = np.sqrt(((head[MOUTH_ROW + 1] - head[MOUTH_ROW]) ** 2).sum(axis=-1))
    gap = np.interp(column, np.arange(COLUMNS), gaps)
    depth = (share * gap).astype(np.float32)  # mm under the upper lip
    x = at[7][interior]
    r = np.abs(x) / MOUTH_HALF_WIDTH
    edge = 6.5 - 3.0 * r**2 + 0.35 * np.cos(x * 2 * np.pi / 7.5)
    tooth = smoothstep(0.5, -0.5, depth - edge) * smoothstep(1.0, 0.7, r)
    bottom = (gap - depth).astype(np.float32)
    lower = smoothstep(0.5, -0.5, bottom - 3.2 + 3 * r**2) * smoothstep(0.85, 0.6, r) * (gap > 9) * 0.7
    lines = 1 - 0.30 * np.exp(-(((np.mod(x + 3.75, 7.5) - 3.75) / 0.45) ** 2))
    shade = (0.50 + 0.35 * smoothstep(0, 3, depth)) * lines * (1 - 0.55 * r**2)
    tongue = smoothstep(8, 2, bottom) * smoothstep(0.8, 0.3, r)
    inside = np.array((0.045, 0.014, 0.013), np.float32) + tongue[:, None] * np.array((0.20, 0.06, 0.06), np.float32)
    enamel = np.array((0.80, 0.76, 0.68), np.float32)
    inside += (enamel * shade[:, None] - inside) * tooth[:, None]
    inside += (enamel * 0.55 * shade[:, None] - inside) * lower[:, None]
    albedo[interior] = inside
    gloss[interior] = 0.3 * tooth


STRAND_EDGE = 9.0  # mm by which single strands reach over or fall short of the hair's edge


def strand_cover(at: Floats) -> Floats:
    """How much (P,) of a pixel of a hair layer is hair: strands that end at different heights."""
    noise = stroke_noise(at[3] * 2.0, at[4] * 4.5)
    return np.clip((at[7] - (noise - 0.5) * (2 * STRAND_EDGE)) / 5.0 + 0.35, 0, 1)


def hair(colour: Floats, at: Floats, shot: Shot, curl: float) -> Floats:
    """Colour (P, 3) of hair: strands of differing tone, a band of shine across them."""
    along, around = at[3], at[4]
    if curl > 0.3:
        wave = 7 * curl * np.sin(along * 0.35 + 2 * np.sin(around * 0.21))
        strands = stroke_noise(along * 2.2 + 9 * np.sin(around * 0.45), around * 3.0 + wave * 3)
    else:
        strands = stroke_noise(along * 1.3, around * 5.0 + 4 * np.sin(along * 0.05))
    fine = stroke_noise(along * 2.1 + 100, around * 9.0 + 37)
    tone = 0.38 + 0.85 * strands + 0.35 * fine
    thin = smoothstep(-4, 14, at[7]).astype(np.float32)
    normal = at[NORMAL]
    flip = np.where(normal[2] < -0.05, np.float32(-1), np.float32(1))  # the inside of hanging hair
    inner = np.where(flip < 0, np.float32(0.45), np.float32(1))
    albedo = colour * (tone * (0.8 + 0.2 * thin) * inner)[:, None]
    lit = light(
        albedo.astype(np.float32),
        normal * flip,
        at[AMBIENT] * (0.7 + 0.3 * strands),
        inner,
        np.float32(0.0),
        shot,
        soft=False,
    )
    half = shot.light + np.array((0, 0, 1), np.float32)
    half /= np.linalg.norm(half)
    hx, hy, hz = (float(v) for v in half)
    x, y, z = normal
    facing = (x * hx + y * hy + z * hz) / np.sqrt(np.maximum(x * x + y * y + z * z, np.float32(1e-8)))
    band = np.maximum(facing, 0) ** 10 * (strands**2) * (1 - curl) * inner
    return lit + band[:, None] * shot.key * (0.05 + 0.35 * colour)


def torso_ambient(torso: Floats) -> Floats:
    """Darker under the chin and behind."""
    y, z = torso[..., 1], torso[..., 2]
    return (0.55 + 0.45 * smoothstep(-165, -235, y) - 0.2 * smoothstep(0, -80, z)).astype(np.float32)


def cloth(x: Floats, y: Floats, wear: Session, skin_colour: Floats) -> Floats:
    """Colour (P, 3) of the shoulders at body coordinates ``x, y`` in mm: garment, pattern, collar and neckline."""
    size = np.float32(wear.pattern_size)
    first, second, under = wear.colours
    pattern = {
        "stripes": lambda: np.mod(y, size) < size * 0.45,
        "bars": lambda: np.mod(x + 500, size * 1.2) < size * 0.4,
        "check": lambda: (np.mod(x + 500, size) < size / 2) ^ (np.mod(y, size) < size / 2),
        "print": lambda: (x / 60) ** 2 + ((y + 300) / 36) ** 2 < 1,
    }.get(wear.pattern)
    albedo = np.broadcast_to(first, (len(x), 3)).copy()
    if pattern is not None:
        albedo[pattern()] = second
    a = np.abs(x)
    if wear.garment == "jacket":
        albedo = np.where((a < 62 - (-y - 190) * 0.38)[:, None], under * 0.9, first)
        lapel = np.exp(-(((a - 62 + (-y - 190) * 0.38) / 2.5) ** 2))
        albedo = albedo * (1 - 0.6 * lapel[:, None])
        if wear.pattern_size > 24:
            albedo = np.where(((a < 12) & (y < -196))[:, None], second, albedo)
    if wear.garment in ("shirt", "jacket"):
        collar = np.abs(a - 26 - (y + 196) * 0.9) < 15
        albedo = np.where(
            (collar & (y > -222) & (a < 58))[:, None], (under if wear.garment == "jacket" else first) * 1.15, albedo
        )
        line = np.exp(-((a / 1.2) ** 2)) * (y < -205) if wear.garment == "shirt" else np.zeros_like(a)
        albedo = albedo * (1 - 0.35 * line[:, None])
    if wear.garment == "hoodie":
        folds = np.exp(-(((np.hypot(x / 95, (y + 170) / 42) - 1.0) / 0.09) ** 2))
        albedo = albedo * (1 - 0.45 * folds[:, None])
        albedo = np.where(((np.abs(a - 22) < 2.2) & (y < -205) & (y > -285))[:, None], 0.8, albedo)
    neck = {
        "t-shirt": -186 + 0.0035 * x * x,
        "v-neck": -238 + 1.0 * a,
        "shirt": -206 + 0.8 * a,
        "jacket": -206 + 0.8 * a,
        "hoodie": -180 + 0.003 * x * x,
        "turtleneck": np.full_like(x, 0),
    }[wear.garment]
    trim = np.exp(-(((y - neck + 4) / 4) ** 2)) if wear.garment in ("t-shirt", "v-neck") else np.zeros_like(x)
    albedo = albedo * (1 - 0.25 * trim[:, None])
    bare = smoothstep(-0.8, 0.8, y - neck)[:, None]
    weave = 1 - 0.06 * np.cos(x * 1.9) * np.cos(y * 1.9)
    folds = 1 - 0.10 * np.sin(x * 0.045 + 0.02 * y + size) * smoothstep(-230, -300, y)
    return (albedo * (weave * folds)[:, None] * (1 - bare) + skin_colour * bare).astype(np.float32)


def draw_glasses(
    canvas: Floats, depth: Floats, camera: Projects, rims: list[Floats], lines: list[Floats], shot: Shot
) -> None:
    """Lenses and frame over the picture, where they are in front of what is there."""
    wear, size = shot.session, camera.size
    image, nearest = canvas.reshape(size, size, 3), depth.reshape(size, size)
    scale = camera.project(np.array(((0, 0, 90), (1, 0, 90)), np.float32))[0]
    pixels = max(1, round(wear.glasses_width * float(scale[1, 0] - scale[0, 0])))
    shadow, frame = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    for rim in rims:
        screen, z = camera.project(rim)
        outline = np.rint(screen * 16).astype(np.int32)
        lens = np.zeros((size, size), np.uint8)
        cv2.fillPoly(lens, [outline], 255, cv2.LINE_AA, 4)
        behind = nearest < float(z.mean()) + 12
        x0, y0 = np.floor(screen.min(axis=0)).astype(int).clip(0, size - 1)
        x1, y1 = np.ceil(screen.max(axis=0)).astype(int).clip(0, size - 1) + 1
        box = (slice(y0, y1), slice(x0, x1))
        cover = (lens[box] * behind[box])[..., None].astype(np.float32) / 255
        row = np.linspace(1, 0, y1 - y0, dtype=np.float32)[:, None, None]
        glare = cover * row * row * np.float32(0.10 if wear.sunglasses else 0.05) * shot.sky * (1 + shot.light[1])
        image[box] = image[box] * (1 - cover * np.float32(wear.lens_tint) * (0.8 + 0.2 * row)) + glare
        _visible_line(frame, shadow, nearest, screen, z, pixels)
    for line in lines:
        screen, z = camera.project(line)
        _visible_line(frame, shadow, nearest, screen, z, pixels)
    rows = np.flatnonzero(frame.any(axis=1))
    if not len(rows):
        return
    band = slice(rows[0], min(rows[-1] + 4, size))
    cast = cv2.blur(shadow[band], (3, 3))[..., None].astype(np.float32) / 255
    image[band] *= 1 - 0.28 * cast
    cover = frame[band][..., None].astype(np.float32) / 255
    gleam = wear.glasses_colour * (shot.key * 0.7 + shot.sky) + 0.02
    image[band] += (gleam - image[band]) * cover


def _visible_line(frame: NDArray, shadow: NDArray, nearest: Floats, screen: Floats, z: Floats, pixels: int) -> None:
    """Draw the segments of a line that are not hidden, and their shadow three pixels lower."""
    size = len(frame)
    at = np.rint(screen).astype(int).clip(0, size - 1)
    free = nearest[at[:, 1], at[:, 0]] < z + 4
    fixed = np.rint(screen * 16).astype(np.int32)
    runs = np.split(np.arange(len(free)), np.flatnonzero(np.diff(free.astype(np.int8))) + 1)
    visible = [fixed[run] for run in runs if free[run[0]] and len(run) > 1]
    cv2.polylines(frame, visible, False, 255, pixels, cv2.LINE_AA, 4)
    cv2.polylines(shadow, [run + np.array((0, 48)) for run in visible], False, 255, pixels, cv2.LINE_AA, 4)
