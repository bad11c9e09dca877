"""How far a face is turned, from its 68 points: the mean procedural head is fitted to them by least squares."""

from __future__ import annotations

from functools import cache

import numpy as np

from lwface.synthetic.landmarks import landmark_points
from lwface.synthetic.person import Person

HEADS = 24  # procedural people whose mean is the head
RIGID = np.r_[27:36, 36:48]  # nose and eyes: what expressions and other conventions of the jaw move least


@cache
def mean_head() -> np.ndarray:
    """The 68 points (68, 3) of a neutral head, in mm: x to the picture's right, y up, z to the viewer."""
    people = (Person(0, number) for number in range(HEADS))
    lids = np.ones(2, np.float32)
    points = np.stack([landmark_points(who.vertices, who.look, lids) for who in people]).astype(np.float64)
    return np.asarray(points.mean(axis=0))


def yaws(points: np.ndarray) -> np.ndarray:
    """Yaw (N,) in degrees of faces (N, 68, 2), positive where the nose points to the picture's right.

    A camera without perspective is fitted to nose and eyes (the first step of POS, DeMenthon and Davis, "Model-based
    object pose in 25 lines of code", IJCV 1995): its two rows are the head's axes times the scale.
    """
    head = mean_head()[RIGID]
    head = head - head.mean(axis=0)
    inverse = np.linalg.pinv(head)  # (3, R)
    flat = points[:, RIGID] - points[:, RIGID].mean(axis=1, keepdims=True)
    rows = np.einsum("kr,nrd->ndk", inverse, flat)  # (N, 2, 3): x and y rows; y grows downwards
    x, y = rows[:, 0], -rows[:, 1]
    x = x / np.linalg.norm(x, axis=1, keepdims=True).clip(min=1e-9)
    y = y / np.linalg.norm(y, axis=1, keepdims=True).clip(min=1e-9)
    z = np.cross(x, y)
    # The nose's direction (0, 0, 1) of the head in the camera is (x[2], y[2], z[2]).
    return np.degrees(np.arctan2(x[:, 2], z[:, 2]))
