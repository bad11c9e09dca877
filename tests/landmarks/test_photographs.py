"""Photographs to points and aligned faces by the models of the package, on generated faces whose points are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lwface
from lwface.base.errors import UserError
from lwface.formats.alignment import align, five_from_68
from lwface.formats.image import encode_jpeg
from lwface.landmarks.cropping import box_of
from lwface.networks import create_network
from lwface.synthetic.render import Picture, sample_image
from tests.documented_programs import SETTINGS

WALL = np.full((200, 240, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def faces() -> list[Picture]:
    return [sample_image(11, person, 0, difficulty=0.5) for person in range(6)]


def nme(found: np.ndarray, true: np.ndarray) -> float:
    """Mean distance over the root of the area of the true points' box."""
    return float(np.linalg.norm(found - true, axis=-1).mean() / np.sqrt(np.ptp(true, axis=-2).prod()))


def test_points_in_boxes_that_are_given(faces):
    errors = [nme(lwface.landmarks(face.frame, box_of(face.landmarks68)[None])[0], face.landmarks68) for face in faces]
    assert max(errors) < 0.025  # 0.018 where they were made
    assert np.mean(errors) < 0.02  # 0.0142


def test_points_of_faces_that_are_found(faces, tmp_path):
    for face in faces[:3]:
        (found,) = lwface.landmarks(face.frame)
        assert found.dtype == np.float32
        assert nme(found, face.landmarks68) < 0.06
    (tmp_path / "a.png").write_bytes(encode_jpeg(faces[0].frame, quality=100))
    np.testing.assert_allclose(lwface.landmarks(tmp_path / "a.png"), lwface.landmarks(faces[0].frame), atol=2)
    assert lwface.landmarks(WALL).shape == (0, 68, 2)
    assert lwface.landmarks(WALL, np.empty((0, 4))).shape == (0, 68, 2)


def test_where_the_face_lies_changes_nothing_else(faces):
    """The same face elsewhere in a larger picture: the same points, moved."""
    box = box_of(faces[1].landmarks68)[None]
    larger = np.zeros((400, 500, 3), np.uint8)
    larger[120 : 120 + 192, 200 : 200 + 192] = faces[1].frame
    moved = lwface.landmarks(larger, box + np.array((200, 120, 200, 120)))
    np.testing.assert_allclose(moved - (200, 120), lwface.landmarks(faces[1].frame, box), atol=0.3)


def test_crops_are_those_of_the_points(faces, tmp_path):
    (tmp_path / "b.jpg").write_bytes(encode_jpeg(faces[1].frame))
    crops = lwface.align([faces[0].frame, tmp_path / "b.jpg"])
    assert crops.shape == (2, 112, 112, 3)
    points = lwface.landmarks(faces[0].frame)[0]
    np.testing.assert_array_equal(crops[0], align(faces[0].frame, five_from_68(points)))
    assert lwface.align([]).shape == (0, 112, 112, 3)


def test_features_of_photographs_are_those_of_their_crops(faces, tmp_path):
    torch.manual_seed(0)
    network = create_network(SETTINGS).eval()
    (tmp_path / "b.png").write_bytes(encode_jpeg(faces[1].frame, quality=100))
    both = [faces[0].frame, tmp_path / "b.png"]
    crops = lwface.align(both)
    np.testing.assert_array_equal(lwface.embed(network, both, align=True), lwface.embed(network, crops))
    assert lwface.compare(network, *both, align=True) == lwface.compare(network, *crops)


def test_what_cannot_be_aligned_is_named(faces, tmp_path):
    two = np.concatenate([face.frame for face in faces[:2]], axis=1)
    assert len(lwface.landmarks(two)) == 2
    (tmp_path / "no.jpg").write_bytes(b"text")
    for given, message in (
        ([faces[0].frame, two], r"photograph 2: has 2 faces, and it is not clear which is meant; cut the picture"),
        ([WALL], r"photograph 1: no face was found in it"),
        ([tmp_path / "no.jpg"], r"no\.jpg: cannot read this image"),
        ("a.jpg", r"'a\.jpg' is one photograph: expected a list"),
        ([WALL[..., 0]], r"photograph 1 is uint8 \(200, 240\): expected \(H, W, 3\) uint8"),
    ):
        with pytest.raises(UserError, match=message):
            lwface.align(given)
    with pytest.raises(FileNotFoundError):
        lwface.align([tmp_path / "gone.jpg"])


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros(4), r"boxes of shape \(4,\): expected \(N, 4\)"),
        (np.zeros((1, 4)), "a box without an inside"),
        (np.array([[0, 0, np.nan, 5]]), "a box without an inside"),
    ],
)
def test_boxes_that_are_none(boxes, message):
    with pytest.raises(UserError, match=message):
        lwface.landmarks(WALL, boxes)


def test_the_room_of_that_name_can_be_called_too(tmp_path: Path):
    program = (
        "import lwface; first = lwface.landmarks; import lwface.landmarks.cropping as c; from lwface import landmarks;"
        "print(callable(first), first is landmarks is lwface.landmarks, c.ROOM)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "True True 1.25\n", done.stderr
