"""Videos of one face as the montage challenge has them: an ``.npz`` of pictures and points, and a csv that names them.

The arrays, frames last: ``colorImages`` (H, W, 3, T) uint8 RGB, ``landmarks2D`` (68, 2, T) in pixels, x before y,
``boundingBox`` (4, 2, T) corners and ``landmarks3D`` (68, 3, T). The last two are written for other programs and never
read here. Nothing is unpickled. The csv has a column ``videoID`` and may have ``personName``; other columns are passed
over. A video is looked for beside its csv, and then where the published program looks, in ``data/*/`` below the current
folder.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing, write_text
from lwface.formats.text_files import table_rows

POINTS = 68
ENDING = ".npz"
_NUMBER_AT_END = re.compile(r"_\d+$")
_DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, OSError, NotImplementedError)


class ListedVideo(NamedTuple):
    """A row of the csv: the video's name, which is its file's without the ending, and whose face it shows."""

    name: str
    person: str


@dataclass(frozen=True)
class FaceVideo:
    """A video of one face.

    Attributes:
        images: (H, W, 3, T) uint8 RGB, as it lies in the file.
        points: (T, 68, 2) float64, pixels; NaN in frames without a face, which a ``.npz`` never has.
    """

    images: NDArray[np.uint8]
    points: NDArray[np.float64]

    @property
    def count(self) -> int:
        """How many frames."""
        return self.images.shape[3]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every frame."""
        return self.images.shape[0], self.images.shape[1]

    @property
    def with_face(self) -> NDArray[np.bool_]:
        """(T,) whether a frame has a face."""
        return np.asarray(np.isfinite(self.points).all(axis=(1, 2)))

    def frame(self, number: int) -> NDArray[np.uint8]:
        """Frame ``number`` from 0, (H, W, 3)."""
        return np.ascontiguousarray(self.images[..., number])


def read_face_video(path: PathLike) -> FaceVideo:
    """The whole of an ``.npz`` video.

    Raises:
        UserError: it is damaged, or lacks what a video has; names the file and what is wrong.
        FileNotFoundError: it is not there.
    """
    images, points = _members(path, ("colorImages", "landmarks2D"))
    if images.ndim != 4 or images.shape[2] != 3 or images.dtype != np.uint8 or 0 in images.shape:
        raise UserError(f"{path}: colorImages is {_told(images)}; expected uint8 of (H, W, 3, frames)")
    return FaceVideo(np.asarray(images, np.uint8), _checked_points(path, points, images.shape[3]))


def read_points(path: PathLike) -> NDArray[np.float64]:
    """The points alone, (T, 68, 2) float64; errors as in :func:`read_face_video`."""
    (points,) = _members(path, ("landmarks2D",))
    return _checked_points(path, points, points.shape[-1] if points.ndim == 3 else 0)


