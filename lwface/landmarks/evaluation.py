"""How far found points are from true ones, summed up over a test set: by length, region and pose, and over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lwface.landmarks.head_pose import yaws
from lwface.landmarks.point_errors import NORMS, FoundPoints, area_under_curve, failure_rate
from lwface.landmarks.scheme import REGIONS
from lwface.scoring.drawn_groups import halves, interval

YAW_BINS = ((0, 15), (15, 30), (30, 45), (45, 90))  # degrees, either side; the last has what is beyond, too


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
        chosen = (poses >= low) & ((poses < high) | (high == YAW_BINS[-1][1]))
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
