"""How far found points are from true ones, and how that is summed up.

The normalised mean error (NME) of a face is the mean distance of its points over a length: the constant 384 (the
landmark challenge's), the distance between the outer corners of the eyes (300-W's), or the root of the area of the
true points' tight box. All are given in per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lwface.landmarks.cropping import box_of
from lwface.landmarks.head_pose import yaws
from lwface.landmarks.scheme import OUTER_CORNERS, REGIONS
from lwface.scoring.drawn_groups import halves, interval

SIDE = 384.0  # pixels, by which the challenge divides whatever the picture's size
NORMS = ("challenge", "inter-ocular", "box")
FAILURE = 0.08  # an NME from which a face counts as failed, and to which the curve is integrated
YAW_BINS = ((0, 15), (15, 30), (30, 45), (45, 90))  # degrees, either side


@dataclass(frozen=True)
class FoundPoints:
    """Found and true points of the same faces.

    Attributes:
        names: of the pictures.
        found, true: (N, K, 2), in pixels.
        people: whom each shows, or the picture itself; what intervals are drawn over.
        tracks: by track, the positions of its frames in their order.
        poses: yaw (N,) in degrees, estimated from the true points.
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
        boxes = box_of(self.true)
        return np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))

    def nme(self, norm: str) -> np.ndarray:
        """(N,) of each face, as a share."""
        return self.distances.mean(axis=1) / self.lengths(norm)


def area_under_curve(nme: np.ndarray, limit: float = FAILURE) -> float:
    """Area under the cumulative error distribution up to ``limit``, over ``limit``: exact, no curve is drawn for it."""
    return float(np.clip(limit - nme, 0, None).mean() / limit)


def failure_rate(nme: np.ndarray, limit: float = FAILURE) -> float:
    """Share of the faces whose NME is above ``limit``."""
    return float((nme > limit).mean())


def jitter(points: np.ndarray, boxes: np.ndarray, tracks: Mapping[str, Sequence[int]]) -> tuple[float, int]:
    """Mean second difference of the points over time, as a share of the box, and over how many frames.

    Args:
        points: (N, K, 2).
        boxes: (N,) lengths.
        tracks: positions of consecutive frames.
    """
    found = []
    for frames in tracks.values():
        if len(frames) >= 3:
            path = points[list(frames)]
            second = np.linalg.norm(path[2:] - 2 * path[1:-1] + path[:-2], axis=2).mean(axis=1)
            found.append(second / boxes[list(frames)][1:-1])
    if not found:
        return float("nan"), 0
    every = np.concatenate(found)
    return float(every.mean()), len(every)


def summary(faces: FoundPoints, *, public: float | None = None, seed: int = 0) -> dict[str, Any]:
    """All figures, as they go into JSON; shares, not per cent.

    Args:
        public: share of the faces on the public side; None: not divided.
    """
    by_box = faces.nme("box")
    found: dict[str, Any] = {"faces": len(faces.names), "people": len(set(faces.people))}
    found["nme"] = {norm: vars(interval(faces.nme(norm), faces.people)) for norm in NORMS}
    if public is not None:
        side, challenge = halves(faces.names, public, seed), faces.nme("challenge")
        found["sides"] = {
            name: {"faces": int(chosen.sum()), "nme": float(challenge[chosen].mean()) if chosen.any() else None}
            for name, chosen in (("public", side), ("private", ~side), ("total", np.ones_like(side)))
        }
    lengths = faces.lengths("box")[:, None]
    relative = faces.distances / lengths
    found["regions"] = {name: float(relative[:, points].mean()) for name, points in REGIONS.items()}
    poses = np.abs(yaws(faces.true))
    found["yaw"] = {}
    for low, high in YAW_BINS:
        chosen = (poses >= low) & (poses < high)
        value = float(by_box[chosen].mean()) if chosen.any() else None
        found["yaw"][f"{low}-{high}"] = {"faces": int(chosen.sum()), "nme": value}
    found["auc"], found["failures"] = area_under_curve(by_box), failure_rate(by_box)
    boxes = faces.lengths("box")
    value, frames = jitter(faces.found, boxes, faces.tracks)
    if frames:
        found["jitter"] = {
            "frames": frames,
            "found": value,
            "true": jitter(faces.true, boxes, faces.tracks)[0],
            "error": jitter(faces.found - faces.true, boxes, faces.tracks)[0],  # of what is no movement of the face
        }
    return found
