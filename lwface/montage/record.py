"""A montage as JSON: which frame of which video answers each frame, how it was moved, and what that costs.

It is all that is needed to draw the montage again, and to judge it: ``score`` believes none of the costs in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike, write_text
from lwface.formats.montage_video import ENDING, FaceVideo, read_face_video
from lwface.montage.costs import KINDS, CostSummary, FrameCosts, summary
from lwface.montage.database import FrameStore
from lwface.montage.index import FrameIndex
from lwface.montage.moving import draw
from lwface.montage.places import RESIZED, Move
from lwface.montage.processor import ProcessorResult

FORMAT, VERSION = "lwface montage", 1


def write_record(
    path: PathLike,
    results: list[ProcessorResult | None],
    costs: list[FrameCosts],
    video: FaceVideo,
    index: FrameIndex,
    made: dict[str, Any],
) -> None:
    """Write it, beside and renamed. ``made`` says how and in what time; ``costs`` are of the frames with a face."""
    frames, priced = [], iter(costs)
    for number, (result, has_face) in enumerate(zip(results, video.with_face.tolist(), strict=True)):
        told: dict[str, Any] = {"frame": number, "face": has_face, "shown": None}
        if has_face:
            told["costs"] = {kind: list(cost) for kind, cost in zip(KINDS, next(priced), strict=True)}
        if result is not None:
            source, at = index.frame(int(result.frame_idx))
            told["shown"] = {
                "row": int(result.frame_idx),
                "video": source.name,
                "person": source.person,
                "frame": at,
                "landmarks": np.asarray(result.landmarks, np.float64).tolist(),
                "move": _move_told(result.move),
            }
        frames.append(told)
    whole = {"format": FORMAT, "version": VERSION, **made, "costs": told_summary(costs), "frames": frames}
    write_text(path, json.dumps(whole, allow_nan=False) + "\n")


def told_summary(costs: list[FrameCosts]) -> dict[str, dict[str, float]]:
    """The sums by definition, for JSON."""
    return {kind: sums._asdict() for kind, sums in summary(costs).items()}


def _move_told(move: Move) -> dict[str, Any]:
    parts = {"matrix": move.matrix, "bend": move.bend, "colour": move.colour}
    return {name: np.asarray(part).tolist() for name, part in parts.items() if part is not None}


def read_answers(
    path: Path, video: FaceVideo, index: FrameIndex, frames: FrameStore
) -> tuple[list[ProcessorResult | None], bool]:
    """The answers to ``video`` in a record or in an ``.npz`` of output frames, and whether it says where they are from.

    Of an ``.npz`` of the videos' layout, ``landmarks2D`` are what was reported; ``frameIndex`` (T,), if it is there,
    names the rows of the index, -1 for a dropped frame, and ``matrix`` (T, 2, 3) says how each was moved.

    Raises:
        UserError: it is neither, is of another version, or does not fit the video or the index.
    """
    if path.suffix == ENDING:
        return _of_frames(path, video)
    record = _record(path)
    told = record.get("frames")
    if not isinstance(told, list) or len(told) != video.count:
        count = len(told) if isinstance(told, list) else 0
        raise UserError(f"{path}: answers {count} frames, the query has {video.count}")
    answers = [_read_answer(f"{path}: frame {number}", frame, index) for number, frame in enumerate(told)]
    sources = frames({answer[0] for answer in answers if answer is not None})
    results: list[ProcessorResult | None] = []
    for answer in answers:
        if answer is None:
            results.append(None)
            continue
        row, landmarks, move = answer
        image = draw(sources[row], index.points[row].astype(np.float64), move, video.size)
        results.append(ProcessorResult(image, row, landmarks, move))
    return results, True


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path}: is no montage: neither JSON nor an {ENDING}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UserError(f"{path}: is no montage: process-video writes one beside its video, OUTPUT.json")
    if record.get("version") != VERSION:
        raise UserError(
            f"{path}: is a montage of version {record.get('version')}, this is version {VERSION}: make it again"
        )
    return record


def _read_answer(place: str, frame: Any, index: FrameIndex) -> tuple[int, NDArray[np.float64], Move] | None:
    try:
        return None if frame["shown"] is None else _answer(frame["shown"], index)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{place}: {error}") from None


def _answer(shown: dict[str, Any], index: FrameIndex) -> tuple[int, NDArray[np.float64], Move]:
    row = int(shown["row"])
    if not 0 <= row < index.count:
        raise ValueError(f"row {row}: the index has rows 0 to {index.count - 1}")
    source, at = index.frame(row)
    if (source.name, at) != (shown["video"], shown["frame"]):
        raise ValueError(
            f"row {row} is frame {at} of {source.name} in this index, not {shown['frame']} of {shown['video']}"
        )
    shapes = {"matrix": (2, 3), "bend": (68, 2), "colour": (2, 3)}
    parts = {name: _numbers(part, shapes[name]) for name, part in shown["move"].items()}
    if "bend" in parts and "matrix" not in parts:
        raise ValueError("a bend goes with a matrix")
    return row, _numbers(shown["landmarks"], (68, 2)), Move(**parts)


def _numbers(value: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.array(value, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"expected finite numbers of {shape}, got {array.shape}")
    return array


def _of_frames(path: Path, video: FaceVideo) -> tuple[list[ProcessorResult | None], bool]:
    answers = read_face_video(path)
    if answers.count != video.count:
        raise UserError(f"{path}: has {answers.count} frames, the query has {video.count}")
    with np.load(path, allow_pickle=False) as archive:
        rows, matrices = (archive[name] if name in archive.files else None for name in ("frameIndex", "matrix"))
    if rows is not None and (rows.shape != (answers.count,) or rows.dtype.kind not in "iu"):
        raise UserError(
            f"{path}: frameIndex is {rows.dtype} of {rows.shape}; expected whole numbers of ({answers.count},)"
        )
    moves = [RESIZED] * answers.count
    if matrices is not None:
        try:
            moves = [Move(matrix) for matrix in _numbers(matrices, (answers.count, 2, 3))]
        except ValueError as error:
            raise UserError(f"{path}: matrix: {error}") from None
    named = np.zeros(answers.count, np.int64) if rows is None else rows
    results = [
        ProcessorResult(answers.frame(number), int(row), answers.points[number], moves[number]) if row >= 0 else None
        for number, row in enumerate(named.tolist())
    ]
    return results, rows is not None


def table_of(costs: list[FrameCosts], kinds: tuple[str, ...] = KINDS) -> list[str]:
    """The sums as lines to print."""
    sums: dict[str, CostSummary] = summary(costs)
    lines = ["cost      pictures  landmarks      total  mean a frame"]
    lines += [
        f"{kind:8} {sums[kind].image:9.4f}  {sums[kind].points:9.4f}  {sums[kind].total:9.4f}  {sums[kind].mean:12.5f}"
        for kind in kinds
    ]
    return lines
