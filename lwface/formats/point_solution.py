"""``solution.txt`` of the light-weight landmark challenge: an image's name and its 68 points on a line.

137 fields with a space between them, ``image03227.jpg 66.4271 129.7086 ...``, x before y, in pixels of the original
image, in any order of the images. What is handed in is a zip with this file in it and no folder.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.formats.text_files import numbered_lines, numbered_lines_of

SOLUTION = "solution.txt"
POINTS = 68
FIELDS = 1 + 2 * POINTS
LARGEST = 64 * 2**20  # bytes of a solution that is unpacked; the challenge's 1790 rows have 2.3 MB
NAMES_SHOWN = 3
FARTHEST = 1e6  # pixels; what is beyond lies in no picture
# What Python's zipfile raises on damage: the last two on flags of encryption and of methods that it does not know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError)
_WRITTEN = frozenset("0123456789+-.eE")  # Python reads 1_0 and other scripts' digits as numbers, other programs do not


def write_solution(path: PathLike, points: Mapping[str, np.ndarray]) -> None:
    """Write ``solution.txt``.

    Args:
        points: by image, (68, 2), in pixels of the original image.

    Raises:
        UserError: an image's name holds a space, which would end the field.
    """
    for name in points:
        if len(name.split()) != 1:
            raise UserError(f"{name!r}: a solution's fields end at spaces, and this image's name holds one: rename it")
    with replacing(path, "w", encoding="utf-8", newline="\n") as file:
        for name, places in points.items():
            file.write(" ".join([name, *(f"{value:.4f}" for value in np.asarray(places).ravel())]) + "\n")


def zip_solution(path: PathLike, solution: PathLike) -> None:
    """Write a zip that holds ``solution`` as ``solution.txt``, and nothing else; equal content gives equal bytes."""
    entry = zipfile.ZipInfo(SOLUTION, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(entry, Path(solution).read_bytes(), zipfile.ZIP_DEFLATED)


def read_solution(path: PathLike, images: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The points (68, 2) float64 of each image of a ``solution.txt`` or of the zip of one.

    Args:
        images: what the test set holds; each must be there, and nothing else.

    Raises:
        UserError: the first row that is wrong, with its number, or what the zip holds instead.
    """
    path = Path(path)
    found: dict[str, np.ndarray] = {}
    for number, line in _rows(path):
        where = f"{path}: row {number}"
        fields = line.split(" ")
        if len(fields) != FIELDS:
            spaces = "; fields are separated by one space each" if "" in fields or len(line.split()) == FIELDS else ""
            raise UserError(f"{where} has {len(fields)} fields, expected {FIELDS}: a name and {POINTS} x, y{spaces}")
        name = fields[0]
        try:
            values = np.array(fields[1:], dtype=np.float64)
            written = _WRITTEN.issuperset(line[len(name) + 1 :].replace(" ", ""))
        except ValueError:
            written = False
        if not written:
            bad = next(position for position, field in enumerate(fields[1:], start=2) if not _is_number(field))
            raise UserError(f"{where}: field {bad} is {fields[bad - 1][:40]!r}, not a finite number")
        if not (np.abs(values) <= FARTHEST).all():
            bad = int(np.flatnonzero(~(np.abs(values) <= FARTHEST))[0]) + 2
            raise UserError(f"{where}: field {bad} is {fields[bad - 1][:40]!r}, farther than a picture is wide")
        if name in found:
            raise UserError(f"{where}: {name} has a row already")
        if images is not None and name not in images:
            raise UserError(f"{where}: {name} is no image of the test set")
        found[name] = values.reshape(POINTS, 2)
    if not found:
        raise UserError(f"{path}: it has no row")
    if images is not None and (lacking := [name for name in images if name not in found]):
        shown = ", ".join(lacking[:NAMES_SHOWN]) + (", ..." if len(lacking) > NAMES_SHOWN else "")
        raise UserError(f"{path}: no row for {len(lacking)} of the {len(images)} images: {shown}")
    return found


def _rows(path: Path) -> list[tuple[int, str]]:
    """The lines that are not empty, with their numbers from 1."""
    if path.suffix.lower() == ".zip":
        lines = numbered_lines_of(_unzipped(path), f"{path}: {SOLUTION}")
    else:
        lines = numbered_lines(path)
    return [(number, line) for number, line in lines if line]


def _unzipped(path: Path) -> bytes:
    """The one file that a zip of a solution holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if names != [SOLUTION]:
                held = ", ".join(names[:NAMES_SHOWN]) or "nothing"
                raise UserError(f"{path}: holds {held}; expected {SOLUTION}, without a folder, and nothing else")
            size = archive.getinfo(SOLUTION).file_size
            if size > LARGEST:
                raise UserError(f"{path}: {SOLUTION} has {size:,} bytes, more than the {LARGEST:,} that are read")
            with archive.open(SOLUTION) as file:
                return file.read(LARGEST + 1)
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(f"{path}: no zip, or a damaged one ({error})") from None


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return _WRITTEN.issuperset(field)
