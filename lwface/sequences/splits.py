"""Who and which video each frame is of, as numbers, and which videos are learnt from: the challenge's own helpers.

They give what its ``utils.py`` and ``solution.py`` give for its files, whose frames are sorted by path; here the order
of frames does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lwface.base.errors import UserError
from lwface.formats.sequence_paths import frame_paths


def enumerate_paths(paths: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``person_ids, video_ids`` (N,): the place of each frame's person and video among all, sorted by their folders.

    Raises:
        UserError: a path has none of the challenge's forms, or does not say person and video.
    """
    frames = frame_paths(paths, "paths")
    if not frames[0].person:
        raise UserError(f"paths: {paths[0]} does not say whose it is; expected person_0013/channel_0081/...")
    people, videos = ([getattr(frame, what) for frame in frames] for what in ("person", "video"))
    person_ids, video_ids = (np.unique(names, return_inverse=True)[1] for names in (people, videos))
    return person_ids.astype(np.int64), video_ids.astype(np.int64)


def train_test_split(
    person_ids: ArrayLike, video_ids: ArrayLike, train_to_test_ratio: float = 0.5
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``train_indices, test_indices`` of frames: the first videos of each person are learnt from, the others judge.

    A video is learnt from where its number is at most ``first + ratio * (last - first)`` of its person's: of two
    videos the first, of three two, and a person's only one always.

    Args:
        person_ids, video_ids: (N,) of :func:`enumerate_paths`.
        train_to_test_ratio: 0 to 1.
    """
    people, videos = np.asarray(person_ids, np.int64), np.asarray(video_ids, np.int64)
    if people.shape != videos.shape or people.ndim != 1:
        raise UserError(f"person_ids of shape {people.shape}, video_ids of {videos.shape}: expected (N,) both")
    if not 0 <= train_to_test_ratio <= 1:
        raise UserError(f"train_to_test_ratio {train_to_test_ratio:g}: expected 0 to 1")
    if not len(people):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    _, place = np.unique(people, return_inverse=True)
    first = np.full(place.max() + 1, np.iinfo(np.int64).max)
    last = np.full_like(first, np.iinfo(np.int64).min)
    np.minimum.at(first, place, videos)
    np.maximum.at(last, place, videos)
    learnt = videos <= train_to_test_ratio * (last - first)[place] + first[place]
    return np.flatnonzero(learnt), np.flatnonzero(~learnt)


def split_by(data: ArrayLike, indices: ArrayLike) -> list[NDArray]:
    """``data`` (N, ...) in parts, one for each number in ``indices`` (N,), ascending; rows keep their order."""
    values, numbers = np.asarray(data), np.asarray(indices)
    if len(values) != len(numbers):
        raise UserError(f"{len(values)} rows to split by {len(numbers)} numbers")
    if not len(numbers):
        return []
    order = np.argsort(numbers, kind="stable")
    return np.split(values[order], np.flatnonzero(np.diff(numbers[order])) + 1)
