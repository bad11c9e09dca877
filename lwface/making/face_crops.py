"""How an image file becomes the encoded 112x112 face that data sets are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.alignment import CROP_SIZE, align
from lwface.formats.face_csv import FaceRow, is_face_table, read_faces
from lwface.formats.image import decode_rgb, encode_jpeg, image_damage
from lwface.formats.image_files import JPEG_QUALITY, JPEG_START
from lwface.formats.landmark_csv import read_landmarks
from lwface.formats.landmark_order import LandmarkOrder
from lwface.formats.orientation import carries_turn, orientation
from lwface.making.landmark_reading import LandmarkReading, check_landmarks, no_name_fits


class Skip(Exception):
    """This image is left out, and why."""


@dataclass
class CropRecipe:
    """Aligns where there are ``landmarks`` (by name of the image), resizes only where asked, else takes 112x112 as is.

    A JPEG that needs no change is taken byte for byte: encoding it again would lose a little. One that its EXIF turns
    is encoded upright, without the tag: not every reader of records and packs would turn it.

    Attributes:
        images: of the faces of a table, by the name that each has here; any other name is an image's own.
        reasons: why an image has no landmarks, where a table of faces says so.
    """

    root: PathLike
    landmarks: dict[str, np.ndarray] | None = None
    resize: bool = False
    quality: int = JPEG_QUALITY
    reading: LandmarkReading = field(default_factory=LandmarkReading)
    images: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    size: int = field(default=CROP_SIZE, init=False)

    def __post_init__(self) -> None:
        if self.landmarks is not None and self.resize:
            raise UserError("--landmarks aligns to the final size; leave --resize out")
        if not 1 <= self.quality <= 100:
            raise UserError(f"--quality {self.quality} is not from 1 to 100")

    def encoded(self, name: str) -> bytes:
        """The JPEG of the image ``name`` below the root; :class:`Skip` with the reason when it cannot be used."""
        data = (Path(self.root) / self.images.get(name, name)).read_bytes()
        image = decode_rgb(data)
        if image is None:
            raise Skip(image_damage(data) or "not an image that can be decoded")
        if self.landmarks is not None:
            if name not in self.landmarks:
                raise Skip(self.reasons.get(name, "no landmarks"))
            return self._aligned(image, self.landmarks[name], orientation(data))
        if image.shape[:2] == (self.size, self.size):
            as_it_is = data.startswith(JPEG_START) and not carries_turn(data)
            return data if as_it_is else encode_jpeg(image, self.quality)
        if not self.resize:
            raise Skip(f"not {self.size}x{self.size} (align it with --landmarks, or --resize)")
        shrinks = min(image.shape[:2]) >= self.size
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return encode_jpeg(cv2.resize(image, (self.size, self.size), interpolation=method), self.quality)

    def _aligned(self, image: np.ndarray, points: np.ndarray, turned: int) -> bytes:
        """The crop by a row of landmarks; :class:`Skip` where these cannot be right."""
        fault = self.reading.fault(points, turned, image.shape[:2])
        if fault:
            raise Skip(fault)
        try:
            return encode_jpeg(
                align(image, self.reading.face(points, turned, image.shape[:2]), self.size), self.quality
            )
        except UserError as error:
            raise Skip(str(error)) from None

    def faces(self, names: Sequence[str]) -> list[str]:
        """The images ``names``, with each that has faces in a table replaced by these.

        Raises:
            UserError: the crops of two would have one name.
        """
        of_image: dict[str, list[str]] = {}
        for face, image in self.images.items():
            of_image.setdefault(image, []).append(face)
        found = [face for name in names for face in of_image.get(name, [name])]
        check_face_names(found)
        return found

    def attempt(self, name: str) -> bytes | Skip:
        """Like :meth:`encoded`, with the reason returned: for workers."""
        try:
            return self.encoded(name)
        except Skip as reason:
            return reason


def crop_recipe(
    root: Path,
    names: Sequence[str],
    landmarks: Path | None,
    resize: bool,
    quality: int,
    reading: LandmarkReading | None = None,
    *,
    several: bool = False,
) -> CropRecipe:
    """The recipe that the flags of a command ask for, for the images ``names``; ``landmarks`` is the csv.

    It may be a table of faces (:mod:`lwface.formats.face_csv`), of which an image may have more than one where
    ``several`` is set. Its points were found in the pictures themselves, in our order, and each face is judged alone.

    Raises:
        UserError: the csv is malformed or cannot be right for these images, or two flags do not go together.
    """
    reading = reading or LandmarkReading()
    if landmarks is None:
        return CropRecipe(root, None, resize, quality, reading)
    if is_face_table(landmarks):
        return _recipe_of_faces(CropRecipe(root, {}, resize, quality, reading), landmarks, names, several)
    points = read_landmarks(landmarks)
    recipe = CropRecipe(root, points, resize, quality, reading)
    check_landmarks(landmarks, root, points, names, reading)
    return recipe


def _recipe_of_faces(recipe: CropRecipe, table: Path, names: Sequence[str], several: bool) -> CropRecipe:
    """``recipe`` with the faces of the csv ``table``, the first of an image by its own name."""
    faces = read_faces(table)
    known = set(names)
    if not any(row.image in known for row in faces):
        raise no_name_fits(table, recipe.root, [row.image for row in faces], names)
    points: dict[str, np.ndarray] = {}
    images: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for row in faces:
        if not row.use or row.points is None:
            reasons.setdefault(row.image, row.reason or "not to be used, says the table")
            continue
        name = face_name(row) if several else row.image
        if name in points:
            remedy = "number them under face" if several else "datasets/align_faces.py makes a crop of each"
            raise UserError(f"{table}: {row.image} has several faces that are to be used: {remedy}")
        points[name], images[name] = row.points, row.image
    order = recipe.reading.order or LandmarkOrder()
    return replace(
        recipe, landmarks=points, images=images, reasons=reasons, reading=replace(recipe.reading, order=order)
    )


def face_name(row: FaceRow) -> str:
    """What a face of a picture is called: the first as the picture, ``a/b.png``, the second ``a/b.face2.png``."""
    stem, dot, ending = row.image.rpartition(".")
    return row.image if row.face <= 1 else f"{stem}.face{row.face}{dot}{ending}"


def check_face_names(names: Sequence[str]) -> None:
    """:class:`UserError` where two of ``names`` differ in nothing but the ending, so that their crops would be one."""
    of_stem: dict[str, str] = {}
    for name in names:
        other = of_stem.setdefault(name.rpartition(".")[0], name)
        if other is not name:
            raise UserError(f"the crops of {other} and of {name} would have one name: rename the picture {other}")
