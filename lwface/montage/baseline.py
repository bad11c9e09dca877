"""The challenge's baseline: as it was published, and with its defects repaired."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.montage.index import FrameIndex
from lwface.montage.nearest import Neighbours
from lwface.montage.processor import Processor, ProcessorResult

NEIGHBOURS = 10


class PublishedBaseline(Processor):
    """``baseline.py`` of Veriff/face_alignment_challenge at fe96dd6, by its behaviour.

    It shows the farthest of the ten frames whose landmarks, in pixels, are nearest, and reports the query's own
    landmarks. Frames are counted from 1 and read from 0: the one shown is the one behind the one found, the first of a
    video is never shown, and where the last is found there is no answer. Its search was approximate (Annoy, ten
    trees); here it is exact.
    """

    pictures = False

    def process_frame(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> ProcessorResult | None:
        """The farthest of the nearest ten, or nothing."""
        rows, _ = self._neighbours.nearest(landmarks.reshape(1, -1).astype(np.float32), NEIGHBOURS)
        row = int(rows[0, -1]) + 1
        if row >= self.index.count or self.index.frame(row)[1] == 0:
            return None
        image = self.frames([row])[row]
        if image.shape != frame.shape:
            image = np.asarray(cv2.resize(image, (frame.shape[1], frame.shape[0])), np.uint8)
        return ProcessorResult(image, row, landmarks)

    def _take(self, index: FrameIndex) -> None:
        super()._take(index)
        self._neighbours = Neighbours(index.points.reshape(index.count, -1))


class RepairedBaseline(Processor):
    """The nearest frame, of landmarks over their frame's size as they are scored, with the landmarks that it has."""

    pictures = False

    def process_frame(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float64]) -> ProcessorResult:
        """The nearest frame, resized."""
        size = frame.shape[0], frame.shape[1]
        row = int(self.index.search(landmarks[None], size, 1, moved=False)[0, 0])
        return self.shown(row, size)
