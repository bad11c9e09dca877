"""Contact sheets of crops, to look at: a wrong order of landmarks shows at the first glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from lwface.base.files import PathLike, replacing
from lwface.formats.alignment import CROP_SIZE
from lwface.formats.image import encode_jpeg

MOST = 64
COLUMNS = 8
SHEET = "contact_sheet.jpg"
_GAP, _LINE, _LETTERS = 4, 14, 18  # pixels between crops, pixels of the line below one, letters that fit there


def sheet_beside(output: Path) -> Path:
    """Where the sheet of the file or folder ``output`` lies that is to hold nothing but its own."""
    return output.with_name(f"{output.stem if output.suffix == '.bin' else output.name}.{SHEET}")


def spread(count: int) -> list[int]:
    """Up to :data:`MOST` of ``count`` positions, evenly spread, the first and the last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, MOST)).round().astype(int).tolist()))


def write_sheet(path: PathLike, crops: Sequence[tuple[str, np.ndarray | None]]) -> None:
    """Write ``(name, crop (112, 112, 3) RGB)`` as one JPEG, the end of each name below it, beside and renamed."""
    height, width = CROP_SIZE + _LINE + _GAP, CROP_SIZE + _GAP
    rows, columns = -(-len(crops) // COLUMNS), min(COLUMNS, len(crops))
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), 255, np.uint8)
    for place, (name, crop) in enumerate(crops):
        top, left = place // COLUMNS * height + _GAP, place % COLUMNS * width + _GAP
        if crop is not None:
            sheet[top : top + CROP_SIZE, left : left + CROP_SIZE] = crop
        text = name.rpartition(".")[0][-_LETTERS:].encode("ascii", "replace").decode()
        where = (left, top + CROP_SIZE + _LINE - 4)
        cv2.putText(sheet, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.33, (0, 0, 0), 1, cv2.LINE_AA)
    with replacing(path) as file:
        file.write(encode_jpeg(sheet))
