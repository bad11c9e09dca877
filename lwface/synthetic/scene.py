"""All that is in a picture, posed, cast to pixels and lit: the head, what it wears and stands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lwface.synthetic import cloth, glasses, parts, shading, skin
from lwface.synthetic.appearance import Appearance
from lwface.synthetic.arithmetic import tanh
from lwface.synthetic.complexion import weathered
from lwface.synthetic.grids import ShadowMap, mesh_faces, of_vertices, project
from lwface.synthetic.head import COLUMNS, ROWS, smoothstep, template
from lwface.synthetic.lighting import pattern
from lwface.synthetic.person import STREAM_TEXTURE, Person, generator
from lwface.synthetic.raster import ATTRIBUTES, NOTHING, Buffers, rasterise
from lwface.synthetic.shading import Shown
from lwface.synthetic.shot import Shot
from lwface.synthetic.texture import SIZE as TEXTURE_SIZE
from lwface.synthetic.texture import paint, smooth_noise, strokes

Floats = NDArray[Any]  # float32 unless said otherwise
GLOSS, WET = 0.05, 0.25  # of cloth and felt, of skin without a texture
OPAQUE = 0.97  # cover from which on nothing behind is seen


class Poses(Protocol):
    """Carries points to camera coordinates."""

    def __call__(self, points: Floats) -> Floats:
        """Points that follow the head above the neck and the body below it."""

    def rigid(self, points: Floats) -> Floats:
        """Points fixed to the head."""

    def upright(self, points: Floats) -> Floats:
        """Points fixed to the body."""


class Sees(glasses.Projects, Protocol):
    """A camera of known sharpness."""

    size: int
    pixels_a_mm: float
    place: Floats  # (6,) of :func:`lwface.synthetic.grids.project`


@dataclass
class Part:
    """A grid of vertices in camera coordinates with what its pixels need to know."""

    vertices: Floats  # (R, C, 3)
    material: str
    detail: Floats  # (R, C, 2) texture coordinates, or what the material reads there
    ambient: Floats | float = 1.0
    extra: Floats | None = None  # (R, C, 2) further attributes
    wrap: bool = False
    colour: Floats = field(default_factory=lambda: np.ones(3, np.float32))


@lru_cache(maxsize=48)
def skin_texture(who: Person) -> Floats:
    """The person's painted skin, remembered."""
    return weathered(paint(who), who, who.skin) if who.skin else paint(who)


