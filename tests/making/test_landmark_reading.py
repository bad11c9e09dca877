"""Rows of landmarks that cannot be right are told, as a file and face by face, and the remedy is named."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.alignment import five_from_68
from lwface.formats.image import encode_jpeg
from lwface.formats.landmark_order import landmark_order
from lwface.making.face_crops import CropRecipe, Skip
from lwface.making.landmark_reading import LandmarkReading, check_landmarks
from lwface.synthetic.render import sample_image

DLIB_CORNERS = [45, 42, 36, 39, 33]  # of 68
Faces = dict[str, tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def faces() -> Faces:
    """Frames (192, 192, 3), cut to a width of 180, with their 68 points."""
    found = {}
    for person in range(6):
        picture = sample_image(5, person, 0)
        found[f"p{person}/0.jpg"] = picture.frame[:, :180], picture.landmarks68.astype(np.float64)
    return found


@pytest.fixture
def folder(tmp_path: Path, faces: Faces) -> Path:
    for name, (frame, _) in faces.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(encode_jpeg(frame))
    return tmp_path


def fives(faces: Faces) -> dict[str, np.ndarray]:
    return {name: five_from_68(points) for name, (_, points) in faces.items()}


def problem(folder: Path, rows: dict[str, np.ndarray], reading: LandmarkReading | None = None) -> str:
    """What is said about a csv of these rows; nothing where it is taken."""
    try:
        check_landmarks("points.csv", folder, rows, image_paths(folder), reading or LandmarkReading())
    except UserError as error:
        return str(error)
    return ""


def image_paths(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))


def turned_by(value: int, frame: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A JPEG that a viewer turns to ``frame``, by EXIF 6 or 8; and the stored pixel (x, y) of each pixel shown."""
    rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]]
    quarter = 1 if value == 6 else -1
    data = encode_jpeg(np.ascontiguousarray(np.rot90(frame, quarter)))
    block = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, value, 0, 0)
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    height, width = frame.shape[:2]
    stored = np.stack([rows, width - 1 - columns] if value == 6 else [height - 1 - rows, columns], axis=-1)
    return data, stored


def stored_points(points: np.ndarray, value: int, shape: tuple[int, ...]) -> np.ndarray:
    x, y = points.T
    return np.stack([y, shape[1] - 1 - x] if value == 6 else [shape[0] - 1 - y, x], axis=-1)


def test_the_right_order_passes(folder: Path, faces: Faces) -> None:
    assert not problem(folder, fives(faces))
    assert not problem(folder, {name: points for name, (_, points) in faces.items()})
    for name, points in fives(faces).items():
        assert isinstance(CropRecipe(folder, {name: points}).attempt(name), bytes)


@pytest.mark.parametrize("order", ["subject", "mouth-first", "mouth-first-subject", "mouth-before-nose", "arcface,yx"])
def test_another_order_is_refused_and_named(folder: Path, faces: Faces, order: str) -> None:
    found = landmark_order(order)
    rows = {}
    for name, five in fives(faces).items():
        row = np.empty_like(five)
        row[[int(column) for column in found.columns]] = five
        rows[name] = row[:, ::-1] if found.y_first else row
    assert f"under --landmark-order {order} the median residual is " in problem(folder, rows)
    if order != "mouth-first-subject":  # faces upside down but for little: arcface in so many words is believed
        assert "under --landmark-order" in problem(folder, rows, LandmarkReading(landmark_order("arcface")))
    reading = LandmarkReading(found)
    assert not problem(folder, rows, reading)
    name = "p0/0.jpg"
    wanted = CropRecipe(folder, fives(faces)).encoded(name)
    assert CropRecipe(folder, rows, reading=reading).encoded(name) == wanted


def test_dlib_s_five_are_refused_and_named_and_aligned_by_three(folder: Path, faces: Faces) -> None:
    rows = {name: points[DLIB_CORNERS] for name, (_, points) in faces.items()}
    assert "under --landmark-order dlib5 the median residual is " in problem(folder, rows)
    dlib5 = LandmarkReading(landmark_order("dlib5"))
    assert not problem(folder, rows, dlib5)
    assert "under --landmark-order arcface" in problem(folder, fives(faces), dlib5)
    assert isinstance(CropRecipe(folder, rows, reading=dlib5).attempt("p1/0.jpg"), bytes)


