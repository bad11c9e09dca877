"""Procedural faces: determinism, landmarks, poses, identities, expressions, videos, the rasteriser."""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.alignment import ARCFACE_TEMPLATE, similarity_transform
from lwface.synthetic import head, landmarks, parts, raster, render, shot
from lwface.synthetic.head import COLUMNS, MOUTH_ROW, ROWS, template
from lwface.synthetic.options import Options, Ranges
from lwface.synthetic.person import Person, person
from lwface.synthetic.render import sample_image
from lwface.synthetic.sheet import contact_sheet, tile
from lwface.synthetic.shot import sample_session, sample_shot
from lwface.synthetic.video import shots, video

SEED = 3
MIRROR_68 = np.array(
    [
        *(*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),
    ]
)


def digest(seed: int, identity: int, index: int) -> str:
    sample = sample_image(seed, identity, index)
    return hashlib.sha256(sample.frame.tobytes() + sample.landmarks68.tobytes()).hexdigest()


def clean(person: Person, **changes: object) -> shot.Shot:
    """A sharp frontal shot of an uncovered, neutral face in even light."""
    calm = sample_shot(person, 0, difficulty=0.2)
    session = dataclasses.replace(
        calm.session, glasses="", headgear="", sunglasses=False, lip_tint=np.zeros(4, np.float32)
    )
    base = dataclasses.replace(
        calm,
        session=session,
        yaw=0.0,
        pitch=0.0,
        roll=0.0,
        torso_yaw=0.0,
        expression=np.zeros(len(template().expression_names), np.float32),
        lids=np.ones(2, np.float32),
        gaze=np.zeros(2, np.float32),
        mask=None,
        hand=0,
        blur=0.0,
        motion=np.zeros(2, np.float32),
        noise=0.0,
        detail=1.0,
        quality=95,
        grey=False,
        centre=np.array((0.5, 0.43), np.float32),
        light=np.array((0, 0.3, 0.95), np.float32),
        exposure=1.0,
        rim=np.zeros(4, np.float32),
    )
    return dataclasses.replace(base, **changes)


def test_an_image_is_a_function_of_seed_identity_and_index() -> None:
    first = [digest(SEED, identity, index) for identity in (0, 1) for index in (0, 5)]
    again = [digest(SEED, identity, index) for identity in (1, 0) for index in (5, 0)]
    assert first == again[::-1]
    assert len(set(first)) == 4
    assert digest(SEED + 1, 0, 0) != first[0]


def test_another_process_draws_the_same_image() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(digest, SEED, 4, 7).result() == digest(SEED, 4, 7)


def test_sample_has_the_promised_shapes() -> None:
    sample = sample_image(SEED, 2, 1)
    assert sample.frame.shape == (192, 192, 3)
    assert sample.crop.shape == (112, 112, 3)
    assert sample.frame.dtype == sample.crop.dtype == np.uint8
    assert sample.landmarks5.shape == (5, 2)
    assert sample.landmarks68.shape == (68, 2)
    assert sample.pose == (sample.shot.yaw, sample.shot.pitch, sample.shot.roll)


def test_landmarks_scale_with_the_frame() -> None:
    small, large = (sample_image(SEED, 2, 1, frame_size=size).landmarks68 for size in (160, 240))
    np.testing.assert_allclose((small + 0.5) * 1.5 - 0.5, large, atol=1e-2)


def test_alignment_puts_the_five_points_near_the_template() -> None:
    errors = []
    for identity in range(8):
        sample = sample_image(SEED, identity, identity)
        if abs(sample.pose[0]) > 25:
            continue
        matrix = similarity_transform(sample.landmarks5, ARCFACE_TEMPLATE)
        placed = sample.landmarks5 @ matrix[:, :2].T + matrix[:, 2]
        errors.append(np.abs(placed - ARCFACE_TEMPLATE).mean())
    assert len(errors) > 3
    assert np.mean(errors) < 3.5  # pixels of 112