def read_frame_size(path: PathLike) -> tuple[int, int]:
    """(height, width) of the frames, from the header of their array; no picture is read."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("colorImages.npy") as member:
            version = np.lib.format.read_magic(member)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape = reader(member)[0]
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    if len(shape) != 4 or 0 in shape:
        raise UserError(f"{path}: colorImages is of {shape}; expected (H, W, 3, frames)")
    return int(shape[0]), int(shape[1])


def _members(path: PathLike, names: Sequence[str]) -> list[NDArray[np.generic]]:
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise UserError(f"{path}: is a single array; expected an .npz with {' and '.join(names)}")
            missing = [name for name in names if name not in archive.files]
            if missing:
                held = ", ".join(archive.files[:6]) or "nothing"
                raise UserError(f"{path}: has no {missing[0]} in it, only {held}; expected a video of the challenge")
            return [archive[name] for name in names]
    except (UserError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except _DAMAGE as error:
        raise _damaged(path, error) from None


def _damaged(path: PathLike, error: Exception) -> UserError:
    why = " ".join(str(error).split()) or type(error).__name__
    if "pickle" in why:  # NumPy's words, which advise to unpickle it
        why = "it holds Python objects, which are not unpickled, or no array at all"
    return UserError(f"{path}: is damaged or no .npz video: {why}")


def _checked_points(path: PathLike, points: NDArray[np.generic], frames: int) -> NDArray[np.float64]:
    if points.shape != (POINTS, 2, frames) or points.dtype.kind not in "fiu" or frames == 0:
        raise UserError(f"{path}: landmarks2D is {_told(points)}; expected numbers of (68, 2, {frames or 'frames'})")
    turned = np.ascontiguousarray(points.transpose(2, 0, 1), np.float64)
    wrong = np.flatnonzero(~np.isfinite(turned).all(axis=(1, 2)))
    if len(wrong):
        raise UserError(f"{path}: landmarks2D of frame {wrong[0]} are not all finite numbers")
    return turned


def _told(array: NDArray[np.generic]) -> str:
    return f"{array.dtype} of {array.shape}"


def write_face_video(path: PathLike, images: NDArray[np.uint8], points: NDArray[np.floating]) -> None:
    """Write frames (T, H, W, 3) and their points (T, 68, 2), beside and renamed; depths, not known, are 0."""
    low, high = points.min(axis=1), points.max(axis=1)  # (T, 2)
    corners = np.stack([low, np.stack([low[:, 0], high[:, 1]], 1), high, np.stack([high[:, 0], low[:, 1]], 1)])
    flat = np.concatenate([points, np.zeros_like(points[..., :1])], axis=2)
    with replacing(path) as file:
        np.savez_compressed(
            file,
            colorImages=np.ascontiguousarray(images.transpose(1, 2, 3, 0)),
            boundingBox=corners.transpose(0, 2, 1),
            landmarks2D=points.transpose(1, 2, 0),
            landmarks3D=flat.transpose(1, 2, 0),
        )


def read_video_list(path: PathLike) -> list[ListedVideo]:
    """The videos that a csv names, in its order; the person is ``personName``, or the name without its number.

    Raises:
        UserError: there is no column ``videoID``, a name is there twice, is no name of a file, or there is none.
    """
    rows = table_rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    if "videoID" not in header:
        raise UserError(f"{path}: line 1 has no column videoID; it has {', '.join(header) or 'nothing'}")
    column = header.index("videoID")
    people = header.index("personName") if "personName" in header else None
    found: dict[str, ListedVideo] = {}
    for line, row in rows:
        if not any(row):
            continue
        if len(row) != len(header):
            raise UserError(f"{path}: line {line} has {len(row)} columns, not {len(header)}")
        name = row[column].strip()
        if not name or "/" in name or "\0" in name or name in (".", ".."):
            raise UserError(f"{path}: line {line}: videoID {name!r} is no name of a file")
        if name in found:
            raise UserError(f"{path}: line {line}: {name} is there twice")
        person = row[people].strip() if people is not None else ""
        found[name] = ListedVideo(name, person or person_of(name))
    if not found:
        raise UserError(f"{path}: names no video")
    return list(found.values())


def person_of(name: str) -> str:
    """Whose video it is by its name: ``Jan_Ullrich`` of ``Jan_Ullrich_12``."""
    return _NUMBER_AT_END.sub("", name)


def write_video_list(path: PathLike, rows: Iterator[tuple[ListedVideo, tuple[int, int], int]]) -> None:
    """A csv with the columns of the published one that are known here: of each video its (height, width) and frames."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["videoID", "personName", "imageHeight", "imageWidth", "videoDuration"])
    for video, (height, width), frames in rows:
        writer.writerow([video.name, video.person, height, width, frames])
    write_text(path, text.getvalue())


def find_video(table: PathLike, name: str) -> Path | None:
    """Where the video ``name`` of the csv ``table`` lies; None where it is nowhere."""
    beside = Path(table).parent / f"{name}{ENDING}"
    if beside.is_file():
        return beside
    below = sorted(Path("data").glob("*/")) if Path("data").is_dir() else []
    return next((path for path in (folder / f"{name}{ENDING}" for folder in below) if path.is_file()), None)
