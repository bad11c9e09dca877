"""The faces that the network of :mod:`lwface.networks.face_detector` finds in a picture."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lwface.base.errors import UserError
from lwface.detection.base import Detection, surest
from lwface.models.saved import DETECTOR_KEY, check_tensors
from lwface.models.sources import read_safetensors
from lwface.networks.face_detector import STRIDES, FaceDetector, Found, decoded, folded, places_of

LEAST = 0.05  # scores that are looked at at all
OVERLAP = 0.4  # of two boxes, from which on they are of one face
MOST = 400  # boxes before that
UNIT = STRIDES[-1]
COARSE = 256  # pixels of a picture's longer side from which on it is looked at in half its size, too
LARGE = 96.0  # pixels of a face that is believed in a picture which is looked at smaller, too


def padded(image: NDArray[np.uint8]) -> Tensor:
    """A picture (H, W, 3) as the network takes it, (1, 3, H', W'), grey to the right and below up to whole units."""
    height, width = image.shape[:2]
    room = np.full((-(-height // UNIT) * UNIT, -(-width // UNIT) * UNIT, 3), 128, np.uint8)
    room[:height, :width] = image
    return torch.from_numpy(room)[None].permute(0, 3, 1, 2)  # in memory the channels of a pixel stay together


def faces_in(network: FaceDetector, image: NDArray[np.uint8]) -> list[Detection]:
    """The faces of ``image`` (H, W, 3) uint8 RGB, each once, the surest first; scores are 0 to 1.

    A large picture is looked at in half its size, too, and so on. A large face is left to the smaller picture: it is
    larger than those that were learnt, and the network takes parts of it, and of much else, for faces of that size.
    """
    found: list[Detection] = []
    seen, by = image, np.ones(2)
    while max(seen.shape[:2]) > COARSE:
        found += [_enlarged(face, by) for face in _sure(network, seen) if _size(face) <= LARGE]
        half = max(1, seen.shape[1] // 2), max(1, seen.shape[0] // 2)
        by = by * seen.shape[1::-1] / half
        seen = np.asarray(cv2.resize(seen, half, interpolation=cv2.INTER_AREA), np.uint8)
    return _each_once([*found, *(_enlarged(face, by) for face in _sure(network, seen))])


def _size(face: Detection) -> float:
    """Pixels: the root of its box's area."""
    return float(np.sqrt(np.prod(face.box[2:] - face.box[:2])))


def _sure(network: FaceDetector, image: NDArray[np.uint8]) -> list[Detection]:
    """What the network is sure of in a picture (H, W, 3), several times a face."""
    pixels = padded(image)
    with torch.inference_mode():
        numbers = network(pixels).float()
        return candidates(decoded(numbers, *places_of(*pixels.shape[2:])))


def _enlarged(face: Detection, by: NDArray[np.float64]) -> Detection:
    """A detection in a picture that is ``by`` (2,) times as large."""
    assert face.points is not None
    box, points = ((where + 0.5) * by - 0.5 for where in (face.box.reshape(2, 2), face.points))
    return Detection(box.ravel().astype(np.float32), face.score, points.astype(np.float32))


def candidates(found: Found) -> list[Detection]:
    """What a network says of one picture (N = 1), as far as it is sure; several times a face."""
    scores = found.logits[0].sigmoid()
    top = scores.topk(min(MOST, len(scores))).indices
    top = top[scores[top] >= LEAST]
    boxes, points, sure = (one[0, top].numpy() for one in (found.boxes, found.points, found.logits.sigmoid()))
    return [Detection(box, float(score), five) for box, score, five in zip(boxes, sure, points, strict=True)]


def detections(found: Found) -> list[Detection]:
    """The faces of what a network says of one picture, each once, the surest first."""
    return _each_once(candidates(found))


def _each_once(found: list[Detection]) -> list[Detection]:
    if not found:
        return []
    boxes, scores = np.stack([face.box for face in found]), np.array([face.score for face in found])
    return [found[i] for i in surest(boxes, scores, OVERLAP)]


def load_detector(network: FaceDetector, path: Path) -> None:
    """Give ``network`` the weights of a file of ``landmarks/train_detector.py``.

    Raises:
        UserError: it is not there, or not a detector.
    """
    tensors, config = read_safetensors(path)
    if DETECTOR_KEY not in (config or {}):
        raise UserError(f"{path}: is no face detector; expected a model of landmarks/train_detector.py")
    check_tensors(path, network.state_dict(), tensors)
    network.load_state_dict(tensors)


@lru_cache(maxsize=2)
def read_detector(path: Path) -> FaceDetector:
    """The network of a file of ``landmarks/train_detector.py``, ready to run; read once.

    Raises:
        UserError: it is not there, or not a detector.
    """
    network = FaceDetector()
    load_detector(network, path)
    return folded(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
