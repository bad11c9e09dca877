"""YuNet (Wu, Peng, Yu, "YuNet: A tiny millisecond-level face detector", 2023), run by OpenCV's FaceDetectorYN.

The user names the model file; there is one in OpenCV's model zoo (face_detection_yunet) and one in libfacedetection.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.detection.base import DETECTORS, BoxFit, Detection, Detector
from lwface.detection.choices import YUNET

_FLOOR, _OVERLAP, _MOST = 0.3, 0.3, 5000  # scores that are looked at at all; suppression; boxes before it
_TRIED = 64  # pixels of the picture that a new detector is tried on


@DETECTORS.register_as(YUNET)
class YuNet(Detector):
    """OpenCV's detector on the file ``model``."""

    min_score = 0.7
    tight = BoxFit((-0.028, 0.252, 0.041, 0.015), 0.045, "3387 frames of the YouTube Faces teaching set")

    def __init__(self, model: str | None) -> None:
        if model is None:
            raise UserError(f"the detector {YUNET} needs a model file")
        logging = cv2.utils.logging
        level = logging.getLogLevel()
        logging.setLogLevel(logging.LOG_LEVEL_ERROR)  # OpenCV 5.0 warns of its own default target each time
        try:
            self._network = cv2.FaceDetectorYN.create(model, "", (_TRIED, _TRIED), _FLOOR, _OVERLAP, _MOST)
            self.find(np.zeros((_TRIED, _TRIED, 3), np.uint8))
        except cv2.error as error:
            reason = " ".join((error.err or str(error)).split())[:150]
            raise UserError(f"{model}: cannot be read as a model of {YUNET}: {reason}") from None
        finally:
            logging.setLogLevel(level)

    def find(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces, by OpenCV's own decoding."""
        self._network.setInputSize(image.shape[1::-1])
        _, rows = self._network.detect(np.ascontiguousarray(image[:, :, ::-1]))
        return [] if rows is None else [_detection(row) for row in rows]


def _detection(row: NDArray[np.float32]) -> Detection:
    """A row of OpenCV's: left, top, width, height, five points (the subject's right eye first), score."""
    left, top, width, height = row[:4]
    return Detection(
        np.array((left, top, left + width, top + height), np.float32), float(row[14]), row[4:14].reshape(5, 2).copy()
    )
