"""From a person and a shot to a picture: pose the meshes, cast them to pixels, light them, finish the frame.

Camera coordinates are millimetres, x to the image's right, y up and z towards the camera, the head's centre near the
origin. A head point p becomes ``Rz(roll) Rx(pitch) Ry(yaw) p``; the camera is a pinhole on the z axis. The frame is
drawn ``OVERSAMPLING`` times larger and reduced by areas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.formats.alignment import ARCFACE_TEMPLATE, CROP_SIZE, align, five_from_68, similarity_transform
from lwface.synthetic import augment, eyes, parts, shading
from lwface.synthetic.head import (
    COLUMNS,
    MOUTH_ROW,
    ROWS,
    blend,
    grid_faces,
    grid_normals,
    smoothstep,
    template,
    turned,
)
from lwface.synthetic.landmarks import landmark_points
from lwface.synthetic.person import STREAM_NOISE, STREAM_TEXTURE, Person, generator, person
from lwface.synthetic.raster import Hits, rasterise
from lwface.synthetic.shot import FRAME_SIZE, Shot, sample_shot
from lwface.synthetic.texture import SIZE as TEXTURE_SIZE
from lwface.synthetic.texture import paint, smooth_noise

Floats = NDArray[Any]  # float32 unless said otherwise
OVERSAMPLING = 1.5
JPEG_UNIT = 16  # pixels that are coded together, where colours have half the resolution


@dataclass(frozen=True)
class Picture:
    """One picture and what is known about it."""

    frame: NDArray[np.uint8]  # (S, S, 3) RGB, uncropped; right where the crop shows it, if no more was asked for
    crop: NDArray[np.uint8]  # (112, 112, 3) RGB, aligned
    landmarks5: Floats  # (5, 2) frame pixels: eyes, tip of the nose, corners of the mouth; the image's left first
    landmarks68: Floats  # (68, 2) frame pixels, iBUG order
    pose: tuple[float, float, float]  # yaw, pitch, roll in degrees
    identity: int
    shot: Shot


@dataclass
class Part:
    """A grid of vertices in camera coordinates with what its pixels need to know."""

    vertices: Floats  # (R, C, 3)
    material: str
    detail: Floats  # (R, C, 2) texture coordinates, or what the material reads there
    ambient: Floats | float = 1.0
    normals: Floats | None = None
    extra: Floats | None = None  # (R, C, 2) further attributes
    wrap: bool = False
    colour: Floats = field(default_factory=lambda: np.ones(3, np.float32))


@lru_cache(maxsize=48)
def skin_texture(who: Person) -> Floats:
    """The person's painted skin, remembered."""
    return paint(who)


