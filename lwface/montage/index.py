"""The index of a database of videos: where each frame is, its landmarks, codes to search by, and thumbnails.

A folder ``NAME``: ``header.json`` (format, version, videos, and of each array its type, shape and CRC-32) and one
``.npy`` an array, frames first, in the order of the csv:

    points   (N, 68, 2) float32  landmarks, pixels of their frame
    places   (N, 32) float32     code of the landmarks over the frame's size, to show a frame as it is
    shapes   (N, 32) float32     code of the landmarks normalised for place, size and roll, to move it onto a face
    place_mean, place_basis, shape_mean, shape_basis   what makes the codes, :class:`~lwface.montage.shapes.Coder`
    whole    (N, 16, 16, 3) uint8   thumbnails of the frames      } only where the pictures were read
    faces    (N, 16, 16, 3) uint8   thumbnails of their faces     }

The folder is written beside its name and renamed; its arrays are mapped, not read, when it is opened.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing_folder
from lwface.montage.nearest import Neighbours
from lwface.montage.shapes import Coder, placed, shapes

FORMAT, VERSION = "lwface montage index", 1
HEADER = "header.json"
SIDE = 16  # of a thumbnail, pixels
_ARRAYS = ("points", "places", "shapes", "place_mean", "place_basis", "shape_mean", "shape_basis")
_THUMBNAILS = ("whole", "faces")
_CHUNK = 1 << 24  # bytes that are summed at once


class IndexedVideo(NamedTuple):
    """A video of the index: its name in the csv, who it shows, how many frames, of which (height, width), first row."""

    name: str
    person: str
    frames: int
    size: tuple[int, int]
    first: int


class VideoPart(NamedTuple):
    """What the index takes of a video.

    Attributes:
        points: (T, 68, 2), pixels.
        whole: (T, 16, 16, 3) uint8, or None where no pictures are read.
        faces: the same of the faces.
    """

    name: str
    person: str
    size: tuple[int, int]
    points: NDArray[np.floating]
    whole: NDArray[np.uint8] | None = None
    faces: NDArray[np.uint8] | None = None


@dataclass
class FrameIndex:
    """An index in memory, or mapped from its folder.

    Attributes:
        videos: in the order of their rows.
        points: (N, 68, 2) float32.
        places, shapes: (N, 32) float32 codes; ``place_coder`` and ``shape_coder`` make them.
        whole, faces: (N, 16, 16, 3) uint8, or None.
    """

    videos: list[IndexedVideo]
    points: NDArray[np.float32]
    places: NDArray[np.float32]
    shapes: NDArray[np.float32]
    place_coder: Coder
    shape_coder: Coder
    whole: NDArray[np.uint8] | None = None
    faces: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        self._firsts = np.array([video.first for video in self.videos])
        people = {name: number for number, name in enumerate(dict.fromkeys(video.person for video in self.videos))}
        self._people = np.array([people[video.person] for video in self.videos])
        self.people = list(people)

    @property
    def count(self) -> int:
        """How many frames."""
        return len(self.points)

    def video_of(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """The number of each row's video."""
        return np.searchsorted(self._firsts, rows, side="right") - 1

    def person_of(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """The number in ``people`` of each row's person."""
        return self._people[self.video_of(rows)]

    def sizes_of(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """(height, width) of each row's frame, (K, 2)."""
        return np.array([video.size for video in self.videos])[self.video_of(rows)]

    def frame(self, row: int) -> tuple[IndexedVideo, int]:
        """The video of a row, and the frame's number in it, from 0."""
        video = self.videos[int(self.video_of(np.array([row]))[0])]
        return video, row - video.first

    def search(
        self, points: NDArray[np.floating], size: tuple[int, int], count: int, *, moved: bool
    ) -> NDArray[np.int64]:
        """The rows (T, count) whose landmarks are nearest to ``points`` (T, 68, 2) of frames of ``size``.

        Args:
            moved: frames will be moved onto the face, so that place, size and roll do not count.
        """
        if moved:
            return self._shape_neighbours.nearest(self.shape_coder(shapes(points)), count)[0]
        asked = placed(points, np.broadcast_to(np.array(size), (len(points), 2)))
        return self._place_neighbours.nearest(self.place_coder(asked), count)[0]

    @cached_property
    def _shape_neighbours(self) -> Neighbours:
        return Neighbours(self.shapes)

    @cached_property
    def _place_neighbours(self) -> Neighbours:
        return Neighbours(self.places)


def build(parts: Iterable[VideoPart]) -> FrameIndex:
    """The index of videos, which all have thumbnails or all have none.

    Raises:
        UserError: there is no frame.
    """
    videos: list[IndexedVideo] = []
    points: list[NDArray[np.float32]] = []
    thumbnails: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in _THUMBNAILS}
    first = 0
    for part in parts:
        videos.append(IndexedVideo(part.name, part.person, len(part.points), part.size, first))
        points.append(part.points.astype(np.float32))
        first += len(part.points)
        for name, array in (("whole", part.whole), ("faces", part.faces)):
            if array is not None:
                thumbnails[name].append(array)
    if not first:
        raise UserError("there is no frame to index")
    together = np.concatenate(points)
    points.clear()
    sizes = np.repeat([video.size for video in videos], [video.frames for video in videos], axis=0)
    vectors = placed(together, sizes)
    place_coder = Coder.of(vectors)
    places = place_coder(vectors)
    vectors = shapes(together)
    shape_coder = Coder.of(vectors)
    codes = shape_coder(vectors)
    del vectors
    joined = {name: np.concatenate(arrays) if arrays else None for name, arrays in thumbnails.items()}
    return FrameIndex(videos, together, places, codes, place_coder, shape_coder, joined["whole"], joined["faces"])


def save(index: FrameIndex, folder: PathLike) -> None:
    """Write the index; one of that name is replaced when all is written."""
    check_target(folder)
    arrays: dict[str, NDArray[Any]] = {
        "points": index.points,
        "places": index.places,
        "shapes": index.shapes,
        "place_mean": index.place_coder.mean,
        "place_basis": index.place_coder.basis,
        "shape_mean": index.shape_coder.mean,
        "shape_basis": index.shape_coder.basis,
        **{name: array for name, array in (("whole", index.whole), ("faces", index.faces)) if array is not None},
    }
    with replacing_folder(folder) as part:
        told = {}
        for name, array in arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
            told[name] = {"type": str(array.dtype), "shape": list(array.shape), "crc32": _sum_of(array)}
        header = {
            "format": FORMAT,
            "version": VERSION,
            "videos": [list(video) for video in index.videos],
            "arrays": told,
        }
        (part / HEADER).write_text(json.dumps(header), encoding="utf-8")


def check_target(folder: PathLike) -> None:
    """:class:`UserError` where something else than an index has the name that an index is to have."""
    path = Path(folder)
    if path.exists() and not (path / HEADER).is_file():
        raise UserError(f"{path}: is there and is no index; move it away, or give another name")


def load(folder: PathLike) -> FrameIndex:
    """The index in ``folder``.

    Raises:
        UserError: there is none, it is of another version, or damaged.
    """
    path = Path(folder)
    header = _header(path)
    if header.get("version") != VERSION:
        raise UserError(
            f"{path}: is an index of version {header.get('version')}, this is version {VERSION}: index again"
        )
    try:
        told = header["arrays"]
        names = [*_ARRAYS, *(name for name in _THUMBNAILS if name in told)]
        arrays: dict[str, Any] = {name: _array(path, name, told[name]) for name in names}
        videos = [IndexedVideo(name, who, n, (size[0], size[1]), at) for name, who, n, size, at in header["videos"]]
    except (KeyError, TypeError, ValueError, IndexError, OSError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: is a damaged index ({error}): index again") from None
    ends = np.cumsum([0, *(video.frames for video in videos)])
    if [video.first for video in videos] != ends[:-1].tolist() or ends[-1] != len(arrays["points"]):
        raise UserError(f"{path}: is a damaged index (its videos have other frames than its arrays): index again")
    place, shape = (Coder(arrays[f"{kind}_mean"], arrays[f"{kind}_basis"]) for kind in ("place", "shape"))
    thumbnails = [arrays.get(name) for name in _THUMBNAILS]
    return FrameIndex(videos, arrays["points"], arrays["places"], arrays["shapes"], place, shape, *thumbnails)


def _header(path: Path) -> dict[str, Any]:
    try:
        header = json.loads((path / HEADER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no index; montage/cli.py index --videos CSV makes it") from None
    except NotADirectoryError:
        raise UserError(
            f"{path}: is a file; an index is a folder: montage/cli.py index --videos CSV makes it"
        ) from None
    except ValueError:
        raise UserError(f"{path}: is a damaged index (its {HEADER} cannot be read): index again") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise UserError(f"{path}: its {HEADER} is not of an index of a montage")
    return header


def _array(path: Path, name: str, told: dict[str, Any]) -> NDArray[Any]:
    array = np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    if str(array.dtype) != told["type"] or list(array.shape) != told["shape"] or _sum_of(array) != told["crc32"]:
        raise UserError(f"{path}: is a damaged index ({name} is not what was written): index again")
    return array


def _sum_of(array: NDArray[Any]) -> int:
    """CRC-32 of the array's bytes."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    total = 0
    for start in range(0, len(flat), _CHUNK):
        total = zlib.crc32(flat[start : start + _CHUNK].data, total)
    return total
