"""A detector by its name. Importing the file of one registers it; what it runs on is imported when it is opened."""

from __future__ import annotations

from lwface.detection import insightface_faces as _insightface
from lwface.detection import mtcnn as _mtcnn
from lwface.detection import own as _own
from lwface.detection import yunet as _yunet
from lwface.detection.base import DETECTORS, Detector

__all__ = ["open_detector"]

_FILES = (_insightface, _mtcnn, _own, _yunet)


def open_detector(name: str, model: str | None = None) -> Detector:
    """The detector ``name``, on the weights ``model`` where it needs a file.

    Raises:
        UserError: there is no such detector, it is not installed, or the file is no model of it.
    """
    return DETECTORS[name](model)
