"""The videos that a csv names, their frames by row of the index, and the index made of them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.notes import note
from lwface.base.progress import progress
from lwface.formats.montage_video import (
    ListedVideo,
    find_video,
    read_face_video,
    read_frame_size,
    read_points,
    read_video_list,
)
from lwface.montage.index import SIDE, FrameIndex, IndexedVideo, VideoPart, build
from lwface.montage.moving import similarity

KEPT = 600  # frames that are kept in memory, some 160 MB of 300x300
THREADS = 2  # that unpack videos: zlib lets others run meanwhile
FACE_ROOM = 3.4  # side of a face's thumbnail, in root mean square radii of the landmarks
_MOST_NAMED = 3


def listed_videos(table: PathLike) -> list[tuple[ListedVideo, Path]]:
    """The videos that the csv names and that are there, with their files; what is missing is said.

    Raises:
        UserError: all of them are missing.
    """
    listed = read_video_list(table)
    found = [(video, path) for video in listed if (path := find_video(table, video.name)) is not None]
    if len(found) < len(listed):
        there = {video.name for video, _ in found}
        missing = [f"{video.name}.npz" for video in listed if video.name not in there]
        named = ", ".join(missing[:_MOST_NAMED]) + (", ..." if len(missing) > _MOST_NAMED else "")
        text = f"{table}: {len(missing)} of its {len(listed)} videos are neither beside it nor in data/*/: {named}"
        if not found:
            raise UserError(text)
        note(text)
    return found


def index_videos(table: PathLike, *, pictures: bool = True) -> FrameIndex:
    """The index of what ``table`` names.

    Args:
        pictures: read them too, for the thumbnails; without, some hundred times faster, and what follows what on
            screen is told by the videos alone.
    """
    videos = listed_videos(table)
    with ThreadPoolExecutor(THREADS) as pool:
        work = _mapped(pool, videos, pictures)
        try:
            return build(progress(work, total=len(videos), label="index", unit="video"))
        except UserError as error:
            raise UserError(f"{error}; get it again, or take its line out of {table}") from None


def _mapped(pool: ThreadPoolExecutor, videos: list[tuple[ListedVideo, Path]], pictures: bool) -> Iterator[VideoPart]:
    """The parts in order, a few videos ahead: a video is 27 MB or more while it is looked at."""
    ahead = 2 * THREADS
    waiting = [pool.submit(_part, *item, pictures) for item in videos[:ahead]]
    for number in range(len(videos)):
        part = waiting.pop(0).result()
        if number + ahead < len(videos):
            waiting.append(pool.submit(_part, *videos[number + ahead], pictures))
        yield part


def _part(video: ListedVideo, path: Path, pictures: bool) -> VideoPart:
    if not pictures:
        return VideoPart(video.name, video.person, read_frame_size(path), read_points(path))
    whole = read_face_video(path)
    small, faces = [], []
    for number in range(whole.count):
        image = whole.frame(number)
        small.append(frame_thumbnail(image))
        faces.append(face_thumbnail(image, whole.points[number]))
    return VideoPart(video.name, video.person, whole.size, whole.points, np.stack(small), np.stack(faces))


def frame_thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The whole frame, (16, 16, 3)."""
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def face_thumbnail(image: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The upright face with some room around it, (16, 16, 3): what lies at one place of two of them can be compared."""
    eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    centre = points.mean(axis=0)
    radius = max(float(np.sqrt(((points - centre) ** 2).sum(axis=1).mean())), 1e-6)
    along = eyes[1] - eyes[0]
    along = along / np.hypot(*along) if np.hypot(*along) > 0 else np.array([1.0, 0.0])
    half = FACE_ROOM / 2 * radius
    across = np.array([-along[1], along[0]])
    source = np.stack([centre, centre + half * along, centre + half * across])
    fine = 4 * SIDE  # drawn larger and averaged, so that thin lines do not flicker
    target = np.array([[0.5, 0.5], [1.0, 0.5], [0.5, 1.0]]) * fine
    matrix = similarity(source, target)
    drawn = cv2.warpAffine(image, matrix, (fine, fine), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return frame_thumbnail(np.asarray(drawn, np.uint8))


class FrameStore:
    """Frames of the database by their row of the index; the last :data:`KEPT` are kept."""

    def __init__(self, table: PathLike, index: FrameIndex) -> None:
        self._table, self._index = table, index
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def __call__(self, rows: Iterable[int]) -> dict[int, NDArray[np.uint8]]:
        """The frames (H, W, 3) of ``rows``; each video is unpacked once.

        Raises:
            UserError: a video is missing, damaged, or not what it was when the index was made.
        """
        wanted = set(rows)
        found = {row: self._kept[row] for row in wanted & self._kept.keys()}
        of_video: dict[IndexedVideo, list[tuple[int, int]]] = defaultdict(list)
        for row in sorted(wanted - found.keys()):
            video, number = self._index.frame(row)
            of_video[video].append((row, number))
        with ThreadPoolExecutor(THREADS) as pool:
            for part in pool.map(lambda item: self._read(*item), of_video.items()):
                found |= part
        self._kept |= found
        while len(self._kept) > max(KEPT, len(wanted)):
            self._kept.popitem(last=False)
        return found

    def _read(self, video: IndexedVideo, rows: list[tuple[int, int]]) -> dict[int, NDArray[np.uint8]]:
        path = find_video(self._table, video.name)
        if path is None:
            raise UserError(f"{video.name}.npz: is in the index, and neither beside {self._table} nor in data/*/")
        whole = read_face_video(path)
        if (whole.count, whole.size) != (video.frames, video.size):
            raise UserError(f"{path}: is not what it was when the index was made: index again")
        return {row: whole.frame(number) for row, number in rows}
