"""Videos of the montage challenge: written, read, and damaged in many ways."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.montage_video import (
    ListedVideo,
    find_video,
    read_face_video,
    read_frame_size,
    read_points,
    read_video_list,
    write_face_video,
    write_video_list,
)

DICE = np.random.default_rng(0)
IMAGES = DICE.integers(0, 256, (3, 10, 12, 3), np.uint8)
POINTS = DICE.uniform(0, 10, (3, 68, 2))


@pytest.fixture
def path(tmp_path):
    write_face_video(tmp_path / "a_0.npz", IMAGES, POINTS)
    return tmp_path / "a_0.npz"


def test_what_is_written_is_read_and_has_the_published_layout(path):
    video = read_face_video(path)
    assert video.count == 3
    assert video.size == (10, 12) == read_frame_size(path)
    np.testing.assert_array_equal(video.frame(1), IMAGES[1])
    np.testing.assert_array_equal(video.points, POINTS)
    np.testing.assert_array_equal(read_points(path), POINTS)
    with np.load(path, allow_pickle=False) as raw:
        shapes = {name: raw[name].shape for name in raw.files}
        assert raw["colorImages"][4, 5, 2, 1] == IMAGES[1, 4, 5, 2]
        np.testing.assert_array_equal(raw["boundingBox"][0, :, 2], POINTS[2].min(axis=0))
    assert shapes == {
        "colorImages": (10, 12, 3, 3),
        "boundingBox": (4, 2, 3),
        "landmarks2D": (68, 2, 3),
        "landmarks3D": (68, 3, 3),
    }


class Trap:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"landmarks2D": POINTS}, "has no colorImages in it, only landmarks2D"),
        ({"colorImages": IMAGES, "landmarks2D": POINTS.transpose(1, 2, 0)}, "colorImages is uint8 of"),
        ({"colorImages": np.zeros((9, 9, 3, 2)), "landmarks2D": np.zeros((68, 2, 2))}, "colorImages is float64 of"),
        (
            {"colorImages": np.zeros((9, 9, 3, 2), np.uint8), "landmarks2D": np.zeros((68, 2, 3))},
            "landmarks2D is float64 of .68, 2, 3.; expected numbers of .68, 2, 2.",
        ),
        (
            {"colorImages": np.zeros((9, 9, 3, 1), np.uint8), "landmarks2D": np.full((68, 2, 1), np.nan)},
            "landmarks2D of frame 0 are not all finite",
        ),
        ({"colorImages": np.array([Trap()], object), "landmarks2D": POINTS}, "is damaged or no .npz video"),
    ],
)
def test_what_is_no_video_says_why_and_runs_nothing(tmp_path, arrays, told, capsys):
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(UserError, match=told):
        read_face_video(tmp_path / "b.npz")
    assert capsys.readouterr().out == ""


def test_a_file_cut_short_anywhere_or_spoiled_is_one_line(path):
    whole = path.read_bytes()
    for end in range(0, len(whole) - 1, len(whole) // 23):
        path.write_bytes(whole[:end])
        with pytest.raises(UserError, match=r"a_0\.npz"):
            read_face_video(path)
        with pytest.raises(UserError, match=r"a_0\.npz"):
            read_frame_size(path)
    path.write_bytes(whole[:400] + b"spoiled" + whole[407:])
    with pytest.raises(UserError, match="damaged"):
        read_face_video(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match=r"damaged or no \.npz video"):
        read_face_video(path)
    np.save(path.with_suffix(".npy"), POINTS)
    with pytest.raises(UserError, match="is a single array"):
        read_face_video(path.with_suffix(".npy"))


def test_a_list_is_read_and_written(tmp_path):
    table = tmp_path / "v.csv"
    write_video_list(table, iter([(ListedVideo("a_0", "Ann"), (10, 12), 3)]))
    assert table.read_text().splitlines()[0] == "videoID,personName,imageHeight,imageWidth,videoDuration"
    assert read_video_list(table) == [("a_0", "Ann")]
    table.write_text("videoID\nJan_Ullrich_12\n")
    assert read_video_list(table) == [("Jan_Ullrich_12", "Jan_Ullrich")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name\na\n", "line 1 has no column videoID; it has name"),
        ("videoID,x\na\n", "line 2 has 1 columns, not 2"),
        ("videoID\na\na\n", "line 3: a is there twice"),
        ("videoID\n../a\n", "line 2: videoID '../a' is no name of a file"),
        ("videoID\n", "names no video"),
        ("", "line 1 has no column videoID; it has nothing"),
    ],
)
def test_a_list_that_is_wrong_names_the_line(tmp_path, text, told):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(UserError, match=told):
        read_video_list(tmp_path / "v.csv")


def test_a_video_is_beside_its_list_or_where_the_published_program_looks(tmp_path, monkeypatch):
    (tmp_path / "lists").mkdir()
    (tmp_path / "data" / "train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_video("lists/v.csv", "a") is None
    (tmp_path / "data" / "train" / "a.npz").touch()
    assert find_video("lists/v.csv", "a").name == "a.npz"
    (tmp_path / "lists" / "a.npz").touch()
    assert find_video("lists/v.csv", "a").parent.name == "lists"
