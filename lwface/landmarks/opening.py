"""What finds faces and their points, opened by the names that a command line gives."""

from __future__ import annotations

from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.detection.base import PointFinder
from lwface.detection.choices import OWN_POINTS
from lwface.detection.loading import open_detector
from lwface.detection.selection import NEVER, FaceFinder
from lwface.models.shipped import LANDMARKS, shipped_path


def face_finder(detector: str, detector_model: str | None, points_model: str | None, closer: str = NEVER) -> FaceFinder:
    """The detector, and what puts the points on its faces.

    Args:
        detector, detector_model: as :func:`open_detector` takes them.
        points_model: a model of 68 points; None: the package's own; ``none``: the detector's five, which is said.
        closer: :class:`FaceFinder`'s.

    Raises:
        UserError: one of them cannot be opened, or the model puts another number of points than 68.
    """
    found = open_detector(detector, detector_model)
    if points_model == OWN_POINTS:
        note(f"--points-model {OWN_POINTS}: faces are aligned by the detector's five points, which are coarser")
        return FaceFinder(found, None, closer)
    return FaceFinder(found, open_points(points_model or str(shipped_path(LANDMARKS))), closer)


def open_points(model: str) -> PointFinder:
    """What puts 68 points on faces; :class:`UserError` where the model puts another number."""
    from lwface.landmarks.predictor import PointPredictor  # runs on PyTorch, which a detector alone does without

    predictor: PointFinder = PointPredictor.load(model)
    if predictor.count != 68:
        raise UserError(f"{model}: puts {predictor.count} points on a face; expected the usual 68")
    return predictor