@pytest.mark.parametrize("yaw", [-60.0, 0.0, 60.0])
def test_landmarks_keep_their_order(yaw: float) -> None:
    p = render.render(person(SEED, 1), clean(person(SEED, 1), yaw=yaw)).landmarks68
    assert p[8, 1] > p[57, 1] > p[51, 1] > p[30, 1] > p[27, 1] > p[[17, 21, 22, 26], 1].max() - 12
    assert p[36, 0] < p[39, 0] < p[42, 0] < p[45, 0]
    assert p[48, 0] < p[54, 0]
    assert p[37, 1] < p[41, 1]
    assert p[44, 1] < p[46, 1]
    middle = p[[36, 45], 0].mean()
    assert np.sign(p[30, 0] - middle) == np.sign(yaw) or yaw == 0


def test_mirrored_yaw_mirrors_the_landmarks_of_the_mean_head() -> None:
    mean = Person(SEED, 1)
    mean.__dict__["_latent"] = (np.zeros_like(mean.shape), mean.look)
    right, left = (render.render(mean, clean(mean, yaw=yaw)).landmarks68 for yaw in (35.0, -35.0))
    mirrored = left[MIRROR_68] * (-1, 1) + (191, 0)
    np.testing.assert_allclose(right, mirrored, atol=0.35)


def test_landmarks_are_projections_of_points_of_the_surface() -> None:
    who = person(SEED, 6)
    view = clean(who, yaw=20.0, roll=10.0)
    mesh = render.posed_head(who, view)
    points = landmarks.landmark_points(mesh, who.look, view.lids)
    nearest = np.sqrt(((mesh.reshape(-1, 1, 3) - points[None]) ** 2).sum(axis=-1)).min(axis=0)
    assert nearest.max() < 6.5  # mm: no further than a cell of the mesh
    # An independent pinhole: turn about the pivot, divide by the distance. With s = focal / (distance - z) a picture's
    # coordinate is u = k + s * (X - a) for one principal point k and one shift a: (u - s*X) is a line in s.
    turned = (points - render.Pose.PIVOT) @ render.rotation(view.yaw, view.pitch, view.roll).T + render.Pose.PIVOT
    rigid = points[:, 1] > -100  # lower points follow the neck
    s = (view.scale * view.distance / (view.distance - turned[:, 2]))[rigid]
    found = render.render(who, view).landmarks68[rigid]
    for axis, sign in ((0, 1), (1, -1)):
        rest = found[:, axis] - sign * s * turned[rigid, axis]
        line = np.polyfit(s, rest, 1)
        np.testing.assert_allclose(np.polyval(line, s), rest, atol=0.02)


def test_tip_of_the_nose_is_where_the_surface_comes_forward_most() -> None:
    mesh = person(SEED, 9).vertices
    front = mesh.reshape(-1, 3)
    tip = landmarks.landmark_points(mesh, person(SEED, 9).look, np.ones(2))[30]
    most = front[front[:, 2].argmax()]
    assert np.linalg.norm(tip - most) < 12  # mm


def test_rotation_signs() -> None:
    forward, up = np.array((0, 0, 1.0)), np.array((0, 1.0, 0))
    assert (render.rotation(30, 0, 0) @ forward)[0] > 0  # to the image's right
    assert (render.rotation(0, 30, 0) @ forward)[1] > 0  # up
    assert (render.rotation(0, 0, 30) @ up)[0] > 0  # clockwise
    for angles in ((30, 10, -20), (-60, 5, 3)):
        np.testing.assert_allclose(render.rotation(*angles) @ render.rotation(*angles).T, np.eye(3), atol=1e-6)


def test_poses_reach_the_ranges_and_no_further() -> None:
    yaw = np.array([sample_shot(person(SEED, i % 5), i).yaw for i in range(400)])
    assert yaw.min() < -50
    assert yaw.max() > 50
    assert np.abs(yaw).max() <= 60
    hard = np.array([sample_shot(person(SEED, 0), i, difficulty=3).yaw for i in range(200)])
    assert np.abs(hard).max() <= 60
    easy = np.array([sample_shot(person(SEED, 0), i, difficulty=0.2).yaw for i in range(200)])
    assert easy.std() < yaw.std() / 2


def test_difficulty_scales_occlusion_and_noise() -> None:
    def nuisance(difficulty: float) -> tuple[float, float]:
        drawn = [sample_shot(person(SEED, 0), i, difficulty=difficulty) for i in range(300)]
        return float(np.mean([s.noise for s in drawn])), float(np.mean([bool(s.hand) for s in drawn]))

    (quiet, few), (loud, many) = nuisance(0.3), nuisance(1.6)
    assert quiet < loud / 2
    assert few < many


