"""The image behind a feature row."""

from __future__ import annotations

from pathlib import Path

import cv2

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.file_list import names_of_rows, video_folder
from lwface.formats.image import encode_jpeg, read_rgb
from lwface.formats.image_walk import frames_in

SHOWN = 160  # pixels: the longest side of an image in the report, twice what a phone shows
QUALITY = 85  # of its JPEG


class RowImages:
    """Images of the rows of a feature file, by the list that the features were made from.

    Args:
        folder: its ``filelist.txt`` names the image of each row, or the folder of its frames; without a list, its
            images or folders of frames are the rows.
        rows: rows of the feature file.

    Raises:
        UserError: there is no such list, or it does not have one line a row.
    """

    def __init__(self, folder: PathLike, rows: int) -> None:
        self.folder = Path(folder)
        self._names = names_of_rows(folder, rows)

    def name(self, row: int) -> str:
        """The row's line in the list, as text that can be written as UTF-8."""
        return self._names[row].encode("utf-8", "replace").decode()

    def jpeg(self, row: int) -> bytes:
        """The row's image, or the middle frame of its video, as a JPEG of at most :data:`SHOWN` pixels a side.

        Raises:
            UserError, OSError: it is missing or does not decode.
        """
        path = self.folder / self._names[row]
        video = self.folder / video_folder(self.folder, self._names[row])
        if not path.is_file() and video.is_dir():
            frames = frames_in(video)
            if not frames:
                raise UserError(f"{video}: holds no frames")
            path = Path(frames[len(frames) // 2])
        image = read_rgb(path)
        scale = SHOWN / max(image.shape[:2])
        if scale < 1:
            height, width = (max(1, round(side * scale)) for side in image.shape[:2])
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return encode_jpeg(image, QUALITY)
