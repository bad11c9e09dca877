"""Pictures with points from every layout on disk."""

from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.image import encode_jpeg
from lwface.formats.point_annotations import write_annotations
from lwface.landmarks.options import PointSource, PointWish
from lwface.landmarks.point_sets import read_point_set, split_by_person
from lwface.landmarks.train import point_run


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_jpeg(np.full((40, 50, 3), 90, np.uint8)))


@pytest.fixture
def points():
    draw = np.random.default_rng(0)
    return {name: draw.uniform(0, 40, (68, 2)) for name in ("a.jpg", "b.jpg", "c.jpg")}


def table(path, points):
    header = ["image"] + [f"{axis}{i}" for i in range(68) for axis in "xy"]
    rows = [",".join([name, *map(repr, places.ravel().tolist())]) for name, places in points.items()]
    path.write_text("\n".join([",".join(header), *rows]) + "\n")


def test_the_challenges_layout(tmp_path, points):
    for folder, names in (("synthetics_train", ("a.jpg", "b.jpg")), ("aflw_val", ("c.jpg",))):
        for name in names:
            picture(tmp_path / folder / name)
        write_annotations(tmp_path / folder / "annot.pkl", {name: points[name] for name in names})
    assert [one.name for one in read_point_set(tmp_path).pictures] == ["a.jpg", "b.jpg"]
    for path in (tmp_path / "aflw_val", tmp_path / "aflw_val" / "annot.pkl"):
        (one,) = read_point_set(path).pictures
        assert one.name == one.person == "c.jpg"
        np.testing.assert_array_equal(one.points, points["c.jpg"])
    assert [one.name for one in read_point_set(tmp_path, "val").pictures] == ["c.jpg"]


def test_the_current_folder_has_its_name(tmp_path, points, monkeypatch):
    """What a model keeps of its data, and what its own folder is called."""
    table(tmp_path / "mine.csv", points)
    (tmp_path / "synthetics_train").mkdir()
    write_annotations(tmp_path / "synthetics_train" / "annot.pkl", points)
    monkeypatch.chdir(tmp_path / "synthetics_train")
    for path in (".", "annot.pkl", "../synthetics_train/."):
        assert read_point_set(Path(path), opened=False).name == "synthetics_train"
    run = point_run(PointWish("m025", "integral", "l1", [PointSource(Path()), PointSource(Path("../mine.csv"))]))
    assert run.dataset == "synthetics_train+mine"


def test_youtube_faces(tmp_path, points):
    for part, name in (("training", "Ann_Lee_00.jpg"), ("training", "Ann_Lee_10.jpg"), ("test", "Bo_02.jpg")):
        picture(tmp_path / part / name)
        (tmp_path / part / name).write_bytes((tmp_path / part / name).read_bytes() + name.encode())
    places = list(points.values())
    table(tmp_path / "training_keypoints.csv", {"Ann_Lee_00.jpg": places[0], "Ann_Lee_10.jpg": places[1]})
    table(tmp_path / "test_keypoints.csv", {"Bo_02.jpg": places[2]})
    found = read_point_set(tmp_path)
    assert [(one.name, one.person, one.track) for one in found.pictures] == [
        ("training/Ann_Lee_00.jpg", "Ann_Lee", "Ann_Lee_0"),
        ("training/Ann_Lee_10.jpg", "Ann_Lee", "Ann_Lee_1"),
        ("test/Bo_02.jpg", "Bo", "Bo_0"),
    ]


def test_procedural_faces(faces):
    train, held_out = (read_point_set(faces, part).pictures for part in ("train", "val"))
    assert (len(train), len(held_out)) == (60, 18)
    assert not {one.person for one in train} & {one.person for one in held_out}
    assert all(one.points.min() > -40 and one.points.max() < 400 for one in train)


def test_a_csv(tmp_path, points):
    for name in points:
        picture(tmp_path / name)
    table(tmp_path / "mine.csv", points)
    found = read_point_set(tmp_path / "mine.csv")
    assert found.name == "mine"
    assert [one.name for one in found.pictures] == list(points)
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(UserError, match=r"mine.csv: 1 of 3 pictures are not there, such as b.jpg"):
        read_point_set(tmp_path / "mine.csv")


def test_points_alone_are_read_without_pictures(tmp_path, points):
    """As those of a hidden test set, whose labels lie apart."""
    table(tmp_path / "mine.csv", points)
    write_annotations(tmp_path / "annot.pkl", points)
    for path in (tmp_path / "mine.csv", tmp_path / "annot.pkl", tmp_path):
        with pytest.raises(UserError, match="3 of 3 pictures are not there"):
            read_point_set(path)
        assert [one.name for one in read_point_set(path, opened=False).pictures] == list(points)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows[:2], rows[2][:40]], r"line 3 has \d+ columns, not 139"),
        (lambda rows: [*rows, "x"], "line 5 has 1 columns, not 139"),
        (lambda rows: [rows[0].replace(",x5,", ",q5,"), *rows[1:]], "line 1 names no x5: make the set anew"),
        (lambda rows: [rows[0].replace("identity", "id"), *rows[1:]], "line 1 names no identity"),
        (lambda rows: [*rows[:3], rows[3].rpartition(",")[0] + ",nan"], "line 4, column y67: 'nan' is not a finite"),
    ],
)
def test_annotations_of_procedural_faces_that_are_wrong(tmp_path, points, change, message):
    table(tmp_path / "plain.csv", points)
    header, *rows = (tmp_path / "plain.csv").read_text().splitlines()
    rows = [f"split,identity,{header}", *(f"train,{number},{row}" for number, row in enumerate(rows))]
    (tmp_path / "frames").mkdir()
    (tmp_path / "annotations.csv").write_text("\n".join(change(rows)) + "\n")
    with pytest.raises(UserError, match=message):
        read_point_set(tmp_path, opened=False)


def test_what_is_none(tmp_path):
    with pytest.raises(UserError, match="no such folder or csv"):
        read_point_set(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"no points in it: expected annot\.pkl"):
        read_point_set(tmp_path)
    (tmp_path / "five.csv").write_text("image," + ",".join(f"x{i},y{i}" for i in range(5)) + "\na.jpg" + ",1" * 10)
    with pytest.raises(UserError, match="5 points an image, expected 68"):
        read_point_set(tmp_path / "five.csv")


def test_a_split_needs_people_on_both_sides(faces):
    pictures = read_point_set(faces).pictures
    learnt, held = split_by_person(pictures, 0.2, 1)
    assert {one.person for one in split_by_person(pictures[::-1], 0.2, 1)[1]} == {one.person for one in held}
    assert {one.person for one in split_by_person(pictures, 0.2, 2)[1]} != {one.person for one in held}
    assert len(learnt) == 48
    with pytest.raises(UserError, match="both sides need someone"):
        split_by_person(pictures, 0.01, 1)


def test_sources(tmp_path):
    assert PointSource.of("faces:12") == PointSource(tmp_path.__class__("faces"), 12)
    assert PointSource.of("faces") == PointSource(tmp_path.__class__("faces"), 1)
    with pytest.raises(UserError, match="at least once"):
        PointSource.of("faces:0")
