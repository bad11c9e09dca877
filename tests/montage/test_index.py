"""The index: what it finds against a search through everything, its files, and damage to them."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.montage_video import read_face_video
from lwface.montage.database import FrameStore, face_thumbnail, index_videos
from lwface.montage.index import build, load, save
from lwface.montage.shapes import Coder, shapes
from tests.montage.conftest import FRAMES, SIZE, face, picture


@pytest.fixture
def index(table):
    return index_videos(table)


def test_shapes_do_not_change_with_place_size_and_roll():
    points = np.stack([face(seed, (200, 300)) for seed in range(5)])
    turn = np.array([[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]])
    np.testing.assert_allclose(shapes(3.7 * points @ turn + [40, -9]), shapes(points), atol=1e-5)
    found = shapes(points).reshape(5, 68, 2)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose((found**2).sum(axis=2).mean(axis=1), 1, atol=1e-5)
    eyes = found[:, 42:48].mean(axis=1) - found[:, 36:42].mean(axis=1)
    assert (eyes[:, 0] > 0).all()
    np.testing.assert_allclose(eyes[:, 1], 0, atol=1e-6)
    assert np.isfinite(shapes(np.zeros((2, 68, 2)))).all()


def test_codes_keep_distances():
    vectors = shapes(np.stack([face(seed, (200, 300)) for seed in range(60)]))
    codes = Coder.of(vectors)(vectors)
    whole = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    kept = ((codes[:, None] - codes[None]) ** 2).sum(axis=2)
    assert (kept <= whole + 1e-4).all()
    assert kept.sum() > 0.8 * whole.sum()  # of noise, which no few directions hold


def test_rows_are_the_frames_of_the_csv_in_order(index, table):
    assert index.count == sum(FRAMES.values())
    assert index.people == ["ann", "ben", "cid", "dan"]
    row = 0
    frames = FrameStore(table, index)
    for name, count in FRAMES.items():
        video = read_face_video(table.parent / f"{name}.npz")
        for number in range(count):
            assert index.frame(row)[0].name == name
            assert index.frame(row)[1] == number
            np.testing.assert_allclose(index.points[row], video.points[number], atol=1e-5)
            np.testing.assert_array_equal(frames([row])[row], video.frame(number))
            row += 1
    rows = np.arange(index.count)
    np.testing.assert_array_equal(index.sizes_of(rows), np.tile(SIZE, (index.count, 1)))
    assert [index.people[p] for p in index.person_of(rows)] == [
        name.partition("_")[0] for name, count in FRAMES.items() for _ in range(count)
    ]


def test_a_face_is_found_by_its_shape_wherever_it_is(index):
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])
    for row in (0, 5, 12):
        moved = 1.7 * index.points[row] @ turn + [30, 10]
        assert index.search(moved[None], (200, 200), 1, moved=True)[0, 0] == row
        assert index.search(index.points[row][None], SIZE, 1, moved=False)[0, 0] == row


def test_thumbnails_of_a_face_follow_it(index):
    points = face(3, (200, 240))
    image = picture(3, (200, 240))
    matrix = np.array([[0.9, -0.35, 40.0], [0.35, 0.9, 5.0]])
    moved = cv2.warpAffine(image, matrix, (320, 320))
    one, other = face_thumbnail(image, points), face_thumbnail(moved, points @ matrix[:, :2].T + matrix[:, 2])
    assert np.abs(one.astype(int) - other)[4:12, 4:12].mean() < 3


def test_what_is_saved_is_loaded(index, tmp_path):
    save(index, tmp_path / "i")
    save(index, tmp_path / "i")  # again, over itself
    again = load(tmp_path / "i")
    assert again.videos == index.videos
    for name in ("points", "places", "shapes", "whole", "faces"):
        np.testing.assert_array_equal(getattr(again, name), getattr(index, name))
    np.testing.assert_array_equal(again.shape_coder.basis, index.shape_coder.basis)
    assert not list(tmp_path.glob(".*"))


def test_an_index_of_landmarks_alone_has_no_thumbnails(table, tmp_path):
    save(index_videos(table, pictures=False), tmp_path / "i")
    assert load(tmp_path / "i").faces is None


@pytest.mark.parametrize("name", ["points", "shapes", "faces", "place_basis"])
def test_damage_is_one_line(index, tmp_path, name):
    save(index, tmp_path / "i")
    file = tmp_path / "i" / f"{name}.npy"
    whole = bytearray(file.read_bytes())
    whole[-3] ^= 1
    file.write_bytes(whole)
    with pytest.raises(UserError, match=f"damaged index .{name} is not what was written.: index again"):
        load(tmp_path / "i")
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged index"):
        load(tmp_path / "i")
    file.unlink()
    with pytest.raises(UserError, match="damaged index"):
        load(tmp_path / "i")


def test_another_version_and_what_is_no_index_are_told(index, tmp_path):
    save(index, tmp_path / "i")
    header = tmp_path / "i" / "header.json"
    told = json.loads(header.read_text())
    header.write_text(json.dumps({**told, "version": 2}))
    with pytest.raises(UserError, match="is an index of version 2, this is version 1: index again"):
        load(tmp_path / "i")
    header.write_text(json.dumps({**told, "videos": told["videos"][1:]}))
    with pytest.raises(UserError, match="its videos have other frames than its arrays"):
        load(tmp_path / "i")
    header.write_text("{}")
    with pytest.raises(UserError, match="is not of an index of a montage"):
        load(tmp_path / "i")
    header.write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "i")
    with pytest.raises(UserError, match=r"there is no index; montage/cli\.py index"):
        load(tmp_path / "none")
    shutil.rmtree(tmp_path / "i")
    (tmp_path / "i").write_text("mine")
    with pytest.raises(UserError, match="is there and is no index"):
        save(index, tmp_path / "i")
    assert (tmp_path / "i").read_text() == "mine"


def test_nothing_is_no_index():
    with pytest.raises(UserError, match="there is no frame to index"):
        build([])


def test_a_video_that_changed_since_is_told(index, table):
    (table.parent / "ben_0.npz").write_bytes((table.parent / "ann_1.npz").read_bytes())
    with pytest.raises(UserError, match=r"ben_0\.npz: is not what it was when the index was made"):
        FrameStore(table, index)([8])
    (table.parent / "ben_0.npz").unlink()
    with pytest.raises(UserError, match=r"ben_0\.npz: is in the index, and neither beside"):
        FrameStore(table, index)([8])


def test_missing_videos_are_counted_and_named(table, capsys, monkeypatch):
    monkeypatch.setattr("lwface.base.notes._told", set())
    (table.parent / "ben_0.npz").unlink()
    assert index_videos(table).count == sum(FRAMES.values()) - FRAMES["ben_0"]
    assert "1 of its 5 videos are neither beside it nor in data/*/: ben_0.npz" in capsys.readouterr().err
    for name in FRAMES:
        (table.parent / f"{name}.npz").unlink(missing_ok=True)
    with pytest.raises(
        UserError, match=r"5 of its 5 videos are neither .*: ann_0\.npz, ann_1\.npz, ben_0\.npz, \.\.\."
    ):
        index_videos(table)
