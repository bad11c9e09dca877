"""The tables of the facial keypoints challenge: golden text, any order of columns, and every fault with its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwface.base.errors import UserError
from lwface.formats.keypoint_images import (
    GREYS,
    AskedFaces,
    KeypointFaces,
    _checked_greys,
    _plain_greys,
    read_test,
    read_training,
    write_test,
    write_training,
)
from lwface.formats.keypoint_lookup import Lookup, read_lookup, write_lookup
from lwface.formats.keypoint_submission import read_submission, write_submission
from lwface.formats.keypoint_tables import FEATURES, FOUR, POINTS, challenge_file

IMAGE = " ".join(["7"] * GREYS)
VALUES = {name: f"{number}.5" for number, name in enumerate(FEATURES)}
LOOKUP = Lookup(np.array([1, 2, 3]), np.array([1, 1, 2]), np.array([0, 1, 20]), np.full(3, np.nan))


def training(tmp_path, *rows, header=(*FEATURES, "Image")):
    path = tmp_path / "training.csv"
    path.write_text("\n".join([",".join(header), *(",".join(row[name] for name in header) for row in rows)]) + "\n")
    return path


def written(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return path


def test_the_names_are_the_challenges():
    assert len(POINTS) == 15
    assert FEATURES[:4] == ("left_eye_center_x", "left_eye_center_y", "right_eye_center_x", "right_eye_center_y")
    assert FEATURES[-2:] == ("mouth_center_bottom_lip_x", "mouth_center_bottom_lip_y")
    assert set(FOUR) < set(POINTS)


def test_columns_may_be_in_any_order(tmp_path):
    row = {**VALUES, "Image": IMAGE, "nose_tip_x": "", "nose_tip_y": "NaN"}
    usual = read_training(training(tmp_path, row))
    mixed = read_training(training(tmp_path, row, header=("Image", *reversed(FEATURES))))
    expected = np.arange(30).reshape(15, 2) + 0.5
    expected[POINTS.index("nose_tip")] = np.nan
    for found in (usual, mixed):
        np.testing.assert_array_equal(found.points[0], expected)
        np.testing.assert_array_equal(found.images, np.full((1, 96, 96), 7))
    assert usual.known.sum() == 14


def test_written_is_read(tmp_path):
    random = np.random.default_rng(0)
    points = random.uniform(0, 96, (5, 15, 2)).round(3)
    points[random.random((5, 15)) < 0.3] = np.nan
    faces = KeypointFaces(random.integers(0, 256, (5, 96, 96)).astype(np.uint8), points)
    write_training(tmp_path / "training.csv", faces)
    found = read_training(tmp_path / "training.csv")
    np.testing.assert_array_equal(found.images, faces.images)
    np.testing.assert_array_equal(found.points, points)
    test = AskedFaces(np.array([4, 2, 9, 1, 3]), faces.images)
    write_test(tmp_path / "test.csv", test)
    np.testing.assert_array_equal(read_test(tmp_path / "test.csv").ids, test.ids)
    np.testing.assert_array_equal(read_test(tmp_path / "test.csv").images, faces.images)


def test_golden_text(tmp_path):
    image = np.zeros((1, 96, 96), np.uint8)
    image[0, 0, :3] = 255, 10, 9
    points = np.full((1, 15, 2), np.nan)
    points[0, 0] = 66.03356, 39
    write_training(tmp_path / "t.csv", KeypointFaces(image, points))
    text = (tmp_path / "t.csv").read_text()
    assert text == ",".join((*FEATURES, "Image")) + "\n66.034,39.000" + "," * 29 + "255 10 9" + " 0" * 9213 + "\n"
    write_lookup(tmp_path / "l.csv", LOOKUP._replace(locations=np.array([1.25, np.nan, 3])))
    assert (tmp_path / "l.csv").read_text() == (
        "RowId,ImageId,FeatureName,Location\n1,1,left_eye_center_x,1.250\n2,1,left_eye_center_y,\n3,2,nose_tip_x,3.000\n"
    )
    assert write_submission(tmp_path / "s.csv", LOOKUP, np.array([-1.0, 48.123456, 96.5])) == 2
    assert (tmp_path / "s.csv").read_text() == "RowId,Location\n1,0.00000\n2,48.12346\n3,96.00000\n"


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_greys_are_those_of_a_naive_reader(seed):
    random = np.random.default_rng(seed)
    words = [str(value) for value in random.choice([random.integers(0, 256), 0, 9, 10, 99, 100, 255], GREYS)]
    cell = " ".join(words)
    expected = [int(word) for word in words]
    assert _plain_greys(cell).tolist() == expected
    assert _checked_greys("f", 2, f" {cell}  ").tolist() == expected
    assert _plain_greys(f" {cell}") is None


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("", "is empty; expected 9216 greys"),
        (" ".join(["7"] * (GREYS - 1)), "9215 greys; expected 9216, 96 rows of 96"),
        (IMAGE + " 7", "9217 greys"),
        (IMAGE[:-1] + "256", "grey number 9216 is '256'; expected a whole number from 0 to 255"),
        ("300 " + IMAGE[2:], "grey number 1 is '300'"),
        (IMAGE[:-1] + "x", "grey number 9216 is 'x'"),
        ("-1 " + IMAGE[2:], "grey number 1 is '-1'"),
        ("7.0 " + IMAGE[2:], "grey number 1 is '7.0'"),
        ("\u0663 " + IMAGE[2:], "grey number 1 is"),
    ],
)
def test_images_that_are_none(tmp_path, image, message):
    good = {**VALUES, "Image": IMAGE}
    path = training(tmp_path, good, {**VALUES, "Image": image})
    with pytest.raises(UserError, match=rf"training\.csv, line 3, column Image: {message}"):
        read_training(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nose_tip_x": "1O"}, r"line 2, column nose_tip_x: '1O' is not a coordinate in pixels"),
        ({"nose_tip_x": "inf"}, r"line 2, column nose_tip_x: 'inf' is not a coordinate"),
        ({"nose_tip_x": ""}, r"line 2, column nose_tip_x: is empty, while nose_tip_y is not"),
        ({"mouth_left_corner_y": "nan"}, r"line 2, column mouth_left_corner_y: is empty, while mouth_left_corner_x is"),
    ],
)
def test_bad_cells(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        read_training(training(tmp_path, {**VALUES, "Image": IMAGE, **changes}))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (FEATURES, "line 1: there is no column Image"),
        ((*FEATURES[1:], "Image"), "line 1: there is no column left_eye_center_x"),
        ((*FEATURES, "Image", "Image"), "line 1, column 32: Image is there twice"),
        ((*FEATURES, "Image", "nose_tipx"), "line 1, column 32: unknown column 'nose_tipx': did you mean 'nose_tip_x'"),
    ],
)
def test_columns_that_are_wrong(tmp_path, header, message):
    with pytest.raises(UserError, match=message):
        read_training(training(tmp_path, {**VALUES, "Image": IMAGE, "nose_tipx": "1"}, header=header))


def test_rows_that_are_wrong(tmp_path):
    with pytest.raises(UserError, match="holds a header and no rows"):
        read_training(training(tmp_path))
    path = training(tmp_path, {**VALUES, "Image": IMAGE})
    path.write_text(path.read_text() + "1,2,3\n")
    with pytest.raises(UserError, match="line 3: 3 columns, the header has 31"):
        read_training(path)
    with pytest.raises(UserError, match="line 3, column ImageId: 4 is there twice, first in line 2"):
        read_test(written(tmp_path, f"ImageId,Image\n4,{IMAGE}\n4,{IMAGE}\n"))
    with pytest.raises(UserError, match="line 2, column ImageId: 'a' is not a whole number"):
        read_test(written(tmp_path, f"ImageId,Image\na,{IMAGE}\n"))


def test_lookup_tables(tmp_path):
    head = "RowId,ImageId,FeatureName,Location\n"
    found = read_lookup(
        written(tmp_path, head + "1,1,left_eye_center_x,?\n2,1,left_eye_center_y,\n3,2,nose_tip_x,4.5\n")
    )
    for name in ("rows", "images", "features"):
        assert getattr(found, name).tolist() == getattr(LOOKUP, name).tolist()
    np.testing.assert_array_equal(found.locations, [np.nan, np.nan, 4.5])
    assert len(read_lookup(written(tmp_path, "FeatureName,RowId,ImageId\nnose_tip_y,5,1\n")).rows) == 1
    for row, message in (
        ("2,1,nose_x,", "line 3, column FeatureName: unknown feature 'nose_x': did you mean 'nose_tip_x'"),
        ("1,1,nose_tip_y,", "line 3, column RowId: 1 is there twice, first in line 2"),
        ("2,1,nose_tip_x,", "line 3, column FeatureName: nose_tip_x of image 1 is asked for twice, first in line 2"),
        ("2,1,nose_tip_y,x", "line 3, column Location: 'x' is not a coordinate"),
        ("-2,1,nose_tip_y,", "line 3, column RowId: '-2' is not a whole number from 0 to"),
        (f"{2**63},1,nose_tip_y,", f"line 3, column RowId: '{2**63}' is not a whole number from 0 to {2**63 - 1}"),
        (f"2,{10**30},nose_tip_y,", f"line 3, column ImageId: '{10**30}' is not a whole number from 0 to"),
    ):
        with pytest.raises(UserError, match=message):
            read_lookup(written(tmp_path, f"{head}1,1,nose_tip_x,\n{row}\n"))


def test_submissions(tmp_path):
    path = written(tmp_path, "Location,RowId\n96,3\n0,1\n1.5e+01,2\n")
    assert read_submission(path, LOOKUP).tolist() == [0, 15, 96]
    for text, message in (
        ("1,1\n1,2\n", "line 3, column RowId: 1 is there twice, first in line 2"),
        ("4,1\n", "line 2, column RowId: 4 is not in the lookup table"),
        ("1,96.01\n", "line 2, column Location: 96.01 is outside; expected 0 to 96"),
        ("1,-0.5\n", "line 2, column Location: -0.5 is outside"),
        ("1,\n", "line 2, column Location: is empty"),
        ("1,1\n3,1\n", r"RowId 2 \(left_eye_center_y of image 1\) is missing, 1 of 3 rows in all"),
    ):
        with pytest.raises(UserError, match=message):
            read_submission(written(tmp_path, "RowId,Location\n" + text), LOOKUP)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="none: no such folder"):
        challenge_file(tmp_path / "none", "training.csv")
    with pytest.raises(UserError, match=r"training\.csv: no such file: get it from Kaggle"):
        challenge_file(tmp_path, "training.csv")
    (tmp_path / "training.zip").touch()
    with pytest.raises(UserError, match=r"training\.csv: no such file: unpack .*training\.zip"):
        challenge_file(tmp_path, "training.csv")
