"""How the features of a video's frames become one feature: four definitions.

Every one is a weighted sum of the frames' unit features, which is then L2-normalised. With f_i the feature of frame i
as the network gives it and u_i = f_i / ||f_i||:

* ``mean``: sum of u_i. The challenge's definition: every frame counts the same.
* ``norm``: sum of ||f_i|| u_i, that is of the f_i. The norm as the frame's quality: networks give short features to
  faces they see badly (Ranjan et al., "L2-constrained softmax loss", 2017; Meng et al., "MagFace", CVPR 2021); it is
  how templates of IJB-C are pooled when features are left as they are.
* ``quality``: sum of exp(q(f_i)) u_i, q a learned number: set-level weights after Liu et al., "Quality Aware Network
  for Set to Set Recognition" (QAN, CVPR 2017), as a softmax over the frames of a linear map of their frozen features
  (Yang et al., "Neural Aggregation Network", CVPR 2017).
* ``cluster``: sum of u_i over the frames near the densest one, for tracks that hold frames of other people.

Weighted sums are taken frame by frame: memory holds one row, however long a video. ``cluster`` must hold one video's
frames. A row depends on its own frames alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lwface.base.errors import UserError
from lwface.features.choices import CLUSTER_THRESHOLD

CLUSTER_FRAMES = 8192  # compared with each other; of a longer video so many, evenly spaced
CELLS_AT_ONCE = 2**22  # cosines in memory while neighbours are counted: 32 MB
TIE = 9  # decimals in which the tightness of clusters is compared: beyond them it is rounding
LARGEST_LOGIT = 50.0  # exp stays far from float64's ends; frames that differ by more have one weight or none


class Pool(Protocol):
    """Takes the weighted unit features of one video's frames, one after the other."""

    def add(self, frame: np.ndarray) -> None:
        """Take the next frame (D,) float64."""
        ...

    def total(self) -> np.ndarray:
        """The sum (D,) of those that count, when all frames have come."""
        ...


class RunningSum:
    """All frames, added in their order in float64."""

    def __init__(self, width: int) -> None:
        self._sum = np.zeros(width)

    def add(self, frame: np.ndarray) -> None:
        """See :class:`Pool`."""
        self._sum += frame

    def total(self) -> np.ndarray:
        """See :class:`Pool`."""
        return self._sum


class ClusterSum:
    """The frames of the dominant cluster; holds all ``frames`` of a video, 8 bytes a number."""

    def __init__(self, frames: int, width: int, threshold: float) -> None:
        self._units, self._taken, self._threshold = np.empty((frames, width)), 0, threshold

    def add(self, frame: np.ndarray) -> None:
        """See :class:`Pool`."""
        self._units[self._taken] = frame
        self._taken += 1

    def total(self) -> np.ndarray:
        """See :class:`Pool`."""
        pool = RunningSum(self._units.shape[1])
        for place in np.flatnonzero(dominant_cluster(self._units, self._threshold)):
            pool.add(self._units[place])
        return pool.total()


@dataclass(frozen=True)
class Aggregation:
    """The mean, and what the others change of it."""

    @property
    def label(self) -> str:
        """Identifies the aggregation and its settings."""
        return "mean"

    def weights(self, features: np.ndarray) -> np.ndarray:
        """The weight (n,) of each frame, from its feature alone: (n, D) float64, not normalised."""
        return np.ones(len(features))

    def pool(self, frames: int, width: int) -> Pool:
        """For a video of ``frames`` frames."""
        return RunningSum(width)


@dataclass(frozen=True)
class NormWeighted(Aggregation):
    """A frame weighs what its feature's L2 norm is."""

    @property
    def label(self) -> str:
        """See :class:`Aggregation`."""
        return "norm"

    def weights(self, features: np.ndarray) -> np.ndarray:
        """See :class:`Aggregation`."""
        return np.linalg.norm(features, axis=1)


@dataclass(frozen=True)
class QualityWeighted(Aggregation):
    """A frame weighs exp(q), q = w . (f, ln ||f||) + b.

    Attributes:
        identity: tells the head from others.
        weight: w (D + 1,) float64.
        bias: b; of no account for a row, whose frames share it.
        views: how many images of a frame its feature is the sum of (2 with the mirrored one); q is of their mean.
    """

    identity: str
    weight: np.ndarray
    bias: float
    views: int = 1

    @property
    def label(self) -> str:
        """See :class:`Aggregation`."""
        return f"quality {self.identity}"

    def weights(self, features: np.ndarray) -> np.ndarray:
        """See :class:`Aggregation`."""
        # Not a matrix product, whose last bits may depend on how many rows there are.
        logits = (quality_inputs(features / self.views) * self.weight).sum(axis=1) + self.bias
        return np.exp(np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT))