def test_images_of_one_person_are_nearer_than_those_of_two() -> None:
    """A feature anyone can compute, a small picture less its mean and scale, already tells people apart a bit."""
    features, labels = [], []
    for identity in range(6):
        for index in range(3):
            who = person(SEED, identity)
            sample = render.render(
                who, dataclasses.replace(sample_shot(who, index, difficulty=0.4), yaw=0.0, pitch=0.0)
            )
            small = sample.crop.astype(np.float64).reshape(14, 8, 14, 8, 3).mean(axis=(1, 3)).ravel()
            small -= small.mean()
            features.append(small / np.linalg.norm(small))
            labels.append(identity)
    similarity = np.array(features) @ np.array(features).T
    same = np.equal.outer(labels, labels)
    off = ~np.eye(len(labels), dtype=bool)
    assert similarity[same & off].mean() > similarity[~same].mean() + 0.08


def test_people_differ_in_shape_by_millimetres() -> None:
    meshes = np.stack([person(SEED, identity).vertices for identity in range(12)])
    marks = np.stack([landmarks.landmark_points(m, person(SEED, i).look, np.ones(2)) for i, m in enumerate(meshes)])
    assert 1.0 < marks[:, 17:].std(axis=0).mean() < 8.0


def test_identity_does_not_fix_clothes_or_background() -> None:
    sessions = [sample_session(person(SEED, identity), number, 1.0) for identity in range(6) for number in range(6)]
    colours = np.array([s.colours[0] for s in sessions]).reshape(6, 6, 3)
    assert colours.std(axis=1).mean() > 0.5 * colours.std(axis=(0, 1)).mean()
    wearers = [i for i in range(40) if person(SEED, i).look.glasses]
    worn = [bool(sample_session(person(SEED, i), n, 1.0).glasses) for i in wearers for n in range(6)]
    assert 0.6 < np.mean(worn) < 1.0
    backgrounds = {sample_shot(person(SEED, 0), i).background for i in range(20)}
    assert len(backgrounds) == 20


def test_expressions_move_what_they_name() -> None:
    names = template().expression_names
    who = person(SEED, 2)

    def points(**strengths: float) -> np.ndarray:
        e = np.zeros(len(names), np.float32)
        for name, value in strengths.items():
            e[names.index(name.replace("_", " "))] = value
        mesh = who.vertices + (e @ template().expression_modes).reshape(ROWS, COLUMNS, 3)
        return landmarks.landmark_points(mesh, who.look, np.ones(2))

    neutral = points()
    assert points(jaw=1)[66, 1] < neutral[66, 1] - 10  # the lower lip goes down,
    np.testing.assert_allclose(points(jaw=1)[62], neutral[62], atol=0.5)  # the upper one stays
    assert np.ptp(points(smile=1)[[48, 54], 0]) > np.ptp(neutral[[48, 54], 0]) + 4
    assert np.ptp(points(pucker=1)[[48, 54], 0]) < np.ptp(neutral[[48, 54], 0]) - 4
    assert (points(brow_raise=1)[17:27, 1] > neutral[17:27, 1] + 1).all()
    closed = landmarks.landmark_points(who.vertices, who.look, np.zeros(2))
    assert np.abs(closed[[37, 38], 1] - closed[[41, 40], 1]).max() < 1.0 < neutral[37, 1] - neutral[41, 1]


def test_lips_meet_in_the_template() -> None:
    np.testing.assert_array_equal(template().vertices[MOUTH_ROW], template().vertices[MOUTH_ROW + 1])


def test_locate_inverts_the_surface() -> None:
    wanted = np.array(((0, -38.0), (31.5, 0), (-20, 20), (24, -67), (10, -100)))
    found = head.on_surface(template().vertices, head.locate(wanted))
    np.testing.assert_allclose(found[:, :2], wanted, atol=0.8)


def test_eyes_are_drawn_where_the_landmarks_say() -> None:
    """The white and the iris inside the lids differ from the same picture with the eyes shut, the cheek does not."""
    who = person(SEED, 2)
    open_, shut = (render.render(who, clean(who, lids=np.full(2, v, np.float32))) for v in (1.0, 0.0))
    change = np.abs(open_.frame.astype(int) - shut.frame.astype(int)).sum(axis=2)
    for eye in (slice(36, 42), slice(42, 48)):
        x, y = open_.landmarks68[eye].mean(axis=0).round().astype(int)
        assert change[y - 1 : y + 2, x - 3 : x + 4].max() > 60
    x, y = open_.landmarks68[[2, 31]].mean(axis=0).round().astype(int)
    assert change[y - 2 : y + 3, x - 2 : x + 3].max() < 45


