"""How good detections are: precision and recall over all pictures, by matching each found face with a true one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.detection.base import overlap

MATCH = 0.5  # intersection over union


class FoundRanking(NamedTuple):
    """All detections of some pictures, the surest first.

    Attributes:
        scores: (D,).
        right: (D,) whether each is the first that matches a true face.
        faces: how many there are to be found.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    faces: int

    @property
    def precision(self) -> NDArray[np.float64]:
        """Of the detections so far (D,), the share that is right."""
        return np.cumsum(self.right) / np.arange(1, len(self.right) + 1)

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of the faces, the share that is among the detections so far (D,)."""
        return np.cumsum(self.right) / max(self.faces, 1)

    def average_precision(self) -> float:
        """The mean over recall of the best precision at that recall or more."""
        best = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float((best * self.right).sum() / max(self.faces, 1))

    def recall_at(self, precision: float) -> tuple[float, float]:
        """The highest recall at which precision is that or better, and the least score that gives it.

        Detections of one score come or go together. Where there is no such score: 0 and 1.
        """
        last = np.append(self.scores[1:] < self.scores[:-1], True)[: len(self.scores)]
        good = np.flatnonzero(last & (self.precision >= precision))
        if not len(good):
            return 0.0, 1.0
        return float(self.recall[good[-1]]), float(self.scores[good[-1]])

    def balanced(self) -> tuple[float, float]:
        """The highest harmonic mean of precision and recall, and the score from which on detections have it.

        Where nothing is right: 0 and 1.
        """
        if not self.right.any():
            return 0.0, 1.0
        last = np.append(self.scores[1:] < self.scores[:-1], True)[: len(self.scores)]
        mean = 2 * np.cumsum(self.right) / (np.arange(1, len(self.right) + 1) + self.faces)
        best = int(np.where(last, mean, 0).argmax())
        return float(mean[best]), float(self.scores[best])


def ranking(
    found: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
    faces: Sequence[tuple[NDArray[np.floating], NDArray[np.bool_]]],
) -> FoundRanking:
    """Match what was ``found``, boxes (D, 4) and scores (D,) a picture, with ``faces``, boxes (F, 4) and clear (F,).

    The surest come first; each takes the free clear face that it overlaps most, by :data:`MATCH` or more. What matches
    none but an unclear face is neither right nor wrong.
    """
    scores, right = [], []
    for (boxes, sure), (true, clear) in zip(found, faces, strict=True):
        shares, free = overlap(boxes, true), clear.copy()
        for number in np.argsort(-sure, kind="stable").tolist():
            own = np.where(free, shares[number], 0.0)
            if len(own) and own.max() >= MATCH:
                free[int(own.argmax())] = False
                hit = True
            elif (shares[number][~clear] >= MATCH).any():
                continue
            else:
                hit = False
            scores.append(float(sure[number]))
            right.append(hit)
    order = np.argsort(-np.array(scores), kind="stable")
    count = sum(int(clear.sum()) for _, clear in faces)
    return FoundRanking(np.array(scores)[order], np.array(right, bool)[order], count)
