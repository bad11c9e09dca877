"""The detector that comes inside the package: a network of 0.4 million parameters, trained on rendered scenes alone.

``landmarks/train_detector.py`` trains it; no picture of anybody, nor a statistic of one, was in the training.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.detection.base import DETECTORS, SIDE, BoxFit, Detection, Detector
from lwface.detection.choices import OWN
from lwface.formats.image import read_rgb
from lwface.models.shipped import DETECTOR, shipped_path


@DETECTORS.register_as(OWN)
class OwnDetector(Detector):
    """The package's own; its boxes are those of the 68 points as they are.

    Args:
        model: weights of another training; None: those of the package.
    """

    min_score = 0.52  # where precision and recall are best together on held-out scenes
    tight = BoxFit((0.0, 0.0, 0.0, 0.0), 0.0, "trained on these boxes")

    def __init__(self, model: str | None = None) -> None:
        from lwface.detection import reading  # runs on PyTorch, which the other detectors do without

        self._reading = reading
        self._network = reading.read_detector(shipped_path(DETECTOR) if model is None else Path(model))

    def find(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces, by PyTorch."""
        return self._reading.faces_in(self._network, image)


def detect(
    image: NDArray[np.uint8] | PathLike, *, min_score: float = OwnDetector.min_score, side: int = SIDE
) -> list[Detection]:
    """The faces of a photograph, the surest first, by the detector that comes inside the package.

    Args:
        image: (H, W, 3) uint8 RGB, or the path of an image file.
        min_score: faces that the detector is less sure of are left out; 0 to 1.
        side: pixels to which the longer side of a larger picture is shrunk for the search. More finds smaller faces, in
            more time; faces of less than some ten pixels after that are not found.

    Returns:
        Of each face ``box`` (4,), left, top, right and bottom: the least box of its 68 points, from brow to chin;
        ``score``; ``points`` (5, 2): the picture's left eye, its right eye, tip of the nose, the picture's left and
        right corner of the mouth. In pixels of the picture, the centre of the first one at (0, 0).

    Raises:
        UserError: no image, no such score or side, or the package's weights are damaged.
        OSError: the file cannot be read.
    """
    picture = read_rgb(image) if isinstance(image, str | os.PathLike) else np.asarray(image)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        grey = "; a grey one becomes it by np.dstack([image] * 3)" if picture.ndim == 2 else ""
        raise UserError(f"an image of {picture.dtype} {picture.shape}: expected uint8 (H, W, 3), RGB{grey}")
    if not 0 <= min_score <= 1:
        raise UserError(f"min_score={min_score:g}: expected 0 to 1")
    if side < 32:
        raise UserError(f"side={side}: expected 32 or more pixels")
    return _usual()(picture, min_score, side)


@functools.cache
def _usual() -> OwnDetector:
    return OwnDetector()
