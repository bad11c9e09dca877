"""From photographs to points and aligned faces, with the models that come inside the package.

What a program asks for by ``lwface.landmarks`` and ``lwface.align``, and what ``lwface compare`` does with photographs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from os import PathLike as AnyPath
from os import fspath

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.detection.base import PointFinder
from lwface.detection.choices import LARGEST, MIN_FACE, OWN
from lwface.detection.selection import IF_NONE, UNCLEAR, FaceFinder, FoundFace, verdicts
from lwface.formats.alignment import CROP_SIZE
from lwface.formats.alignment import align as crop_by_points
from lwface.formats.image import read_rgb
from lwface.formats.landmark_order import MAX_RESIDUAL
from lwface.landmarks.opening import face_finder, open_points
from lwface.landmarks.scheme import POINTS
from lwface.models.shipped import LANDMARKS, shipped_path

BY_HAND = "cut the picture to one face, or align it by points of your own: lwface align-faces --landmarks"


@functools.cache
def usual_finder() -> FaceFinder:
    """The package's own detector and 68 points; opened once a process.

    Its own whatever else is installed: the card of the package's face network tells the scores of these three together.

    Raises:
        UserError: a model of the package is damaged.
    """
    return face_finder(OWN, None, None, IF_NONE)


@functools.cache
def usual_points() -> PointFinder:
    """The package's own 68 points, without a detector; opened once a process."""
    return open_points(str(shipped_path(LANDMARKS)))


def landmarks(image: NDArray[np.uint8] | PathLike, boxes: NDArray[np.floating] | None = None) -> NDArray[np.float32]:
    """The 68 points of each face in a photograph, in iBUG's order.

    Args:
        image: (H, W, 3) uint8 RGB, or the path of an image file.
        boxes: (N, 4) left, top, right, bottom of the faces, in pixels: the least box around a face's points, from brow
            to chin. None: faces are looked for, and N is how many are found.

    Returns:
        (N, 68, 2), x then y, in pixels of the picture; the centre of the first pixel is at (0, 0). The surest face is
        first, or the order is that of ``boxes``.

    Raises:
        UserError: no image, or no boxes.
        OSError: the file cannot be read.
    """
    picture, _ = opened(image, 1)
    if boxes is not None:
        return np.asarray(usual_points()(picture, _checked(boxes)), np.float32)
    found = usual_finder()(picture)
    return np.stack([face.points for face in found]) if found else np.empty((0, POINTS, 2), np.float32)


def align(photographs: Sequence[NDArray[np.uint8] | PathLike]) -> NDArray[np.uint8]:
    """The face that each photograph is of, upright in a crop of 112x112, as the networks here take it.

    Of several faces the largest and most central one is meant; where that is not clear it is an error.

    Args:
        photographs: N arrays (H, W, 3) uint8 RGB of any size, or paths of image files. N may be 0.

    Returns:
        (N, 112, 112, 3) uint8 RGB.

    Raises:
        UserError: one has no face, or several of similar size, or is no image; the message names it.
        OSError: a file cannot be read.
    """
    if isinstance(photographs, str | AnyPath):
        raise UserError(f"{fspath(photographs)!r} is one photograph: expected a list, [{fspath(photographs)!r}]")
    crops = []
    for number, photograph in enumerate(photographs, start=1):
        image, name = opened(photograph, number)
        crops.append(crop_by_points(image, meant_face(image, name).points))
    return np.stack(crops) if crops else np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)


def opened(photograph: NDArray[np.uint8] | PathLike, number: int) -> tuple[NDArray[np.uint8], str]:
    """The picture (H, W, 3) uint8 RGB, and what messages call it: its file, or its number."""
    if isinstance(photograph, str | AnyPath):
        return read_rgb(photograph), fspath(photograph)
    image = np.asarray(photograph)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        got = f"{image.dtype} {image.shape}"
        raise UserError(f"photograph {number} is {got}: expected (H, W, 3) uint8, RGB from 0 to 255, or a path")
    return image, f"photograph {number}"


def meant_face(image: NDArray[np.uint8], name: str) -> FoundFace:
    """The face that the picture ``image`` is of; :class:`UserError` that begins with ``name`` where there is none."""
    faces = usual_finder()(image)
    reasons = verdicts(faces, image.shape[:2], LARGEST, MIN_FACE)
    used = [face for face, reason in zip(faces, reasons, strict=True) if not reason]
    if not faces:
        raise UserError(f"{name}: no face was found in it; {BY_HAND}")
    if UNCLEAR in reasons:
        raise UserError(f"{name}: has {reasons.count(UNCLEAR)} faces, and it is not clear which is meant; {BY_HAND}")
    if not used:
        raise UserError(f"{name}: its face is too small, less than {MIN_FACE:g} pixels; take a larger picture")
    if used[0].residual > MAX_RESIDUAL:
        raise UserError(f"{name}: what was found in it does not look like a face; {BY_HAND}")
    return used[0]


def _checked(boxes: NDArray[np.floating]) -> NDArray[np.float32]:
    given = np.asarray(boxes)
    if given.size == 0:
        return np.empty((0, 4), np.float32)
    if given.ndim != 2 or given.shape[1] != 4 or given.dtype.kind not in "iuf":
        raise UserError(f"boxes of shape {given.shape}: expected (N, 4), left, top, right, bottom; one is boxes[None]")
    found = given.astype(np.float32)
    if not np.isfinite(found).all() or not (found[:, 2:] > found[:, :2]).all():
        raise UserError(
            "a box without an inside: expected left, top, right, bottom in pixels, left < right and top < bottom"
        )
    return found
