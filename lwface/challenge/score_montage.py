"""Scores montages as ``montage/cli.py score`` does: what is shown, held against the frames it is said to be of.

What is handed in is a zip with one ``NAME.npz`` for each query video, without folders: ``colorImages`` (H, W, 3, T)
uint8 of the query's size, ``landmarks2D`` (68, 2, T) where the frames' landmarks are said to be, ``frameIndex`` (T,)
the rows of the database that they are of, -1 for a dropped frame, and, where frames were moved, ``matrix`` (T, 2, 3)
from the database's pixels to those shown. A row counts the frames of ``videos/videos.csv`` from 0, video after video.

Nothing is unpacked: every member has the size that its query says, or is refused before it is read.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.challenge.halves import sides, taken
from lwface.challenge.kinds import ChallengeTrack
from lwface.challenge.results import Malformed, Result, judging
from lwface.formats.montage_video import ENDING, FaceVideo, read_face_video, read_points, read_video_list
from lwface.montage.costs import KINDS, FrameCosts, ShownFrame, score_frames, summary
from lwface.montage.places import RESIZED, Move, drawn_plainly, is_drawn, unbent_places
from lwface.scoring.drawn_groups import interval

QUERIES, DATABASE, LIST = "queries", "videos", "videos.csv"
LONGEST_HEADER = 4096  # bytes of an array's description
FARTHEST = 1e6  # pixels, of a landmark or a shift; what is beyond lies in no picture
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    OSError,
)


class _Answer(NamedTuple):
    """What is handed in for one query: T frames."""

    images: NDArray[np.uint8]  # (H, W, 3, T)
    points: NDArray[np.float64]  # (T, 68, 2)
    rows: NDArray[np.int64]  # (T,)
    moves: list[Move]


def score(track: ChallengeTrack, submission: Path, reference: Path) -> Result:
    """See :func:`lwface.challenge.scorers.score`; the sides are drawn over query videos."""
    database = _Database(reference / DATABASE)
    names = [video.name for video in read_video_list(reference / QUERIES / LIST)]
    costs: list[list[FrameCosts]] = []
    with judging(submission):
        archive = _opened(submission, names)
    with archive:
        for name in names:
            query = read_face_video(reference / QUERIES / f"{name}{ENDING}")
            with judging(submission):
                answer = _answer(submission, archive, name, query, database.count)
            costs.append(_costs(query, answer, database))
    figures: dict[str, dict[str, float]] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    details: dict[str, Any] = {}
    for side, chosen in sides(track, names).items():
        own = [costs[place] for place in np.flatnonzero(chosen)]
        figures[side], intervals[side], details[side] = _side(taken(names, chosen), own)
    return Result(**figures, intervals=intervals, details=details)


def _side(
    names: list[str], costs: list[list[FrameCosts]]
) -> tuple[dict[str, float], dict[str, tuple[float, float]], dict[str, Any]]:
    """Figures, intervals and details of one side: means over its frames, drawn anew over its videos."""
    every = [frame for video in costs for frame in video]
    found = {f"cost_{kind}": sums.mean for kind, sums in summary(every).items()}
    whose = [name for name, video in zip(names, costs, strict=True) for _ in video]
    intervals = {}
    for number, kind in enumerate(KINDS):
        estimate = interval(np.array([frame[number].total for frame in every]), whose)
        if estimate.low is not None and estimate.high is not None:
            intervals[f"cost_{kind}"] = (estimate.low, estimate.high)
    rows = []
    for name, video in zip(names, costs, strict=True):
        sums = summary(video)
        rows.append([name, str(len(video)), *(f"{sums[kind].mean:.5f}" for kind in KINDS)])
    tables = {"Cost of a frame, each video": [["video", "frames", *KINDS], *rows]}
    return found, intervals, {"counts": {"videos": len(names), "frames": len(every)}, "tables": tables}


class _Database:
    """The frames that may be shown, by row; one video is held at a time."""

    def __init__(self, folder: Path) -> None:
        self._paths = [folder / f"{video.name}{ENDING}" for video in read_video_list(folder / LIST)]
        points = [read_points(path) for path in self._paths]
        self._ends = np.cumsum([len(part) for part in points])
        self.points = np.concatenate(points).astype(np.float32).astype(np.float64)  # as an index holds them
        self.count = len(self.points)
        self._open: tuple[int, FaceVideo] | None = None

    def frame(self, row: int) -> NDArray[np.uint8]:
        """(h, w, 3)."""
        number = int(np.searchsorted(self._ends, row, side="right"))
        if self._open is None or self._open[0] != number:
            self._open = number, read_face_video(self._paths[number])
        return self._open[1].frame(row - (int(self._ends[number - 1]) if number else 0))


def _costs(query: FaceVideo, answer: _Answer, database: _Database) -> list[FrameCosts]:
    """What each frame costs; frames are looked at video by video of the database, so that each is read once."""
    true: dict[int, NDArray[np.float64] | None] = {}
    for number in np.argsort(answer.rows, kind="stable").tolist():
        row, move = int(answer.rows[number]), answer.moves[number]
        if row < 0:
            continue
        source = database.frame(row)
        try:
            is_so = is_drawn(np.ascontiguousarray(answer.images[..., number]), drawn_plainly(source, move, query.size))
        except ValueError:
            is_so = False
        size = source.shape[0], source.shape[1]
        true[number] = unbent_places(database.points[row], move, size, query.size) if is_so else None
    shown = [
        ShownFrame(np.ascontiguousarray(answer.images[..., number]), answer.points[number], true[number])
        if number in true
        else None
        for number in range(query.count)
    ]
    return score_frames(query.frame(0), query.points, shown)


def _opened(submission: Path, names: list[str]) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(submission)
    except _DAMAGE as error:
        raise Malformed(submission.name, f"no zip, or a damaged one ({error})") from None
    held = archive.namelist()
    expected = [f"{name}{ENDING}" for name in names]
    if sorted(held) != sorted(expected):
        wrong = next((name for name in held if name not in expected or held.count(name) > 1), None)
        lacking = next((name for name in expected if name not in held), None)
        archive.close()
        says = f"has {wrong!r}, which is not asked for once" if wrong is not None else f"lacks {lacking}"
        raise Malformed(submission.name, f"{says}; expected {len(expected)} files without folders: {expected[0]}, ...")
    return archive


def _answer(submission: Path, archive: zipfile.ZipFile, name: str, query: FaceVideo, rows: int) -> _Answer:
    """The answer to one query; :class:`UserError` with file and frame where it is none."""
    where, count = f"{name}{ENDING}", query.count
    most = query.images.nbytes + count * (68 * 2 + 6 + 1) * 8 + 64 * LONGEST_HEADER
    told = archive.getinfo(where)
    if told.file_size > most:
        raise UserError(f"{where}: has {told.file_size:,} bytes, more than the {most:,} that an answer can have")
    try:
        inner = zipfile.ZipFile(io.BytesIO(archive.read(told)))
    except _DAMAGE as error:
        raise UserError(f"{where}: is damaged or no .npz: {error or type(error).__name__}") from None
    images = _array(inner, where, "colorImages", query.images.shape, "u", 1)
    points = _array(inner, where, "landmarks2D", (68, 2, count), "f", 8)
    named = _array(inner, where, "frameIndex", (count,), "i", 8).astype(np.int64)
    wrong = np.flatnonzero((named < -1) | (named >= rows))
    if len(wrong):
        raise UserError(f"{where}: frameIndex: row {wrong[0]} is {named[wrong[0]]}; expected -1 to {rows - 1}")
    moves = [RESIZED] * count
    if "matrix.npy" in inner.namelist():
        matrices = _array(inner, where, "matrix", (count, 2, 3), "f", 8)
        _check_near(where, "matrix", matrices)
        moves = [Move(matrix) for matrix in matrices.astype(np.float64)]
    turned = np.ascontiguousarray(points.transpose(2, 0, 1), np.float64)
    _check_near(where, "landmarks2D", turned)
    return _Answer(np.asarray(images, np.uint8), turned, named, moves)


def _check_near(where: str, name: str, values: NDArray[np.generic]) -> None:
    """:class:`UserError` with the frame of values (T, ...) that are no numbers, or too large."""
    near = (np.abs(values.reshape(len(values), -1).astype(np.float64)) <= FARTHEST).all(axis=1)
    if not near.all():
        raise UserError(f"{where}: {name}: row {int(np.argmin(near))} has a number that is not finite, or above 1e6")


def _array(
    archive: zipfile.ZipFile, where: str, name: str, shape: tuple[int, ...], kind: str, most: int
) -> NDArray[np.generic]:
    """An array of an ``.npz`` whose shape and kind are known: what it is said to be is looked at before it is read."""
    try:
        told = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise UserError(f"{where}: has no {name} in it") from None
    try:
        with archive.open(told) as member:
            head = member.read(LONGEST_HEADER)
        start = io.BytesIO(head)
        version = np.lib.format.read_magic(start)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        own_shape, fortran, dtype = reader(start)
        if own_shape != shape or dtype.kind != kind or dtype.itemsize > most or dtype.hasobject:
            raise UserError(f"{where}: {name} is {dtype} of {own_shape}; expected {_told(kind)} of {shape}")
        size = start.tell() + int(np.prod(shape)) * dtype.itemsize
        if told.file_size != size:
            raise ValueError(f"{name} has {told.file_size:,} bytes, its description makes {size:,}")
        data = archive.read(told)
    except UserError:
        raise
    except (*_DAMAGE, TypeError, MemoryError, RecursionError, OverflowError) as error:
        says = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{where}: {name} is damaged or no array: {says}") from None
    values = np.frombuffer(data, dtype, offset=start.tell())
    return values.reshape(shape, order="F" if fortran else "C")


def _told(kind: str) -> str:
    return {"u": "uint8", "f": "float32 or float64", "i": "int32 or int64"}[kind]