@pytest.mark.parametrize("gear", ["cap", "beanie", "hood"])
@pytest.mark.parametrize("glasses", parts.GLASSES_SHAPES)
def test_everything_that_can_be_worn_renders(gear: str, glasses: str) -> None:
    who = person(SEED, 2)
    view = clean(who)
    wear = dataclasses.replace(view.session, headgear=gear, glasses=glasses, sunglasses=True, lens_tint=0.9)
    plain = render.render(who, view).frame.astype(int)
    dressed = render.render(who, dataclasses.replace(view, session=wear)).frame.astype(int)
    assert (np.abs(plain - dressed).sum(axis=2) > 40).mean() > 0.02


def test_mask_and_hand_cover_the_mouth() -> None:
    who = person(SEED, 2)
    plain = render.render(who, clean(who))
    x, y = plain.landmarks68[62].round().astype(int)
    for change in ({"mask": np.array((0.1, 0.2, 0.9, 1), np.float32)}, {"hand": 5}):
        covered = render.render(who, clean(who, hand_target=np.array((0, -60, 110), np.float32), **change))
        here = (slice(y - 4, y + 5), slice(x - 4, x + 5))
        assert np.abs(covered.frame[here].astype(int) - plain.frame[here]).mean() > 12


@pytest.mark.parametrize("style", [*parts.HAIR_EDGES, "bald"])
def test_every_hair_style_renders(style: str) -> None:
    who = Person(SEED, 1)
    shape, look = who.shape, who.look
    crowns = []
    for colour in ((0.1, 0.9, 0.1), (0.9, 0.1, 0.1)):
        other = Person(SEED, 1)
        dyed = dataclasses.replace(look, hair_style=style, hair=np.array(colour, np.float32), beard="none")
        other.__dict__["_latent"] = (shape, dyed)
        crowns.append(render.render(other, clean(other)).frame[:60, 60:130].astype(int))
    change = (np.abs(crowns[0] - crowns[1]).sum(axis=2) > 60).mean()
    assert change == 0 if style == "bald" else change > 0.1


def test_video_is_smooth_and_repeatable() -> None:
    path = shots(SEED, 5, 0, frames=100)
    pose = np.array([(s.yaw, s.pitch, s.roll) for s in path])
    assert np.abs(np.diff(pose, axis=0)).max() < 8  # degrees a 25th of a second
    assert np.ptp(pose[:, 0]) > 8
    assert len({id(s.session) for s in path}) == 1
    assert all(np.array_equal(s.light, path[0].light) for s in path)
    assert min(s.lids.min() for s in shots(SEED, 5, 0, frames=250)) < 0.3  # it blinks
    two = [list(video(SEED, 5, 0, frames=3)) for _ in range(2)]
    for a, b in zip(*two, strict=True):
        np.testing.assert_array_equal(a.frame, b.frame)
        assert a.identity == 5
    marks = np.array([s.landmarks68 for s in video(SEED, 5, 1, frames=8)])
    assert np.abs(np.diff(marks, axis=0)).max() < 8  # pixels


def test_video_longer_starts_the_same() -> None:
    short, long = shots(SEED, 5, 2, frames=40), shots(SEED, 5, 2, frames=41)
    assert short[0].yaw == pytest.approx(long[0].yaw)