def test_pictures_that_lie_on_their_side_need_a_word(folder: Path, faces: Faces) -> None:
    """A right angle fits as well: it may be the pictures, or a swap of x and y with left and right."""
    lying = {name: stored_points(five, 6, (192, 180)) for name, five in fives(faces).items()}
    found = problem(folder, lying)
    assert "turned by 8" in found or "turned by 9" in found
    assert "if the pictures do lie so, say --landmark-order arcface" in found
    assert not problem(folder, lying, LandmarkReading(landmark_order("arcface")))


@pytest.mark.parametrize("scale", [(180, 192), (400, 400)])
def test_shares_of_the_size_are_refused(folder: Path, faces: Faces, scale: tuple[int, int]) -> None:
    rows = {name: five / scale for name, five in fives(faces).items()}
    assert "multiply x by the width" in problem(folder, rows)
    assert "from -1 to 1" in str(CropRecipe(folder, rows).attempt("p0/0.jpg"))


def test_single_rows_are_skipped_with_the_reason(folder: Path, faces: Faces) -> None:
    five = fives(faces)["p0/0.jpg"]
    for points, reason in (
        (five + 500, "outside the picture"),
        (five - [0, 130], "outside the picture"),
        (five[[1, 0, 2, 4, 3]], "do not fit a face"),
        (five[:, ::-1], "do not fit a face"),
        (np.full((5, 2), -1.0), "all at one place"),
    ):
        result = CropRecipe(folder, {"p0/0.jpg": points}).attempt("p0/0.jpg")
        assert isinstance(result, Skip)
        assert reason in str(result)
    wide = LandmarkReading(max_residual=25)
    assert isinstance(CropRecipe(folder, {"p0/0.jpg": five[[1, 0, 2, 4, 3]]}, reading=wide).attempt("p0/0.jpg"), bytes)


@pytest.mark.parametrize("value", [6, 8])
def test_points_of_stored_pixels(folder: Path, faces: Faces, value: int) -> None:
    shown = fives(faces)
    rows = {name: stored_points(five, value, (192, 180)) for name, five in shown.items()}
    for name, (frame, _) in faces.items():
        (folder / name).write_bytes(turned_by(value, frame)[0])
    stored = LandmarkReading(stored=True)
    assert "under --landmark-pixels stored" in problem(folder, rows)
    assert "under --landmark-pixels shown" in problem(folder, shown, stored)
    assert not problem(folder, rows, stored)
    assert not problem(folder, shown)
    name = "p2/0.jpg"
    assert "--landmark-pixels stored" in str(CropRecipe(folder, rows).attempt(name))
    assert "--landmark-pixels shown" in str(CropRecipe(folder, shown, reading=stored).attempt(name))
    wanted = CropRecipe(folder, shown).encoded(name)
    assert CropRecipe(folder, rows, reading=stored).encoded(name) == wanted


def test_names_that_fit_nothing(folder: Path, faces: Faces) -> None:
    rows = {f"people/{name}": five for name, five in fives(faces).items()}
    found = problem(folder, rows)
    assert "none of its 6 names (such as 'people/p0/0.jpg') is one of the 6 images" in found
    assert "(such as 'p0/0.jpg')" in found
    assert "0 rows for 6 images" in problem(folder, {})
    one = {"p0/0.jpg": rows["people/p0/0.jpg"], **rows}
    assert not problem(folder, one)


def test_faces_that_were_not_found_do_not_decide(folder: Path, faces: Faces) -> None:
    rows = {name: five if name < "p2" else np.full((5, 2), -1.0) for name, five in fives(faces).items()}
    assert not problem(folder, rows)
    assert "all at one place" in problem(folder, {name: np.zeros((5, 2)) for name in rows})


@pytest.mark.parametrize("change", [lambda p: p / 2, lambda p: p / 1.92 * 0.5 + 3])
def test_points_of_smaller_copies(folder: Path, faces: Faces, change: Callable[[np.ndarray], np.ndarray]) -> None:
    rows = {name: change(five) for name, five in fives(faces).items()}
    assert "lie in the upper left quarter of their pictures" in problem(folder, rows)
    assert not problem(folder, rows, LandmarkReading(landmark_order("arcface")))
    few = {name: rows[name] for name in list(rows)[:4]}
    assert not problem(folder, few)


@pytest.mark.parametrize("columns", [[0, 1, 2, 3, 4], [1, 0, 2, 4, 3]])
def test_y_from_the_bottom(folder: Path, faces: Faces, columns: list[int]) -> None:
    """It is offered, as upside down the faces fit another order a little."""
    rows = {name: (five * [1, -1] + [0, 192])[columns] for name, five in fives(faces).items()}
    assert "if y is counted from the bottom of the picture, subtract it" in problem(folder, rows)
