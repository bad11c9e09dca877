"""How far found points are from true ones, in three lengths, with NumPy alone: a challenge's server has no more.

The normalised mean error (NME) of a face is the mean distance of its points over a length: the constant 384 (the
landmark challenge's), the distance between the outer corners of the eyes (300-W's), or the root of the area of the
true points' tight box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lwface.landmarks.scheme import OUTER_CORNERS

SIDE = 384.0  # pixels, by which the challenge divides whatever the picture's size
NORMS = ("challenge", "inter-ocular", "box")
FAILURE = 0.08  # an NME above which a face counts as failed, and to which the curve is integrated


@dataclass(frozen=True)
class FoundPoints:
    """Found and true points of the same faces.

    Attributes:
        names: of the pictures.
        found, true: (N, K, 2), in pixels.
        people: whom each shows, or the picture itself; what intervals are drawn over.
        tracks: by track, the positions of its frames in their order.
    """

    names: list[str]
    found: np.ndarray
    true: np.ndarray
    people: list[str]
    tracks: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def distances(self) -> np.ndarray:
        """(N, K) pixels."""
        return np.linalg.norm(self.found - self.true, axis=2)

    def lengths(self, norm: str) -> np.ndarray:
        """(N,) what distances are divided by."""
        if norm == "challenge":
            return np.full(len(self.names), SIDE)
        if norm == "inter-ocular":
            left, right = (self.true[:, corner] for corner in OUTER_CORNERS)
            return np.linalg.norm(left - right, axis=1)
        return np.sqrt(np.prod(np.ptp(self.true, axis=1), axis=1))

    def nme(self, norm: str) -> np.ndarray:
        """(N,) of each face, as a share."""
        return self.distances.mean(axis=1) / self.lengths(norm)


def area_under_curve(nme: np.ndarray, limit: float = FAILURE) -> float:
    """Area under the cumulative error distribution up to ``limit``, over ``limit``: exact, no curve is drawn for it."""
    return float(np.clip(limit - nme, 0, None).mean() / limit)


def failure_rate(nme: np.ndarray, limit: float = FAILURE) -> float:
    """Share of the faces whose NME is above ``limit``."""
    return float((nme > limit).mean())
