"""What finds faces and their points, opened by the names that a command line gives."""

from __future__ import annotations

from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.detection.base import PointFinder
from lwface.detection.loading import open_detector
from lwface.detection.selection import NEVER, FaceFinder


def face_finder(detector: str, detector_model: str | None, points_model: str | None, closer: str = NEVER) -> FaceFinder:
    """The detector, and what puts the points on its faces: a model, or without one the detector itself, which is said.

    ``closer`` is :class:`FaceFinder`'s.

    Raises:
        UserError: one of them cannot be opened, or the model puts another number of points than 68.
    """
    found = open_detector(detector, detector_model)
    if points_model is None:
        note(f"no --points-model: faces are aligned by the five points of the detector {detector}, which are coarser")
        return FaceFinder(found, None, closer)
    return FaceFinder(found, open_points(points_model), closer)


def open_points(model: str) -> PointFinder:
    """What puts 68 points on faces; :class:`UserError` where the model puts another number."""
    from lwface.landmarks.predictor import PointPredictor  # runs on PyTorch, which a detector alone does without

    predictor: PointFinder = PointPredictor.load(model)
    if predictor.count != 68:
        raise UserError(f"{model}: puts {predictor.count} points on a face; expected the usual 68")
    return predictor