@lru_cache(maxsize=48)
def hair_bumps(who: Person) -> Floats | None:
    """Irregularity (R, C) of the person's hair in mm."""
    if who.look.hair_style == "bald":
        return None
    rng = generator(who.seed, who.identity, 1, STREAM_TEXTURE)
    amount = parts.hair_shape(who.look)[2]
    rows = len(parts.HAIR_HEAD_ROWS) + parts.HAIR_FALL_ROWS
    noise = smooth_noise(rng, 64, 9 if amount < 4 else 18)[:rows, : (COLUMNS + 1) // 2].copy()
    seam = np.linspace(0, 1, 6, dtype=np.float32)
    noise[:, :6] = noise[:, -1:] * (1 - seam) + noise[:, :6] * seam
    return noise * np.float32(amount)


@lru_cache(maxsize=64)
def _torso(look: Appearance, high_collar: bool) -> tuple[Floats, Floats]:
    """Shoulders (R, C, 3) and their share of ambient light (R, C)."""
    torso = parts.torso(look.shoulders, look.build, high_collar=high_collar)
    return torso, cloth.ambient(torso)


@lru_cache(maxsize=1)
def _texels() -> Floats:
    """Texture coordinates (ROWS, COLUMNS, 2) of the head's vertices."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    steps = (TEXTURE_SIZE - 1) / (COLUMNS - 1), (TEXTURE_SIZE - 1) / (ROWS - 1)
    return np.stack((columns * steps[0], rows * steps[1]), axis=-1).astype(np.float32)


@lru_cache(maxsize=1)
def _places() -> Floats:
    """Positions x and y (ROWS, COLUMNS, 2) in mm of the head's vertices on the template."""
    return np.ascontiguousarray(template().vertices[..., :2])


class Scene:
    """All parts of one picture, drawn layer by layer: what is solid first, then hair and headgear with their edges.

    Args:
        window: (4,) left, top, right and bottom in the camera's pixels; what lies outside need not be drawn.
    """

    def __init__(
        self, who: Person, shot: Shot, head: Floats, pose: Poses, camera: Sees, window: Floats | None = None
    ) -> None:
        self.who, self.shot, self.head, self.pose, self.camera = who, shot, head, pose, camera
        self.window = window
        self.light = shading.light_of(shot)
        look = who.look
        posed = pose(head)
        torso, shade = _torso(look, shot.session.garment == "turtleneck")
        body = pose.upright(torso + parts.TORSO_LIFT)
        self.shadow = ShadowMap(shot.light, [posed, body])
        self.solid = [
            Part(posed, "skin", _texels(), template().occlusion, _places(), wrap=True),
            Part(body, "cloth", torso[..., :2], shade, wrap=True),
        ]
        self._add_ears()
        self._add_occluders()

    def _add_ears(self) -> None:
        look = self.who.look
        if look.hair_style in ("bob", "long", "long fringe") or self.shot.session.headgear in ("hood", "beanie"):
            return
        both, ambient = parts.ears(self.head, look.ear_size, look.ear_angle)
        for ear in both:
            flat = ambient if ear[0, 0, 0] > 0 else ambient[:, ::-1]
            tone = look.skin**2 * np.array((1.0, 0.80, 0.78), np.float32)
            self.solid.append(Part(self.pose.rigid(ear), "flesh", ear[..., :2], flat, colour=tone))

    def _add_occluders(self) -> None:
        shot, look = self.shot, self.who.look
        if shot.mask is not None:
            cover = parts.mask_shell(self.head)
            self.solid.append(Part(self.pose.rigid(cover), "mask", cover[..., :2], 1.0, colour=shot.mask[:3]))
        if shot.hand:
            rng = np.random.default_rng(shot.hand)
            for piece in parts.hand(rng, shot.hand_target):
                self.solid.append(
                    Part(self.pose.rigid(piece), "flesh", piece[..., :2], 0.95, colour=look.skin**2 * np.float32(0.97))
                )
        if look.hair_style == "bun" and not shot.session.headgear:
            bun = parts.ball(np.array((0, 92, -72), np.float32), 34 * look.hair_volume)
            self.solid.append(Part(self.pose.rigid(bun), "hair", bun[..., :2] * 2, 0.9))
        if shot.session.headgear == "cap":
            peak = parts.brim(52.0, self.head)
            self.solid.append(
                Part(self.pose.rigid(peak), "felt", peak[..., :2], 0.9, colour=shot.session.headgear_colour)
            )

    def _shells(self) -> list[Part]:
        """Layers with an edge: hair, then cap, beanie or hood. The first further attribute is the height above it."""
        look, wear = self.who.look, self.shot.session
        result = []
        if look.hair_style != "bald":
            top, side, _, _ = parts.hair_shape(look)
            low = {"bob": -70 - 50 * look.hair_length}.get(look.hair_style, -120 - 110 * look.hair_length)
            edge = parts.hair_edge(look, low, wear.hair_shift)
            volume = np.float32(look.hair_volume * wear.hair_volume * (0.35 if wear.headgear else 1.0))
            bumps = hair_bumps(self.who)
            vertices, above, along = parts.shell(self.head, edge, top * volume, side * volume, bumps)
            result.append(self._shell_part(vertices, above, along, "hair", look.hair))
        if wear.headgear:
            edges = {
                "cap": (54, 54, 52, 46, 40, 34, 30, 18, 10, 6),
                "beanie": (46, 46, 44, 38, 28, 10, -8, -18, -26, -30),
                "hood": (70, 66, 50, 10, -300, -300, -300, -300, -300, -300),
            }[wear.headgear]
            thick = {"cap": (13, 9), "beanie": (16, 12), "hood": (24, 22)}[wear.headgear]
            edge = parts.edge_heights(edges, 0, 0)
            vertices, above, along = parts.shell(self.head, edge, *thick, None, taper=2.0)
            result.append(self._shell_part(vertices, above, along, "felt", wear.headgear_colour))
        return result

    def _shell_part(self, vertices: Floats, above: Floats, along: Floats, material: str, colour: Floats) -> Part:
        look = self.who.look
        around = np.broadcast_to(template().angle[parts.HAIR_COLUMNS] * np.float32(80), along.shape)
        if look.hair_style in ("short", "side part", "receding", "bob", "long"):  # combed to the sides of a parting
            side = tanh((around[0] - 80 * look.parting) / 25)
            around = around - side * along * np.float32(0.55 if look.hair_style == "side part" else 0.3)
        ambient = 0.55 + 0.45 * smoothstep(-160, 0, vertices[..., 1])
        detail, extra = np.stack((along, around), axis=-1), np.stack((above, np.ones_like(above)), axis=-1)
        return Part(self.pose(vertices), material, detail, ambient, extra, wrap=True, colour=colour)

    def _cast(
        self, layers: list[Part], *, shell: bool = False, behind: Floats | None = None
    ) -> tuple[Buffers, Floats, list[int]]:
        """Several parts at once: what is seen, the attributes (V, 9) of vertices, where each part's triangles begin."""
        shapes = tuple((len(part.vertices), len(part.vertices[0])) for part in layers)
        faces, starts = mesh_faces(shapes)
        total, first = sum(rows * columns for rows, columns in shapes), 0
        screen, depth, values = (np.empty(shape, np.float32) for shape in ((total, 2), total, (total, ATTRIBUTES)))
        for part, (rows, columns) in zip(layers, shapes, strict=True):
            mine = slice(first, first + rows * columns)
            shadow = self.shadow if part.material in ("skin", "cloth", "flesh") else None
            of_vertices(
                *(part.vertices, part.wrap, part.detail, part.ambient, part.extra, shadow),
                values[mine].reshape(rows, columns, ATTRIBUTES),
            )
            project(part.vertices.reshape(-1, 3), self.camera.place, screen[mine], depth[mine])
            first += rows * columns
        level = values[:, 7] + np.float32(shading.STRAND_EDGE) if shell else None
        mesh = screen, depth, faces, self.camera.size
        seen = rasterise(*mesh, double_sided=shell, level=level, window=self.window, behind=behind)
        return seen, values, starts

    def draw(self, canvas: Floats) -> None:
        """Draw everything into ``canvas (size*size, 3)``, linear light."""
        solid, values, starts = self._cast(self.solid)
        depth, layers = solid.depth.copy(), []
        flat, found = depth.reshape(-1), solid.found.reshape(-1)
        for part in self._shells():
            seen, shell_values, (_, end) = self._cast([part], shell=True, behind=depth)
            shown = Shown.of(seen.hits(), shell_values)
            cover = np.clip(shown.at[7] / np.float32(1.2), 0, 1)
            if part.material == "hair":
                shading.strand_cover(shown.at, strokes(), cover)
            opaque = np.flatnonzero(seen.found != NOTHING)[cover > OPAQUE]
            found[opaque], flat[opaque] = NOTHING, seen.depth.reshape(-1)[opaque]
            layers.append((part, shown, end, cover))
        shown = Shown.of(solid.hits(), values)
        for part, first, end in zip(self.solid, starts[:-1], starts[1:], strict=True):
            self._surface(part, shown, first, end)
        self._pattern(shown)
        shading.draw(canvas, shown, None, self.light)
        for part, shown, end, cover in layers:
            self._surface(part, shown, 0, end)
            self._pattern(shown)
            shading.draw(canvas, shown, cover, self.light)
        if self.shot.session.glasses:
            whole = np.full((self.camera.size, self.camera.size), -np.inf, np.float32)
            whole[solid.top : solid.top + len(depth), solid.left : solid.left + depth.shape[1]] = depth
            self._draw_glasses(canvas, whole)

    def _pattern(self, shown: Shown) -> None:
        """Keep the key light from where what is before it does."""
        if self.shot.pattern:
            shown.at[6] *= pattern(self.shot.pattern, self.camera.size)[shown.pixel]

    def _surface(self, part: Part, shown: Shown, first: int, end: int) -> None:
        shot, look = self.shot, self.who.look
        if part.material == "skin":
            sharp = 1 / self.camera.pixels_a_mm
            skin.surface(shown, first, end, skin_texture(self.who), self.who, shot, sharp, self.head)
        elif part.material == "cloth":
            cloth.surface(shown, first, end, shot.session, look)
        elif part.material == "hair":
            tone = (look.hair**2 * np.float32(shot.session.hair_brightness)).astype(np.float32)
            amount, places = parts.hair_shape(look)[3], np.empty((4, len(shown.face)), np.float32)
            shading.curl(shown.at, amount, places)
            mine = shown.face, first, end, shown.at, shown.surface
            shading.hair(*mine, places, tone, amount, strokes(), self.light)
        else:
            folded = shot.mask is not None and part.material == "mask" and bool(shot.mask[3])
            ribbed = part.material == "felt" and shot.session.headgear == "beanie"
            pattern = shading.FOLDED if folded else shading.RIBBED if ribbed else shading.FLAT
            flesh = part.material == "flesh"
            colour = np.asarray(part.colour, np.float32)
            mine = shown.face, first, end, shown.at, shown.surface
            shading.plain(*mine, colour, pattern, WET if flesh else GLOSS, float(flesh))

    def _draw_glasses(self, canvas: Floats, depth: Floats) -> None:
        sockets = self.head[34, [33, 63]]
        rims, lines = parts.glasses(self.head, sockets, self.shot.session.glasses, 1.0)
        rims, lines = [self.pose.rigid(rim) for rim in rims], [self.pose.rigid(line) for line in lines]
        glasses.draw_glasses(canvas, depth, self.camera, rims, lines, self.shot)