def brute_force(screen: np.ndarray, depth: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """Index of the nearest triangle at every pixel, -1 for none: a loop in float64."""
    owner, best = np.full((size, size), -1), np.full((size, size), -np.inf)
    for number, (a, b, c) in enumerate(faces):
        matrix = np.array(((*screen[a], 1), (*screen[b], 1), (*screen[c], 1)), np.float64).T
        if np.linalg.det(matrix) >= 0:
            continue
        for y in range(size):
            for x in range(size):
                weights = np.linalg.solve(matrix, (x, y, 1))
                if weights.min() >= 0:
                    z = weights @ depth[[a, b, c]]
                    if z > best[y, x]:
                        best[y, x], owner[y, x] = z, number
    return owner


@pytest.mark.parametrize("number", range(12))
def test_what_the_crop_does_not_show_changes_nothing_in_it(number: int) -> None:
    """Hard shots, with the strongest blur, the coarsest detail and colours coded coarsely, in turn."""
    who = person(SEED, number)
    view = sample_shot(who, number, difficulty=1.5)
    changes = [{}, {"blur": 2.0}, {"detail": 0.3}, {"motion": np.array((5.0, -7.0), np.float32)}][number % 4]
    view = dataclasses.replace(view, quality=40, **changes)
    whole, part = (render.render(who, view, noise_seed=1, crop_only=crop_only) for crop_only in (False, True))
    assert np.array_equal(whole.crop, part.crop)
    assert np.array_equal(whole.landmarks68, part.landmarks68)
    assert not np.array_equal(whole.frame, part.frame)


def test_rasteriser_agrees_with_a_loop() -> None:
    rng = np.random.default_rng(1)
    screen = rng.uniform(-4, 20, (24, 2)).astype(np.float32)
    depth = rng.uniform(0, 9, 24).astype(np.float32)
    faces = rng.permutation(24).reshape(8, 3).astype(np.int32)
    hits = raster.rasterise(screen, depth, faces, 16).hits()
    owner = np.full(16 * 16, -1)
    owner[hits.pixel] = hits.face
    np.testing.assert_array_equal(owner.reshape(16, 16), brute_force(screen, depth, faces, 16))
    np.testing.assert_allclose(hits.weights.sum(axis=0), 1, atol=1e-5)
    x, y = hits.pixel % 16, hits.pixel // 16
    np.testing.assert_allclose(hits.interpolate(screen), np.stack((x, y)), atol=1e-3)
    np.testing.assert_allclose(hits.interpolate(depth[:, None])[0], hits.depth, atol=1e-3)


def test_rasteriser_ends_a_surface_at_its_level() -> None:
    screen = np.array(((0, 0), (0, 15), (15, 0), (15, 15)), np.float32)
    faces = np.array(((0, 1, 2), (2, 1, 3)), np.int32)
    level = np.array((-7.5, -7.5, 7.5, 7.5), np.float32)
    hits = raster.rasterise(screen, np.zeros(4, np.float32), faces, 16, double_sided=True, level=level).hits()
    assert set((hits.pixel % 16).tolist()) == set(range(8, 16))
    assert len(raster.rasterise(screen, np.zeros(4, np.float32), faces[:, ::-1], 16).hits().pixel) in (0, 256)


def test_sheets() -> None:
    images = [np.full((4, 6, 3), i, np.uint8) for i in range(5)]
    sheet = tile(images, 3, gap=1)
    assert sheet.shape == (12, 24, 3)
    assert (sheet[7:11, 17:23] == 255).all()
    assert contact_sheet(SEED, columns=2).ndim == 3


def test_ranges_change_what_they_name_and_nothing_else() -> None:
    who = person(SEED, 4)
    usual = [sample_shot(who, i, difficulty=0.5) for i in range(40)]
    coarse = [sample_shot(who, i, difficulty=0.5, ranges=Ranges(coarse=1.0)) for i in range(40)]
    assert [s.yaw for s in usual] == [s.yaw for s in coarse]
    assert [s.quality for s in usual] == [s.quality for s in coarse]
    assert 0.15 < min(s.detail for s in coarse) <= max(s.detail for s in coarse) < 0.7
    lit = [sample_shot(who, i, difficulty=0.5, ranges=Ranges(light=3.0)) for i in range(40)]
    assert [s.yaw for s in usual] == [s.yaw for s in lit]
    assert np.std([s.light[0] for s in lit]) > 1.3 * np.std([s.light[0] for s in usual])
    turned = [sample_shot(who, i, difficulty=0.5, ranges=Ranges(pose=2.0)).pitch for i in range(40)]
    assert np.std(turned) > 1.3 * np.std([s.pitch for s in usual])
    heads = [Person(SEED, 4, spread).vertices - template().vertices for spread in (1.0, 1.5)]
    np.testing.assert_allclose(heads[0] * 1.5, heads[1], atol=1e-3)
    assert Options().ranges == Ranges()
    with pytest.raises(UserError, match="--coarse 2"):
        Options(coarse=2.0).check()
