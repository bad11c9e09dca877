"""Sequences as training data: some frames in a row with their poses, and whose they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.sequence_paths import frame_paths
from lwface.formats.sequence_pickles import KEYPOINTS, read_pose
from lwface.sequences.clip_options import SIDE
from lwface.sequences.images import Images
from lwface.sequences.signing import resized
from lwface.sequences.splits import enumerate_paths, train_test_split
from lwface.training.sampler import stream_seed
from lwface.training.task import Batch

POINTS = len(KEYPOINTS)
MISSING = -1.0  # score of a point of a frame without a pose


@dataclass(frozen=True)
class Clip:
    """A sequence.

    Attributes:
        name: its folder. ``video``: its folder, or the sequence's where paths name none. ``person``: likewise; empty.
        paths: of its frames, in the order of their numbers.
    """

    name: str
    video: str
    person: str
    paths: tuple[str, ...]


def clips_of(paths: Sequence[str], source: object) -> list[Clip]:
    """The sequences of ``paths``, in the order of their names.

    Raises:
        UserError: a path has none of the challenge's forms.
    """
    frames = frame_paths(paths, source)
    members = defaultdict(list)
    for path, frame in zip(paths, frames, strict=True):
        members[frame.sequence].append((frame.frame, path, frame))
    found = []
    for name in sorted(members):
        rows = sorted(members[name], key=lambda row: row[:2])
        first = rows[0][2]
        found.append(Clip(name, first.video or name, first.person, tuple(path for _, path, _ in rows)))
    return found


def halves_of(clips: Sequence[Clip], ratio: float) -> tuple[list[Clip], list[Clip]]:
    """Those of the first videos of each person, and the others, as the challenge's demo divides them.

    Raises:
        UserError: paths do not tell people, or nothing is left to learn from.
    """
    firsts = [clip.paths[0] for clip in clips]
    learnt, judged = train_test_split(*enumerate_paths(firsts), ratio)
    return [clips[place] for place in learnt], [clips[place] for place in judged]


def read_points(path: Path, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """The pose (17, 3) of each frame that ``pose.pkl`` has one of: x, y and score.

    Raises:
        UserError: no such file, or it has a pose of none of ``names``.
    """
    found = read_pose(path)
    rows = np.concatenate([found.keypoints.astype(np.float32), found.scores[..., None]], axis=2)
    places = {name: place for place, name in enumerate(found.paths)}
    points = {name: rows[places[name]] for name in names if name in places}
    if not points:
        raise UserError(f"{path}: has a pose of no frame that is asked for; the first asked for is {names[0]}")
    return points


def no_pose() -> NDArray[np.float32]:
    """A frame (17, 3) of which nothing is known."""
    points = np.full((POINTS, 3), 0.5, np.float32)
    points[:, 2] = MISSING
    return points


def frames_of(images: Images, paths: Iterable[str]) -> NDArray[np.uint8]:
    """The frames (T, 64, 64, 3) of ``paths``, resized where they are of another size."""
    return np.stack([resized(images[path], (SIDE, SIDE)) for path in paths])


def points_of(points: Mapping[str, NDArray[np.float32]], paths: Iterable[str]) -> NDArray[np.float32]:
    """The poses (T, 17, 3) of ``paths``; of a frame without one nothing is known."""
    return np.stack([found if (found := points.get(path)) is not None else no_pose() for path in paths])


class ClipSource(NamedTuple):
    """Sequences of one tar or folder.

    Attributes:
        images: where the frames are. ``points``: the poses, by path.
        clips: the sequences; each says whose it is.
    """

    images: Images
    points: Mapping[str, NDArray[np.float32]]
    clips: Sequence[Clip]


class ClipData:
    """Sequences to learn from.

    Args:
        sources: nobody is in two of them, whatever people are called.
        frames: of a sequence that a batch has, in a row, from a start that is drawn; shorter ones are repeated.
        seed: of the starts.

    Attributes:
        clips: of all sources, one after the other.
        people, videos: place of the source and name, sorted: labels are places among them.
    """

    def __init__(self, sources: Sequence[ClipSource], *, frames: int, seed: int) -> None:
        self.frames, self.seed = frames, seed
        self.clips = [clip for source in sources for clip in source.clips]
        self.sources = [(place, source) for place, source in enumerate(sources) for _ in source.clips]
        owners = [(place, clip.person) for (place, _), clip in zip(self.sources, self.clips, strict=True)]
        outings = [(place, clip.video) for (place, _), clip in zip(self.sources, self.clips, strict=True)]
        self.people, self.videos = sorted(set(owners)), sorted(set(outings))
        whose, where = ({name: at for at, name in enumerate(names)} for names in (self.people, self.videos))
        pairs = zip(owners, outings, strict=True)
        self.labels = np.array([(whose[owner], where[outing]) for owner, outing in pairs], np.int64)

    def __len__(self) -> int:
        return len(self.clips)

    def batch(self, positions: NDArray[np.int64], step: int, first: int = 0) -> Batch:
        """The sequences at ``positions``: images (N, T, 64, 64, 3), targets (N, 2 + T * 51).

        Targets are the labels of person and video, then the points.
        """
        images, targets = [], []
        for place, position in enumerate(positions, start=first):
            draw = np.random.default_rng((stream_seed(self.seed, "clip", step), place))
            source = self.sources[position][1]
            paths = self._window(self.clips[position].paths, draw)
            images.append(frames_of(source.images, paths))
            points = points_of(source.points, paths).ravel()
            targets.append(np.concatenate([self.labels[position], points]).astype(np.float32))
        return Batch(torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(targets)), {})

    def _window(self, paths: tuple[str, ...], draw: np.random.Generator) -> list[str]:
        start = int(draw.integers(max(1, len(paths) - self.frames + 1)))
        chosen = paths[start : start + self.frames]
        return [chosen[min(place, len(chosen) - 1)] for place in range(self.frames)]


def unpack(targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels (N, 2) int64 and points (N, T, 17, 3) of :meth:`ClipData.batch`'s targets."""
    return targets[:, :2].long(), targets[:, 2:].unflatten(1, (-1, POINTS, 3))