@lru_cache(maxsize=48)
def hair_bumps(who: Person) -> Floats | None:
    """Irregularity (R, C) of the person's hair in mm."""
    style = who.look.hair_style
    if style == "bald":
        return None
    rng = generator(who.seed, who.identity, 1, STREAM_TEXTURE)
    amount = parts.HAIR_SHAPES[style][2]
    rows = len(parts.HAIR_HEAD_ROWS) + parts.HAIR_FALL_ROWS
    noise = smooth_noise(rng, 64, 9 if amount < 4 else 18)[:rows, : (COLUMNS + 1) // 2].copy()
    seam = np.linspace(0, 1, 6, dtype=np.float32)
    noise[:, :6] = noise[:, -1:] * (1 - seam) + noise[:, :6] * seam
    return noise * np.float32(amount)


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """The matrix (3, 3) that turns column vectors by yaw, then pitch, then roll (degrees; signs as in ``Shot``)."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(np.radians((yaw, pitch, roll))), np.sin(np.radians((yaw, pitch, roll)))
    turn = np.array(((cy, 0, sy), (0, 1, 0), (-sy, 0, cy)))
    nod = np.array(((1, 0, 0), (0, cp, sp), (0, -sp, cp)))
    lean = np.array(((cr, sr, 0), (-sr, cr, 0), (0, 0, 1)))
    return (lean @ nod @ turn).astype(np.float32)


class Pose:
    """Carries points of the head and of the body to camera coordinates; the neck bends between the two."""

    PIVOT = np.array((0, -95, -35), np.float32)  # the head turns about the top of the neck

    def __init__(self, shot: Shot) -> None:
        self.head = rotation(shot.yaw, shot.pitch, shot.roll)
        self.body = rotation(shot.torso_yaw, 0.15 * shot.pitch, 0.2 * shot.roll)

    def __call__(self, points: Floats) -> Floats:
        """Camera coordinates of ``points (..., 3)``, which follow the head above the neck and the body below it."""
        p = points - self.PIVOT
        share = smoothstep(-75, -8, p[..., 1])[..., None].astype(np.float32)
        moved = turned(p, self.body)
        return moved + (turned(p, self.head) - moved) * share + self.PIVOT

    def rigid(self, points: Floats) -> Floats:
        """Camera coordinates of ``points (..., 3)`` fixed to the head."""
        return turned(points - self.PIVOT, self.head) + self.PIVOT


class Camera:
    """A pinhole in front of the head; pixels of an image of ``size``."""

    def __init__(self, shot: Shot, size: int) -> None:
        self.size, self.distance = size, shot.distance
        self.pixels_a_mm = shot.scale * size / FRAME_SIZE
        self.focal = self.pixels_a_mm * shot.distance
        self.centre = shot.centre * size
        self.anchor = Pose(shot).rigid(np.array((0, -30, 60), np.float32))[:2] * np.float32(1.0)

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Pixels (N, 2), pixel (0, 0) having its centre at (0, 0), and depth (N,), larger is nearer, of (N, 3)."""
        scale = self.focal / np.maximum(self.distance - points[:, 2], 40.0)
        x = self.centre[0] - 0.5 + (points[:, 0] - self.anchor[0] * 0.8) * scale
        y = self.centre[1] - 0.5 - (points[:, 1] + 5 - (self.anchor[1] + 30) * 0.8) * scale
        return np.stack((x, y), axis=1).astype(np.float32), points[:, 2].astype(np.float32)


def posed_head(who: Person, shot: Shot) -> Floats:
    """The head (ROWS, COLUMNS, 3) with this shot's expression, in head coordinates."""
    return who.vertices + blend(shot.expression, template().expression_modes)


def render(
    who: Person, shot: Shot, *, noise_seed: int = 0, frame_size: int = FRAME_SIZE, crop_only: bool = False
) -> Picture:
    """Picture of ``who`` in ``shot``; ``noise_seed`` numbers the noise of the sensor.

    With ``crop_only`` what the crop does not show is left out of the frame where that saves time; the crop is the same.
    """
    size = round(frame_size * OVERSAMPLING)
    pose, camera = Pose(shot), Camera(shot, size)
    head = posed_head(who, shot)
    canvas = augment.background(*shot.background, size)
    points = landmark_points(head, who.look, shot.lids)  # (68, 3)
    full, _ = camera.project(pose(points))
    landmarks = (full + 0.5) * (frame_size / size) - 0.5
    five = five_from_68(landmarks).astype(np.float32)
    window = (_window(five, shot) + 0.5) * (size / frame_size) - 0.5 if crop_only else None
    Scene(who, shot, head, pose, camera, window).draw(canvas)
    rng = generator(who.seed, who.identity, noise_seed, STREAM_NOISE)
    frame = augment.finish(canvas.reshape(size, size, 3), shot, frame_size, rng)
    return Picture(
        frame,
        align(frame, five),
        five,
        landmarks.astype(np.float32),
        (shot.yaw, shot.pitch, shot.roll),
        who.identity,
        shot,
    )


def _window(five: Floats, shot: Shot) -> Floats:
    """Left, top, right, bottom (4,) of all that the crop at the points ``five (5, 2)`` depends on, in frame pixels."""
    to_crop = similarity_transform(five, ARCFACE_TEMPLATE)
    corners = np.array(((0, 0), (CROP_SIZE, 0), (0, CROP_SIZE), (CROP_SIZE, CROP_SIZE)))
    corners = np.linalg.solve(to_crop[:, :2], (corners - to_crop[:, 2]).T).T
    low, high = corners.min(axis=0) - 2, corners.max(axis=0) + 2
    low, high = np.floor(low / JPEG_UNIT) * JPEG_UNIT, np.ceil(high / JPEG_UNIT) * JPEG_UNIT
    reach = augment.reach(shot)
    return np.concatenate((low - reach, high + reach))


def sample_image(
    seed: int,
    identity: int,
    index: int,
    *,
    difficulty: float = 1.0,
    frame_size: int = FRAME_SIZE,
    crop_only: bool = False,
) -> Picture:
    """Image ``index`` of ``identity``: a function of its arguments alone."""
    who = person(seed, identity)
    shot = sample_shot(who, index, difficulty=difficulty)
    return render(who, shot, noise_seed=index, frame_size=frame_size, crop_only=crop_only)


class Scene:
    """All parts of one picture, drawn layer by layer: what is solid first, then hair and headgear with their edges.

    Args:
        window: (4,) left, top, right and bottom in the camera's pixels; what lies outside need not be drawn.
    """

    def __init__(
        self, who: Person, shot: Shot, head: Floats, pose: Pose, camera: Camera, window: Floats | None = None
    ) -> None:
        self.who, self.shot, self.head, self.pose, self.camera = who, shot, head, pose, camera
        self.window = window
        look = who.look
        self.posed = pose(head)
        normals = grid_normals(self.posed)
        self.torso = parts.torso(look.shoulders, look.build, high_collar=shot.session.garment == "turtleneck")
        body = turned(self.torso + parts.TORSO_LIFT - pose.PIVOT, pose.body) + pose.PIVOT
        shadow = shading.ShadowMap(shot.light, [self.posed, body])
        base = template()
        rows, columns = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
        uv = (
            np.stack((columns, rows), axis=-1)
            * np.array((TEXTURE_SIZE - 1, TEXTURE_SIZE - 1), np.float32)
            / (COLUMNS - 1, ROWS - 1)
        )
        self.shadow = shadow
        self.solid = [
            Part(self.posed, "skin", uv.astype(np.float32), base.occlusion, normals, base.vertices[..., :2], wrap=True),
            Part(body, "cloth", self.torso[..., :2], shading.torso_ambient(self.torso), None, None, wrap=True),
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

    def _shells(self) -> list[tuple[Part, str]]:
        """Layers with an edge: hair, then cap, beanie or hood. The last detail channel is the height above the edge."""
        look, wear = self.who.look, self.shot.session
        result = []
        if look.hair_style != "bald":
            top, side, _, _ = parts.HAIR_SHAPES[look.hair_style]
            low = {"bob": -70 - 50 * look.hair_length}.get(look.hair_style, -120 - 110 * look.hair_length)
            edge = parts.hair_edge(look, low, wear.hair_shift)
            volume = np.float32(look.hair_volume * wear.hair_volume * (0.35 if wear.headgear else 1.0))
            bumps = hair_bumps(self.who)
            vertices, above, along = parts.shell(self.head, edge, top * volume, side * volume, bumps)
            result.append((self._shell_part(vertices, above, along, "hair", look.hair), "strands"))
        if wear.headgear:
            edges = {
                "cap": (54, 54, 52, 46, 40, 34, 30, 18, 10, 6),
                "beanie": (46, 46, 44, 38, 28, 10, -8, -18, -26, -30),
                "hood": (70, 66, 50, 10, -300, -300, -300, -300, -300, -300),
            }[wear.headgear]
            thick = {"cap": (13, 9), "beanie": (16, 12), "hood": (24, 22)}[wear.headgear]
            edge = parts.edge_heights(edges, 0, 0)
            vertices, above, along = parts.shell(self.head, edge, *thick, None, taper=2.0)
            result.append((self._shell_part(vertices, above, along, "felt", wear.headgear_colour), "cut"))
        return result

    def _shell_part(self, vertices: Floats, above: Floats, along: Floats, material: str, colour: Floats) -> Part:
        look = self.who.look
        around = np.broadcast_to(template().angle[parts.HAIR_COLUMNS] * np.float32(80), along.shape)
        if look.hair_style in ("short", "side part", "receding", "bob", "long"):  # combed to the sides of a parting
            side = np.tanh((around - 80 * look.parting) / 25)
            around = around - side * along * np.float32(0.55 if look.hair_style == "side part" else 0.3)
        ambient = 0.55 + 0.45 * smoothstep(-160, 0, vertices[..., 1])
        detail = np.stack((along, around), axis=-1).astype(np.float32)
        extra = np.stack((above, np.ones_like(above)), axis=-1)
        return Part(
            self.pose(vertices), material, detail, ambient.astype(np.float32), None, extra, wrap=True, colour=colour
        )

    def _cast(self, layers: list[Part], *, double_sided: bool) -> tuple[Hits, Floats, list[int]]:
        """Hits of several parts at once, their attributes (V, 9), and where each part's triangles begin."""
        screens, depths, faces, attributes, starts, vertex, face = [], [], [], [], [0], 0, 0
        for part in layers:
            rows, columns = part.vertices.shape[:2]
            flat = part.vertices.reshape(-1, 3)
            screen, depth = self.camera.project(flat)
            normals = grid_normals(part.vertices, part.wrap) if part.normals is None else part.normals
            values = np.empty((rows * columns, 9), np.float32)
            values[:, :3] = normals.reshape(-1, 3)
            values[:, 3:5] = part.detail.reshape(-1, 2)
            values[:, 5] = np.broadcast_to(np.asarray(part.ambient, np.float32), (rows, columns)).ravel()
            values[:, 6] = (
                self.shadow(flat, values[:, :3], (rows, columns))
                if part.material in ("skin", "cloth", "flesh")
                else 1.0
            )
            values[:, 7:9] = 0.0 if part.extra is None else part.extra.reshape(-1, 2)
            triangles = grid_faces(rows, columns)
            screens.append(screen)
            depths.append(depth)
            attributes.append(values)
            faces.append(triangles + np.int32(vertex))
            vertex, face = vertex + len(flat), face + len(triangles)
            starts.append(face)
        joined = np.concatenate(screens), np.concatenate(depths), np.concatenate(faces)
        level = attributes[0][:, 7] + shading.STRAND_EDGE if double_sided else None
        size, window = self.camera.size, self.window
        hits = rasterise(*joined, size, double_sided=double_sided, level=level, window=window)
        return hits, np.concatenate(attributes), starts

    def draw(self, canvas: Floats) -> None:
        """Draw everything into ``canvas (size*size, 3)``, linear light."""
        pixels = self.camera.size**2
        hits, attributes, starts = self._cast(self.solid, double_sided=False)
        depth = np.full(pixels, -np.inf, np.float32)
        depth[hits.pixel] = hits.depth
        hidden = np.zeros(pixels, bool)
        drawn: list[tuple[Hits, Floats, Floats, Part]] = []
        for part, edge in self._shells():
            layer, values, _ = self._cast([part], double_sided=True)
            layer = layer.select(layer.depth > depth[layer.pixel])
            at = layer.interpolate(values)
            cover = shading.strand_cover(at) if edge == "strands" else np.clip(at[7] / 1.2, 0, 1)
            opaque = layer.pixel[cover > 0.97]
            hidden[opaque] = True
            depth[opaque] = layer.depth[cover > 0.97]
            drawn.append((layer, at, cover, part))
        hits = hits.select(~hidden[hits.pixel])
        at = hits.interpolate(attributes)
        for index, part in enumerate(self.solid):
            mine = np.flatnonzero((hits.face >= starts[index]) & (hits.face < starts[index + 1]))
            if len(mine):
                canvas[hits.pixel[mine]] = self._shade(part, np.take(at, mine, axis=1), hits.face[mine] - starts[index])
        for layer, values, cover, part in drawn:
            below = np.take(canvas, layer.pixel, axis=0)
            canvas[layer.pixel] = below + (self._shade(part, values, layer.face) - below) * cover[:, None]
        self._draw_glasses(canvas, depth)

    def _shade(self, part: Part, at: Floats, face: NDArray[np.int32]) -> Floats:
        shot, who = self.shot, self.who
        normal = at[:3]
        if part.material == "skin":
            albedo, gloss = shading.skin(skin_texture(who), at, shot)
            ball, glint = eyes.draw(
                albedo,
                gloss,
                at[shading.EXTRA],
                who.look,
                shot.lids,
                shot.gaze,
                shot.light,
                1 / self.camera.pixels_a_mm,
            )
            interior = np.flatnonzero(face // (2 * (COLUMNS - 1)) == MOUTH_ROW)
            if len(interior):
                shading.mouth(albedo, gloss, at, interior, self.head)
            colour = shading.light(albedo, normal, at[5], at[6], gloss, shot, soft=True)
            colour[ball] += glint[:, None] * shot.key
            return colour
        if part.material == "flesh":
            return shading.light(
                np.broadcast_to(part.colour, (at.shape[1], 3)),
                normal,
                at[5],
                at[6],
                np.float32(0.25),
                shot,
                soft=True,
            )
        if part.material == "hair":
            curl = parts.HAIR_SHAPES[who.look.hair_style][3]
            return shading.hair(who.look.hair**2 * np.float32(shot.session.hair_brightness), at, shot, curl)
        if part.material == "cloth":
            albedo = shading.cloth(at[3], at[4], shot.session, who.look.skin**2)
        elif part.material == "mask":
            albedo = part.colour * (
                1
                - 0.22
                * np.exp(-(((np.mod(at[4][:, None], 15) - 7) / 1.1) ** 2))
                * (0.0 if shot.mask is None else shot.mask[3])
            )
        else:
            ribs = 0.88 + 0.12 * np.cos(at[4][:, None] * 0.9) if shot.session.headgear == "beanie" else 1.0
            albedo = part.colour * ribs * np.ones((at.shape[1], 1), np.float32)
        return shading.light(albedo.astype(np.float32), normal, at[5], at[6], np.float32(0.05), shot, soft=False)

    def _draw_glasses(self, canvas: Floats, depth: Floats) -> None:
        wear = self.shot.session
        if not wear.glasses:
            return
        sockets = self.head[34, [33, 63]]
        rims, lines = parts.glasses(self.head, sockets, wear.glasses, 1.0)
        shading.draw_glasses(
            canvas,
            depth,
            self.camera,
            [self.pose.rigid(r) for r in rims],
            [self.pose.rigid(line) for line in lines],
            self.shot,
        )
