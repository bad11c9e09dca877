"""Face alignment: five points of a face are moved by a similarity onto ArcFace's template in a 112x112 crop.

A similarity turns, scales evenly and shifts; it never mirrors. The template and the crop (bilinear, black outside the
frame) are the ones every public ArcFace model and data set was made with, up to what versions of OpenCV round
differently (docs/data.md): requirements.txt names the one that is meant.
"""

from __future__ import annotations

import cv2
import numpy as np

from lwface.base.errors import UserError

CROP_SIZE = 112

# Left eye, right eye, nose tip, left and right mouth corner, as seen in the image: (x, y) in a 112x112 crop.
# Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019 (InsightFace's arcface_dst).
ARCFACE_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)

# The eyes' centres and the base of the nose (point 33 of 68) for tools that give no more of the five. The base is where
# it is in the median of 3387 real crops: crops by these three are 2.0 pixels (median) from those by the five.
EYES_AND_NOSE_BASE = np.array([*ARCFACE_TEMPLATE[:2], [56.5, 79.3]], dtype=np.float32)

# In the usual 68 points (iBUG 300-W): six points an eye, nose tip, mouth corners.
_LEFT_EYE, _RIGHT_EYE, _NOSE_TIP, _MOUTH_LEFT, _MOUTH_RIGHT = slice(36, 42), slice(42, 48), 30, 48, 54
_RELATIVE_TOLERANCE = 1e-6


def five_from_68(points: np.ndarray) -> np.ndarray:
    """The five template points, ``(5, 2)`` float64, of 68 points ``(68, 2)``; an eye is the mean of its six points."""
    points = _checked(points, (68,))
    eyes = points[_LEFT_EYE].mean(axis=0), points[_RIGHT_EYE].mean(axis=0)
    return np.stack([*eyes, points[_NOSE_TIP], points[_MOUTH_LEFT], points[_MOUTH_RIGHT]])


def similarity_transform(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """The similarity ``(2, 3)`` float64 that takes points ``src (N, 2)`` nearest to ``dst (N, 2)``, least squares.

    In the plane, with points as complex numbers around their means, ``dst = z * src`` has the least-squares solution
    ``z = sum(conj(src) * dst) / sum(|src|**2)``: the minimum that Umeyama (PAMI 1991) finds with an SVD, reflections
    excluded. :class:`UserError` when the points do not determine it.
    """
    src, dst = _checked(src, None), _checked(dst, None)
    if len(src) != len(dst):
        raise UserError(f"{len(src)} points cannot be aligned to {len(dst)}")
    src_mean, dst_mean = src.mean(axis=0), dst.mean(axis=0)
    (sx, sy), (dx, dy) = (src - src_mean).T, (dst - dst_mean).T
    src_power, dst_power = float(sx @ sx + sy @ sy), float(dx @ dx + dy @ dy)
    if src_power <= (_RELATIVE_TOLERANCE * max(1.0, float(np.abs(src).max()))) ** 2:
        raise UserError("landmarks are all at one place: no alignment follows from them")
    real, imaginary = float(sx @ dx + sy @ dy), float(sx @ dy - sy @ dx)
    if np.hypot(real, imaginary) <= _RELATIVE_TOLERANCE * np.sqrt(src_power * dst_power):
        raise UserError("landmarks are not arranged like a face: no alignment follows from them")
    a, b = real / src_power, imaginary / src_power
    linear = np.array([[a, -b], [b, a]])
    return np.hstack([linear, (dst_mean - linear @ src_mean)[:, None]])


def align(image: np.ndarray, points: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """The aligned crop ``(size, size, 3)`` of a frame ``(H, W, 3)`` with 5 or 68 points ``(N, 2)`` in its pixels.

    Or with 3: see :data:`EYES_AND_NOSE_BASE`. The template grows with ``size``. What lies outside the frame is black.
    :class:`UserError` for points that do not determine an alignment.
    """
    points = _checked(points, (3, 5, 68))
    template = EYES_AND_NOSE_BASE if len(points) == 3 else ARCFACE_TEMPLATE
    points = five_from_68(points) if len(points) == 68 else points
    matrix = similarity_transform(points, template.astype(np.float64) * (size / CROP_SIZE))
    return cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )


def _checked(points: np.ndarray, counts: tuple[int, ...] | None) -> np.ndarray:
    """``points`` as float64, or an error when they are not finite ``(N, 2)`` with N among ``counts``."""
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or (counts is not None and len(points) not in counts):
        wanted = " or ".join(map(str, counts)) if counts else "N"
        raise UserError(f"landmarks of shape {points.shape} were given; expected ({wanted}, 2)")
    if not np.isfinite(points).all():
        raise UserError("landmarks are not finite numbers")
    return points
