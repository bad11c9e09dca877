"""How an image file becomes the encoded 112x112 face that data sets are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.alignment import CROP_SIZE, align
from lwface.formats.image import decode_rgb, encode_jpeg, image_damage
from lwface.formats.image_files import JPEG_QUALITY, JPEG_START
from lwface.formats.landmark_csv import read_landmarks
from lwface.formats.orientation import carries_turn, orientation
from lwface.making.landmark_reading import LandmarkReading, check_landmarks


class Skip(Exception):
    """This image is left out, and why."""


@dataclass
class CropRecipe:
    """Aligns where there are ``landmarks`` (by name of the image), resizes only where asked, else takes 112x112 as is.

    A JPEG that needs no change is taken byte for byte: encoding it again would lose a little. One that its EXIF turns
    is encoded upright, without the tag: not every reader of records and packs would turn it.
    """

    root: PathLike
    landmarks: dict[str, np.ndarray] | None = None
    resize: bool = False
    quality: int = JPEG_QUALITY
    reading: LandmarkReading = field(default_factory=LandmarkReading)
    size: int = field(default=CROP_SIZE, init=False)

    def __post_init__(self) -> None:
        if self.landmarks is not None and self.resize:
            raise UserError("--landmarks aligns to the final size; leave --resize out")
        if not 1 <= self.quality <= 100:
            raise UserError(f"--quality {self.quality} is not from 1 to 100")

    def encoded(self, name: str) -> bytes:
        """The JPEG of the image ``name`` below the root; :class:`Skip` with the reason when it cannot be used."""
        data = (Path(self.root) / name).read_bytes()
        image = decode_rgb(data)
        if image is None:
            raise Skip(image_damage(data) or "not an image that can be decoded")
        if self.landmarks is not None:
            return self._aligned(image, self.landmarks.get(name), orientation(data))
        if image.shape[:2] == (self.size, self.size):
            as_it_is = data.startswith(JPEG_START) and not carries_turn(data)
            return data if as_it_is else encode_jpeg(image, self.quality)
        if not self.resize:
            raise Skip(f"not {self.size}x{self.size} (align it with --landmarks, or --resize)")
        shrinks = min(image.shape[:2]) >= self.size
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return encode_jpeg(cv2.resize(image, (self.size, self.size), interpolation=method), self.quality)

    def _aligned(self, image: np.ndarray, points: np.ndarray | None, turned: int) -> bytes:
        """The crop by a row of landmarks; :class:`Skip` where these cannot be right."""
        if points is None:
            raise Skip("no landmarks")
        fault = self.reading.fault(points, turned, image.shape[:2])
        if fault:
            raise Skip(fault)
        try:
            return encode_jpeg(
                align(image, self.reading.face(points, turned, image.shape[:2]), self.size), self.quality
            )
        except UserError as error:
            raise Skip(str(error)) from None

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
) -> CropRecipe:
    """The recipe that the flags of a command ask for, for the images ``names``; ``landmarks`` is the csv.

    Raises:
        UserError: the csv is malformed or cannot be right for these images, or two flags do not go together.
    """
    points = read_landmarks(landmarks) if landmarks else None
    reading = reading or LandmarkReading()
    recipe = CropRecipe(root, points, resize, quality, reading)
    if landmarks and points is not None:
        check_landmarks(landmarks, root, points, names, reading)
    return recipe
