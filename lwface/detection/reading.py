"""The faces that the network of :mod:`lwface.networks.face_detector` finds in a picture."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lwface.detection.base import Detection, surest
from lwface.networks.face_detector import STRIDES, FaceDetector, Found, decoded, places_of

LEAST = 0.05  # scores that are looked at at all
OVERLAP = 0.4  # of two boxes, from which on they are of one face
MOST = 400  # boxes before that
UNIT = STRIDES[-1]


def padded(image: NDArray[np.uint8]) -> Tensor:
    """A picture (H, W, 3) as the network takes it, (1, 3, H', W'), grey to the right and below up to whole units."""
    height, width = image.shape[:2]
    room = np.full((-(-height // UNIT) * UNIT, -(-width // UNIT) * UNIT, 3), 128, np.uint8)
    room[:height, :width] = image
    return torch.from_numpy(room).permute(2, 0, 1)[None]


def faces_in(network: FaceDetector, image: NDArray[np.uint8]) -> list[Detection]:
    """The faces of ``image`` (H, W, 3) uint8 RGB, each once, the surest first; scores are 0 to 1."""
    pixels = padded(image)
    with torch.inference_mode():
        numbers = network(pixels).float()
        found = decoded(numbers, *places_of(*pixels.shape[2:]))
    return detections(found)


def detections(found: Found) -> list[Detection]:
    """The faces of what a network says of one picture (N = 1)."""
    scores = found.logits[0].sigmoid()
    top = scores.topk(min(MOST, len(scores))).indices
    top = top[scores[top] >= LEAST]
    boxes, points = found.boxes[0, top].numpy(), found.points[0, top].numpy()
    sure = scores[top].numpy()
    return [Detection(boxes[i], float(sure[i]), points[i]) for i in surest(boxes, sure, OVERLAP)]
