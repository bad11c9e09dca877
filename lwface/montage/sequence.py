"""Our montage: frames moved onto the query's face, chosen for the whole video at once.

Candidates are the frames whose landmarks, normalised for place, size and roll, are nearest to those of the query. What
one costs is what is left of the landmarks' cost when it is moved; what it costs that one follows another is the share
of values of their thumbnails that differ, weighed as the cost weighs pictures. :mod:`lwface.montage.paths` finds the
cheapest way through all frames, or through those that are known so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.notes import note
from lwface.formats.montage_video import FaceVideo
from lwface.montage.costs import IMAGE_WEIGHT, LEVELS, POINTS_SCALE, POINTS_WEIGHT
from lwface.montage.database import face_thumbnail, frame_thumbnail
from lwface.montage.moving import colour_match, coloured, placed_frame, similarity
from lwface.montage.options import POINTS, RESIZE
from lwface.montage.paths import EveryoneShownError, PathSearch
from lwface.montage.places import RESIZED, Move
from lwface.montage.processor import Processor, ProcessorResult
from lwface.montage.shapes import placed

POOL = 512  # candidates for a whole video
A_FRAME = 64  # nearest frames that are looked at for one of the query's
LIVE = 48  # candidates a frame, where frames come one by one
# What no cost tells and every eye sees, in the unit of a frame's cost: a face shown at twice its size, and an output
# that lies beside its source altogether.
ENLARGED, BESIDE = 0.02, 0.2
CUT = 0.5  # share of values that differ where nothing is known but that the video is another
_EVEN_MEAN, _EVEN_DEVIATION = 128.0, 50.0

Points = NDArray[np.float64]


@dataclass(frozen=True)
class MontageOptions:
    """How a montage is made.

    Attributes:
        warp: one of :data:`~lwface.montage.options.WARPS`.
        colour: the face gets the mean and the contrast of the query's.
        most: frames a person at most; None: any number.
        look_ahead: frames that are known beyond the one that is decided; None: all.
    """

    warp: str = POINTS
    colour: bool = True
    most: int | None = None
    look_ahead: int | None = None


class _Decided(NamedTuple):
    """A frame of the query with its landmarks, and the row that answers it."""

    frame: NDArray[np.uint8]
    landmarks: Points
    row: int


class _Waiting(NamedTuple):
    """A frame of the query with its landmarks and its candidates."""

    frame: NDArray[np.uint8]
    landmarks: Points
    rows: NDArray[np.int64]

    def decided(self, choice: int) -> _Decided:
        """Answered by the candidate of that number."""
        return _Decided(self.frame, self.landmarks, int(self.rows[choice]))


class SequenceProcessor(Processor):
    """Makes the montage that :class:`MontageOptions` ask for."""

    def __init__(self, videos_csv_filename: PathLike, options: MontageOptions | None = None) -> None:
        super().__init__(videos_csv_filename)
        self.options = options or MontageOptions()
        self.reset()

    def reset(self) -> None:
        """Begin a new video."""
        self._begin(0)

    def _begin(self, look_ahead: int) -> None:
        self._live = PathSearch(self.options.most, look_ahead)
        self._waiting: list[_Waiting] = []
        self._before: NDArray[np.int64] | None = None  # the candidates of the frame before

    def load_index(self, filename: PathLike) -> None:
        """Take what :meth:`build_index` wrote; one without thumbnails is said to be."""
        super().load_index(filename)
        if self.index.faces is None:
            note(f"{filename}: was made without pictures, so what follows what is told by the videos alone")

    def process_frame(self, frame: NDArray[np.uint8], landmarks: Points) -> ProcessorResult:
        """The best answer that is known when the frame comes: nothing behind it is waited for."""
        decided = self._push(frame, landmarks)
        assert decided is not None
        return self._result(*decided)

    def begin_live(self) -> None:
        """A camera's frames follow, each of which is decided when ``look_ahead`` more are known."""
        self._begin(self.options.look_ahead or 0)

    def follow(self, frame: NDArray[np.uint8], landmarks: Points) -> list[ProcessorResult | None]:
        """The answer to the frame ``look_ahead`` before, if there is one.

        Where everyone was shown as often as ``most`` allows, what waits is answered, and people are counted anew.
        """
        try:
            decided = self._push(frame, landmarks)
        except EveryoneShownError:
            late = self.catch_up()
            self._live.count_anew()
            return [*late, *self.follow(frame, landmarks)]
        return [] if decided is None else [self._result(*decided)]

    def catch_up(self) -> list[ProcessorResult | None]:
        """The answers to the frames that wait for others."""
        return [self._result(*decided) for decided in self._rest()]

    def process_video(self, video: FaceVideo) -> list[ProcessorResult | None]:
        """Answers to all frames that have a face, decided together, or ``look_ahead`` frames after each."""
        numbers = np.flatnonzero(video.with_face)
        results: list[ProcessorResult | None] = [None] * video.count
        if not len(numbers):
            return results
        rows = self._whole(video, numbers) if self.options.look_ahead is None else self._ahead(video, numbers)
        self.frames(rows)  # each video is unpacked once
        for number, row in zip(numbers.tolist(), rows, strict=True):
            results[number] = self._result(video.frame(number), video.points[number], row)
        return results

    def _whole(self, video: FaceVideo, numbers: NDArray[np.int64]) -> list[int]:
        pool = self._pool(video.points[numbers], video.size)
        people, change = self.index.person_of(pool), self._changes(pool, pool)
        search = PathSearch(self.options.most)
        for place, number in enumerate(numbers.tolist()):
            own = self._own(video.points[number], video.size, pool)
            if place == 0:
                own = own + self._first_change(video.frame(number), video.points[number], pool)
            search.push(own, change if place else None, people)
        return [int(pool[at]) for at in search.finish()]

    def _ahead(self, video: FaceVideo, numbers: NDArray[np.int64]) -> list[int]:
        self._begin(self.options.look_ahead or 0)
        pushed = (self._push(video.frame(number), video.points[number]) for number in numbers.tolist())
        decided = [found for found in pushed if found is not None]
        return [found.row for found in decided + self._rest()]

    def _push(self, frame: NDArray[np.uint8], landmarks: Points) -> _Decided | None:
        """One frame more of those that come one by one, and the one that is decided by it."""
        size = frame.shape[0], frame.shape[1]
        rows = self._candidates(landmarks, size)
        own = self._own(landmarks, size, rows)
        change = None
        if self._before is None:
            own = own + self._first_change(frame, landmarks, rows)
        else:
            change = self._changes(self._before, rows)
        choice = self._live.push(own, change, self.index.person_of(rows))
        self._before = rows
        self._waiting.append(_Waiting(frame, landmarks, rows))
        return None if choice is None else self._waiting.pop(0).decided(choice)

    def _rest(self) -> list[_Decided]:
        """The frames that were not decided."""
        waiting, self._waiting = self._waiting, []
        choices = self._live.finish()
        return [frame.decided(choice) for frame, choice in zip(waiting, choices, strict=True)]

    @property
    def _moved(self) -> bool:
        return self.options.warp != RESIZE

    def _candidates(self, landmarks: Points, size: tuple[int, int]) -> NDArray[np.int64]:
        """The nearest rows, of enough people where each may be shown a few times only."""
        count, most = LIVE, self.options.most
        while True:
            rows = self.index.search(landmarks[None], size, count, moved=self._moved)[0]
            if most is None:
                return rows
            people = self.index.person_of(rows)
            used = self._live.used()
            free = np.array([person >= len(used) or used[person] < most for person in people])
            needed = (self.options.look_ahead or 0) // most + 2
            if len(set(people[free].tolist())) >= needed or count >= self.index.count:
                return rows[free] if free.any() else rows
            count *= 4

    def _pool(self, points: Points, size: tuple[int, int]) -> NDArray[np.int64]:
        """Candidates for all frames together: the nearest of each first, then the second ones, and so on.

        Where a person may be shown a few times only, the nearest frames of enough people are among them.

        Raises:
            UserError: the database has too few people for that.
        """
        near = self.index.search(points, size, min(A_FRAME, self.index.count), moved=self._moved)
        pool = list(dict.fromkeys(near.T.ravel().tolist()))[:POOL]
        most = self.options.most
        if most is None:
            return np.array(sorted(pool))
        needed = -(-len(points) // most)
        if needed > len(self.index.people):
            raise UserError(
                f"at most {most} frames a person: {len(points)} frames need {needed} people, the index has "
                f"{len(self.index.people)}"
            )
        seen = set(self.index.person_of(np.array(pool)).tolist())
        if len(seen) < 2 * needed:
            middle = points[len(points) // 2][None]
            ranked = self.index.search(middle, size, self.index.count, moved=self._moved)[0]
            people, firsts = np.unique(self.index.person_of(ranked), return_index=True)
            others = sorted((first, person) for person, first in zip(people.tolist(), firsts.tolist(), strict=True))
            pool += [int(ranked[first]) for first, person in others if person not in seen][: 2 * needed]
        return np.array(sorted(pool))

    def _own(self, landmarks: Points, size: tuple[int, int], rows: NDArray[np.int64]) -> Points:
        """(K,) what is left of the landmarks' cost of each row, and of it shown enlarged or beyond its border."""
        weight = POINTS_WEIGHT * POINTS_SCALE
        points = np.asarray(self.index.points[rows], np.float64)
        if not self._moved:
            sizes = self.index.sizes_of(rows)
            asked = placed(landmarks[None], np.array([size]))
            return np.asarray(weight * np.abs(placed(points, sizes) - asked).mean(axis=1), np.float64)
        z, asked_z = points @ [1, 1j], landmarks @ [1, 1j]
        centre, asked_centre = z.mean(axis=1, keepdims=True), asked_z.mean()
        z, asked_z = z - centre, asked_z - asked_centre
        spread = np.maximum((np.abs(z) ** 2).sum(axis=1), 1e-9)
        factor = (z.conj() @ asked_z) / spread
        scale = np.maximum(np.abs(factor), 1e-9)
        left = factor[:, None] * z - asked_z
        missed = (np.abs(left.real) / size[0] + np.abs(left.imag) / size[1]).mean(axis=1) / 2
        back = centre + (_places(size) - asked_centre) / np.where(scale > 1e-9, factor, 1)[:, None]
        heights, widths = self.index.sizes_of(rows).T[:, :, None]
        inside = (back.real >= 0) & (back.real < widths) & (back.imag >= 0) & (back.imag < heights)
        unseen = ENLARGED * np.maximum(np.log2(scale), 0) + BESIDE * (1 - inside.mean(axis=1))
        return np.asarray(weight * missed + unseen, np.float64)

    def _first_change(self, frame: NDArray[np.uint8], landmarks: Points, rows: NDArray[np.int64]) -> Points | float:
        """(K,) what it costs that each row follows the query's own first frame, as the first output frame does."""
        store = self._thumbnails()
        if store is None:
            return 0.0
        own = face_thumbnail(frame, landmarks) if self._moved else frame_thumbnail(frame)
        return _changed(self._evened(own[None]), self._evened(store[rows]))[0]

    def _changes(self, before: NDArray[np.int64], after: NDArray[np.int64]) -> Points:
        """(K, L) what it costs that a row of ``after`` follows one of ``before``."""
        store = self._thumbnails()
        if store is not None:
            return _changed(self._evened(store[before]), self._evened(store[after]))
        near = np.abs(before[:, None] - after[None]) <= 2
        same = near & (self.index.video_of(before)[:, None] == self.index.video_of(after)[None])
        return np.where(same, 0.0, IMAGE_WEIGHT * CUT)

    def _thumbnails(self) -> NDArray[np.uint8] | None:
        return self.index.faces if self._moved else self.index.whole

    def _evened(self, thumbnails: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Thumbnails (K, 16, 16, 3) as (K, 768) levels; where colours are matched, of one mean and contrast."""
        flat = np.asarray(thumbnails, np.float32)
        if self.options.colour:
            mean = flat.mean(axis=(1, 2), keepdims=True)
            deviation = np.maximum(flat.std(axis=(1, 2), keepdims=True), 4.0)
            flat = (flat - mean) / deviation * _EVEN_DEVIATION + _EVEN_MEAN
        return np.rint(flat).astype(np.int16).reshape(len(flat), -1)

    def _result(self, frame: NDArray[np.uint8], landmarks: Points, row: int) -> ProcessorResult:
        """The row's frame, moved and coloured as asked for."""
        size = frame.shape[0], frame.shape[1]
        image, points, move = self.frames([row])[row], self.index.points[row].astype(np.float64), RESIZED
        if self._moved:
            move = Move(similarity(points, landmarks), landmarks if self.options.warp == POINTS else None)
        shown, there = placed_frame(image, points, move, size)
        if self.options.colour:
            colour = colour_match(shown, there, frame, landmarks)
            move, shown = Move(move.matrix, move.bend, colour), coloured(shown, colour)
        return ProcessorResult(shown, row, there, move)


def _places(size: tuple[int, int]) -> NDArray[np.complex128]:
    """49 places spread over an output of ``size``, x + iy."""
    y, x = np.meshgrid((np.arange(7) + 0.5) / 7 * size[0], (np.arange(7) + 0.5) / 7 * size[1], indexing="ij")
    return np.asarray(x + 1j * y).ravel()


def _changed(before: NDArray[np.int16], after: NDArray[np.int16]) -> Points:
    """(K, L) the weighted share of values (K, D) and (L, D) that differ by more than the cost allows."""
    found = np.empty((len(before), len(after)))
    for number, one in enumerate(before):
        found[number] = (np.abs(after - one) > LEVELS).mean(axis=1)
    return IMAGE_WEIGHT * found
