"""The image behind a feature row."""

from __future__ import annotations

from pathlib import Path

import cv2

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.file_list import frames_of, read_image_list
from lwface.formats.image import encode_jpeg, read_rgb

SHOWN = 160  # pixels: the longest side of an image in the report, twice what a phone shows
QUALITY = 85  # of its JPEG


class RowImages:
    """Images of the rows of a feature file, by the list that the features were made from.

    Args:
        folder: its ``filelist.txt`` names the image of each row, or the folder of its frames.
        rows: rows of the feature file.

    Raises:
        UserError: there is no such list, or it does not have one line a row.
    """

    def __init__(self, folder: PathLike, rows: int) -> None:
        self.folder = Path(folder)
        self._names = read_image_list(folder)
        if len(self._names) != rows:
            found = f"{self.folder}: its filelist.txt has {len(self._names)} lines for {rows} feature rows"
            raise UserError(f"{found}; give the folder that the features were made from")

    def name(self, row: int) -> str:
        """The row's line in the list, as text that can be written as UTF-8."""
        return self._names[row].encode("utf-8", "replace").decode()

    def jpeg(self, row: int) -> bytes:
        """The row's image, or the middle frame of its video, as a JPEG of at most :data:`SHOWN` pixels a side.

        Raises:
            UserError, OSError: it is missing or does not decode.
        """
        path = self.folder / self._names[row]
        video = self.folder / self._names[row].split()[0]
        if not path.is_file() and video.is_dir():
            frames = frames_of(video)
            if not frames:
                raise UserError(f"{video}: holds no frames")
            path = Path(frames[len(frames) // 2])
        image = read_rgb(path)
        scale = SHOWN / max(image.shape[:2])
        if scale < 1:
            height, width = (max(1, round(side * scale)) for side in image.shape[:2])
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return encode_jpeg(image, QUALITY)
