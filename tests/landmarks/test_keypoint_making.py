"""A keypoint set made of 68 points: the cut by bright dots, left and right by a mirror, gaps and truth by counting."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.image import encode_jpeg
from lwface.formats.keypoint_images import read_test, read_training
from lwface.formats.keypoint_lookup import read_lookup
from lwface.formats.keypoint_tables import FOUR, POINTS
from lwface.landmarks.keypoint_augment import mirror_order
from lwface.landmarks.keypoint_making import Making, cut_face, fifteen_from_68, make
from lwface.landmarks.keypoint_scoring import read_people
from lwface.landmarks.keypoint_sources import check_source

# Where each of the usual 68 points is in a mirror image (iBUG 300-W): jaw, brows, nose, eyes, mouth.
MIRROR_68 = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46), *(39, 38, 37, 36, 41, 40),
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
]  # fmt: skip


def face68(center=(60.0, 60.0), size=40.0):
    """Upright points (68, 2) of a face, roughly."""
    jaw = [(-np.cos(a) * size, np.sin(a) * size * 1.1) for a in np.linspace(-0.2, np.pi + 0.2, 17)]
    brow = [(-30 + 5 * k, -14 - (k % 3)) for k in range(5)]
    nose = [(0, -8 + 5 * k) for k in range(4)] + [(-6 + 3 * k, 10) for k in range(5)]
    eye = [(-24, -6), (-20, -8), (-16, -8), (-12, -6), (-16, -4), (-20, -4)]
    mouth = [(-14, 22), (-8, 19), (-3, 18), (0, 19), (3, 18), (8, 19), (14, 22), (8, 26), (3, 28), (0, 28), (-3, 28)]
    inner = [(-8, 26), (-11, 22), (-4, 21), (0, 21.5), (4, 21), (11, 22), (4, 25), (0, 26), (-4, 25)]
    right = [(-x, y) for x, y in (eye[3], eye[2], eye[1], eye[0], eye[5], eye[4])]
    points = [*jaw, *brow, *((-x, y) for x, y in brow[::-1]), *nose, *eye, *right, *mouth, *inner]
    return np.array(points, float) + center


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """12 people with 4 frames each, laid out as the YouTube Faces teaching set; a dark frame, bright at the points."""
    folder = tmp_path_factory.mktemp("source")
    dice = np.random.default_rng(0)
    for part in ("training", "test"):
        (folder / part).mkdir()
        rows = ["image," + ",".join(f"{axis}{point}" for point in range(68) for axis in "xy")]
        for person in range(12):
            for frame in range(2):
                points = face68(dice.uniform(55, 65, 2), dice.uniform(35, 42))
                image = np.full((120, 130, 3), 30, np.uint8)
                for place in points:
                    cv2.circle(image, tuple(np.round(place * 8).astype(int)), 12, (200, 180, 160), -1, shift=3)
                name = f"Person_{'ABCDEFGHIJKL'[person]}_{frame}{'01'[part == 'test']}.jpg"
                (folder / part / name).write_bytes(encode_jpeg(image))
                rows.append(name + "," + ",".join(f"{value:.3f}" for value in points.ravel()))
        (folder / f"{part}_keypoints.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "set"
    facts = make(Making(source, folder, test_share=0.25, complete_share=0.324, seed=0))
    return folder, facts


def test_left_and_right_are_the_persons():
    points = face68() + np.random.default_rng(0).normal(size=(68, 2))
    mirrored = (points * [-1, 1] + [120, 0])[MIRROR_68]
    expected = (fifteen_from_68(points) * [-1, 1] + [120, 0])[mirror_order(POINTS)]
    np.testing.assert_allclose(fifteen_from_68(mirrored), expected)
    fifteen = dict(zip(POINTS, fifteen_from_68(face68()), strict=True))
    assert fifteen["left_eye_center"][0] > fifteen["nose_tip"][0] > fifteen["right_eye_center"][0]  # of the picture
    assert fifteen["left_eye_inner_corner"][0] < fifteen["left_eye_outer_corner"][0]
    assert fifteen["left_eyebrow_inner_end"][0] < fifteen["left_eyebrow_outer_end"][0]
    assert fifteen["mouth_center_top_lip"][1] < fifteen["mouth_center_bottom_lip"][1]
    np.testing.assert_allclose(fifteen["left_eye_center"], face68()[42:48].mean(axis=0))


@pytest.mark.parametrize("size", [1.2, 2.9, 0.7])
@pytest.mark.parametrize("center", [(60.0, 60.0), (5.0, 100.0)])
def test_points_are_where_the_cut_shows_them(size, center):
    landmarks = face68(center)
    place = np.clip(landmarks[30], 12, 108)
    landmarks[30] = place
    y, x = np.mgrid[:120, :120]
    grey = 220 * np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 18)
    frame = np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)
    image, places = cut_face(frame, landmarks, size, (0.1, -0.05))
    assert image.shape == (96, 96)
    found_y, found_x = np.mgrid[:96, :96]
    weight = image.astype(float) ** 2
    found = np.array([(weight * found_x).sum(), (weight * found_y).sum()]) / weight.sum()
    if (np.abs(places[30] - 47.5) < 38).all():
        np.testing.assert_allclose(found, places[30], atol=0.25)
    side = 96 / np.linalg.norm(places[3] - places[4]) * np.linalg.norm(landmarks[3] - landmarks[4])
    assert side == pytest.approx(size * np.ptp(landmarks, axis=0).max(), abs=0.6)


def test_the_files_and_their_gaps(made):
    folder, facts = made
    faces = read_training(folder / "training.csv")
    assert len(faces.images) == facts["training_rows"] == 36  # 9 people
    complete = int(faces.known.all(axis=1).sum())
    assert complete == facts["complete_rows"]
    eleven = faces.known[:, [number for number, point in enumerate(POINTS) if point not in FOUR]]
    assert eleven[:12].any(axis=1).all()  # three people's rows come first
    assert not eleven[12:].any()
    assert json.loads((folder / "manifest.json").read_text())["taken"] == 48


def test_the_truth_is_where_the_bright_dots_are(made):
    folder, facts = made
    test = read_test(folder / "test.csv")
    lookup, truth, everything = (
        read_lookup(folder / name) for name in ("IdLookupTable.csv", "truth.csv", "truth-all.csv")
    )
    assert np.isnan(lookup.locations).all()
    for name in ("rows", "images", "features"):
        np.testing.assert_array_equal(getattr(lookup, name), getattr(truth, name))
    assert len(truth.rows) == facts["coordinates_asked_for"] < len(everything.rows) == 30 * len(test.images)
    full = dict(zip(zip(everything.images, everything.features, strict=True), everything.locations, strict=True))
    assert all(
        full[image, feature] == location
        for image, feature, location in zip(truth.images, truth.features, truth.locations, strict=True)
    )
    for image, pixels in zip(test.ids, test.images, strict=True):
        x, y = (round(full[image, 2 * POINTS.index("nose_tip") + axis]) for axis in (0, 1))
        assert pixels[y, x] > 120
    assert pixels.min() < 60


def test_nobody_is_in_both(made, source):
    folder, facts = made
    people = read_people(folder / "test-people.csv")
    assert len(set(people.values())) == facts["test_people"] == 3
    assert len(people) == facts["test_images"] == 12
    assert facts["training_people"] == 9
    assert all(name.startswith("Person_") for name in people.values())


def test_the_seed_decides(source, made, tmp_path):
    job = Making(source, tmp_path / "a", test_share=0.25, complete_share=0.324, seed=0)
    make(job)
    for name in ("training.csv", "test.csv", "truth.csv", "test-people.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (made[0] / name).read_bytes()
    make(Making(source, tmp_path / "b", test_share=0.25, complete_share=0.324, seed=1))
    assert (tmp_path / "b" / "test-people.csv").read_bytes() != (made[0] / "test-people.csv").read_bytes()


def test_procedural_faces(source, tmp_path):
    (tmp_path / "frames" / "image").mkdir(parents=True)
    names = [f"{axis}{point}" for point in range(68) for axis in "xy"]
    rows = [",".join(["image", "split", "identity", *names])]
    for person in range(5):
        (tmp_path / "frames" / "image" / f"{person}.jpg").write_bytes(encode_jpeg(np.full((120, 120, 3), 90, np.uint8)))
        rows.append(f"image/{person}.jpg,image,{person}," + ",".join(f"{v:.2f}" for v in face68().ravel()))
    (tmp_path / "annotations.csv").write_text("\n".join(rows) + "\n")
    facts = make(Making(tmp_path, tmp_path / "out", test_share=0.4, complete_share=0.5, seed=0))
    assert (facts["training_rows"], facts["test_images"]) == (3, 2)
    (tmp_path / "frames" / "image" / "0.jpg").unlink()
    more = Making(tmp_path, tmp_path / "more", test_share=0.4, complete_share=0.5, seed=0)
    with pytest.raises(UserError, match="no such frame: make the set with --frames"):
        make(more)
    cells = rows[2].split(",")
    for damaged, says in (
        ([rows[0].replace(",x5,", ",x99,"), *rows[1:]], "line 1 names no x5: make the set anew"),
        ([*rows[:3], rows[3][:400]], "line 4 has .* columns, not 139"),
        ([*rows[:2], ",".join([*cells[:5], "abc", *cells[6:]])], "line 3, column x1: 'abc' is not a finite number"),
        ([*rows[:2], ",".join([*cells[:5], "", *cells[6:]])], "line 3, column x1: '' is not a finite number"),
    ):
        (tmp_path / "annotations.csv").write_text("\n".join(damaged) + "\n")
        with pytest.raises(UserError, match=rf"annotations\.csv: {says}"):
            make(more)


def test_what_cannot_be_made(source, made, tmp_path):
    with pytest.raises(UserError, match=r"expected training_keypoints\.csv and test_keypoints\.csv"):
        check_source(tmp_path)
    with pytest.raises(UserError, match="is already there; delete it"):
        make(Making(source, made[0], test_share=0.2, complete_share=0.3, seed=0))
    with pytest.raises(UserError, match=r"--test-share 0\.05 of 12 people: training and test need two or more"):
        make(Making(source, tmp_path / "x", test_share=0.05, complete_share=0.3, seed=0))
    assert not list(tmp_path.iterdir())