@dataclass(frozen=True)
class DominantCluster(Aggregation):
    """Only frames whose cosine with the densest frame reaches ``threshold`` count, each the same."""

    threshold: float = CLUSTER_THRESHOLD

    def __post_init__(self) -> None:
        if not -1 <= self.threshold <= 1:
            raise UserError(f"cluster threshold {self.threshold}: a cosine, from -1 to 1, was expected")

    @property
    def label(self) -> str:
        """See :class:`Aggregation`."""
        return f"cluster {self.threshold}"

    def pool(self, frames: int, width: int) -> Pool:
        """See :class:`Aggregation`."""
        return ClusterSum(frames, width, self.threshold)


MEAN = Aggregation()


class RowPools:
    """Cuts a stream of frames into rows and pools each: where batches are cut makes no difference.

    Args:
        images_of_rows: how many images each row has.
        aggregation: what is done with them.
    """

    def __init__(self, images_of_rows: Iterator[int], aggregation: Aggregation = MEAN) -> None:
        self._images_of_rows = images_of_rows
        self._aggregation = aggregation
        self._missing = 0
        self._pool: Pool = RunningSum(0)

    def add(self, units: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Take the next images; the sums (rows, D) float64 of the rows that they complete, not normalised.

        Args:
            units: (n, D) float64, L2-normalised.
            features: (n, D) float64, the same as the network gave them.
        """
        complete = []
        for frame in units * self._aggregation.weights(features)[:, np.newaxis]:
            if self._missing == 0:
                self._missing = next(self._images_of_rows)
                self._pool = self._aggregation.pool(self._missing, len(frame))
            self._pool.add(frame)
            self._missing -= 1
            if self._missing == 0:
                complete.append(self._pool.total())
        return np.array(complete).reshape(-1, units.shape[1])


def normalise(features: np.ndarray, name_of: Callable[[int], str]) -> np.ndarray:
    """Rows of (n, D) divided by their L2 norm, in float64.

    Raises:
        UserError: a row is zero or not finite, so has no direction; ``name_of(row)`` says whose it is.
    """
    features = features.astype(np.float64)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    without = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if len(without):
        row = int(without[0])
        raise UserError(
            f"{name_of(row)}: its feature is zero or not finite (norm {norms[row, 0]}): is the model trained?"
        )
    return features / norms


def aggregate(features: np.ndarray, frames: np.ndarray, aggregation: Aggregation) -> np.ndarray:
    """The features (videos, D) float64 of videos from those of their frames, L2-normalised.

    Args:
        features: (n, D) of all frames, video after video, as the network gave them.
        frames: (videos,) how many frames each has, n together.
        aggregation: what is done with them.
    """
    features = features.astype(np.float64)
    units = normalise(features, lambda frame: f"frame {frame}")
    pooled = RowPools(iter(frames.tolist()), aggregation).add(units, features)
    return normalise(pooled, lambda video: f"video {video}")


def quality_inputs(features: np.ndarray) -> np.ndarray:
    """What a quality head sees of features (n, D): themselves and the logarithm of their norm, (n, D + 1) float64."""
    features = features.astype(np.float64)
    return np.column_stack([features, np.log(np.linalg.norm(features, axis=1))])


def dominant_cluster(units: np.ndarray, threshold: float) -> np.ndarray:
    """Which frames (n,) bool belong to the dominant cluster of a video.

    The neighbours of a frame are the others whose cosine with it is at least ``threshold``. The densest frame is the
    one with the most neighbours; of several, the one whose neighbours are nearest on average (the tighter cluster). It
    and its neighbours are the cluster. What ties even then counts together, so that the order of the frames does not
    matter; where no two frames agree, that is all of them. (Components of the threshold graph would chain people by
    frames in between; here every member resembles one frame.)

    Of a video longer than ``CLUSTER_FRAMES`` the densest frame is looked for among so many frames, evenly spaced, and
    all frames are compared with it. Time is then at most that number squared times D, memory n times D.

    Args:
        units: (n, D) float64, L2-normalised.
        threshold: a cosine.
    """
    places = np.arange(min(len(units), CLUSTER_FRAMES)) * len(units) // min(len(units), CLUSTER_FRAMES)
    candidates = units[places]
    neighbours = np.empty(len(places), np.int64)
    nearness = np.empty(len(places))
    step = max(1, CELLS_AT_ONCE // len(places))
    for start in range(0, len(places), step):
        cosines = candidates[start : start + step] @ candidates.T
        rows = np.arange(len(cosines))
        near = cosines >= threshold
        near[rows, start + rows] = False  # a frame is no neighbour of its own
        neighbours[start + rows] = near.sum(axis=1)
        nearness[start + rows] = cosines.sum(axis=1, where=near)
    if not neighbours.any():
        return np.ones(len(units), bool)
    tightness = np.round(nearness / np.maximum(neighbours, 1), TIE)
    densest = neighbours == neighbours.max()
    densest &= tightness == tightness[densest].max()
    members = np.zeros(len(units), bool)
    members[places[densest]] = True
    centres = candidates[densest]
    for start in range(0, len(units), step):
        members[start : start + step] |= (units[start : start + step] @ centres.T >= threshold).any(axis=1)
    return members
