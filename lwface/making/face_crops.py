"""How an image file becomes the encoded 112x112 face that data sets are made of."""

from __future__ import annotations

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
from lwface.formats.orientation import carries_turn


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
            points = self.landmarks.get(name)
            if points is None:
                raise Skip("no landmarks")
            try:
                return encode_jpeg(align(image, points, self.size), self.quality)
            except UserError as error:
                raise Skip(str(error)) from None
        if image.shape[:2] == (self.size, self.size):
            as_it_is = data.startswith(JPEG_START) and not carries_turn(data)
            return data if as_it_is else encode_jpeg(image, self.quality)
        if not self.resize:
            raise Skip(f"not {self.size}x{self.size} (align it with --landmarks, or --resize)")
        shrinks = min(image.shape[:2]) >= self.size
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return encode_jpeg(cv2.resize(image, (self.size, self.size), interpolation=method), self.quality)

    def attempt(self, name: str) -> bytes | Skip:
        """Like :meth:`encoded`, with the reason returned: for workers."""
        try:
            return self.encoded(name)
        except Skip as reason:
            return reason


def crop_recipe(root: Path, landmarks: Path | None, resize: bool, quality: int) -> CropRecipe:
    """The recipe that the flags of a command ask for; ``landmarks`` is the csv.

    Raises:
        UserError: the csv is malformed, or two of them do not go together.
    """
    return CropRecipe(root, read_landmarks(landmarks) if landmarks else None, resize, quality)
