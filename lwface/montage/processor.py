"""What answers a video frame by frame: the class to override, and what it gives back.

The methods are the challenge's (``processor.py`` of Veriff/face_alignment_challenge, read): ``build_index`` is run once
for a csv and may do what is slow, ``load_index`` takes what it left, ``reset`` is called before every video, and
``process_frame`` answers one frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.notes import note
from lwface.formats.montage_video import FaceVideo
from lwface.montage import index as index_files
from lwface.montage.costs import FrameCosts, ShownFrame, score_frames
from lwface.montage.database import FrameStore, index_videos
from lwface.montage.index import FrameIndex
from lwface.montage.moving import draw, moved_points, placed_frame
from lwface.montage.places import RESIZED, Move, is_drawn


@dataclass
class ProcessorResult:
    """An output frame.

    Attributes:
        frame: (H, W, 3) uint8, of the query frame's shape; anything else counts as dropped.
        frame_idx: the row of the index that it was made of.
        landmarks: (68, 2), where its landmarks are, in its pixels; ``public`` believes it.
        move: how the database's frame became this one; ``honest`` draws it again and looks.
    """

    frame: NDArray[np.uint8]
    frame_idx: int
    landmarks: NDArray[np.floating]
    move: Move = field(default=RESIZED)


class Processor:
    """Override :meth:`process_frame` at least.

    Attributes:
        index: the database's landmarks and codes, once it is built or loaded.
        frames: its pictures: ``self.frames([row])[row]``.
    """

    index: FrameIndex
    frames: FrameStore
    pictures = True  # whether build_index reads them, for thumbnails

    def __init__(self, videos_csv_filename: PathLike) -> None:
        self.videos = videos_csv_filename

    def build_index(self, filename: PathLike) -> None:
        """Index the csv's videos into the folder ``filename``; what you keep yourself is best called so, and more."""
        index_files.check_target(filename)
        self._take(index_videos(self.videos, pictures=self.pictures))
        index_files.save(self.index, filename)

    def load_index(self, filename: PathLike) -> None:
        """Take what :meth:`build_index` wrote."""
        self._take(index_files.load(filename))

    def reset(self) -> None:
        """Forget the frames before: an unrelated video begins."""

    def process_frame(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> ProcessorResult | None:
        """Answer a frame (H, W, 3) with its landmarks (68, 2) by one of the same shape; None drops it."""
        raise NotImplementedError

    def begin_live(self) -> None:
        """A camera's frames follow, by :meth:`follow`."""
        self.reset()

    def follow(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> list[ProcessorResult | None]:
        """The answers that a camera's frame decides, to the oldest that waits first: here, at once, its own."""
        return [self.process_frame(frame, landmarks)]

    def catch_up(self) -> list[ProcessorResult | None]:
        """The answers to all frames that still wait: the face is gone, or the camera is off."""
        return []

    def process_video(self, video: FaceVideo) -> list[ProcessorResult | None]:
        """The answers to all frames, one after the other; frames without a face are dropped."""
        self.reset()
        found = video.with_face
        return [
            self.process_frame(video.frame(number), video.points[number]) if found[number] else None
            for number in range(video.count)
        ]

    def shown(self, row: int, size: tuple[int, int], move: Move = RESIZED) -> ProcessorResult:
        """The row's frame moved into an output of ``size``, with the landmarks that it has then."""
        image, points = self.frames([row])[row], self.index.points[row].astype(np.float64)
        frame, landmarks = placed_frame(image, points, move, size)
        return ProcessorResult(frame, row, landmarks, move)

    def _take(self, index: FrameIndex) -> None:
        self.index, self.frames = index, FrameStore(self.videos, index)


def judged(
    video: FaceVideo, results: Iterable[ProcessorResult | None], index: FrameIndex, frames: FrameStore
) -> list[ShownFrame | None]:
    """What the costs are of: results of another shape are dropped, each other is held against its source, drawn anew.

    Raises:
        UserError: a result names a row that the index has not.
    """
    shape = (*video.size, 3)
    kept = [
        None if result is None or getattr(result, "frame", None) is None or result.frame.shape != shape else result
        for result in results
    ]
    rows = {int(result.frame_idx) for result in kept if result is not None}
    unknown = [row for row in rows if not 0 <= row < index.count]
    if unknown:
        raise UserError(f"frame_idx {unknown[0]}: the index has rows 0 to {index.count - 1}")
    sources = frames(rows)
    shown: list[ShownFrame | None] = []
    false = 0
    for result in kept:
        if result is None:
            shown.append(None)
            continue
        row = int(result.frame_idx)
        points = index.points[row].astype(np.float64)
        is_so = is_drawn(result.frame, draw(sources[row], points, result.move, video.size))
        true = moved_points(points, result.move, sources[row].shape[:2], video.size) if is_so else None
        false += not is_so
        shown.append(ShownFrame(result.frame, result.landmarks, true))
    if false:
        note(f"{false} frames are not the frames of the index that they are said to be: honest counts them as dropped")
    return shown


def score(
    video: FaceVideo, results: Iterable[ProcessorResult | None], index: FrameIndex, frames: FrameStore
) -> list[FrameCosts]:
    """What the answers to ``video`` cost, by all three definitions; frames without a face are left out."""
    shown = judged(video, results, index, frames)
    kept = [frame for frame, there in zip(shown, video.with_face, strict=True) if there]
    return score_frames(video.frame(0), video.points[video.with_face], kept)


def index_name(table: PathLike) -> Path:
    """Where the index of a csv is, as published: beside it, with ``.index`` behind its name."""
    return Path(f"{table}.index")
