"""dlib's 68 points, for ``benchmarks/landmarks.py``.

The shape predictor comes in PyPI's ``face-recognition-models`` 0.3.0 and runs in PyPI's ``dlib-bin``. ``make peers``
brings both; nothing of them is shipped.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DLIB_MODEL = "dlib/lib/python*/site-packages/face_recognition_models/models/shape_predictor_68_face_landmarks.dat"
DLIB_SHARE = 0.75


def dlib_points(model: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    """dlib's 68 points of the face in the middle of a crop (S, S, 3): places (68, 2) in its pixels, whole ones.

    dlib is given a rectangle that is :data:`DLIB_SHARE` of the crop's side, as it looks beyond it.

    Args:
        model: the file in ``site-packages/face_recognition_models/models``. dlib, one compiled module without
            dependencies, is taken from the same environment into this process.
    """
    packages = str(model.parents[2])
    sys.path.append(packages)
    try:
        dlib = importlib.import_module("dlib")
    finally:
        sys.path.remove(packages)
    predict = dlib.shape_predictor(str(model))

    def places(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        height, width = image.shape[:2]
        side = round(DLIB_SHARE * min(height, width))
        left, top = (width - side) // 2, (height - side) // 2
        found = predict(image, dlib.rectangle(left, top, left + side - 1, top + side - 1))
        return np.array([(point.x, point.y) for point in found.parts()], np.float64)

    return places
