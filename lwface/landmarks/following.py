"""A face followed through a video: its points in one frame say where to look in the next.

A model puts points on anything, also where there is no face any more. So what it gives is held against a face: by the
fit to the template, by how far it moved and grew since the frame before, and every :data:`CHECK_EVERY` frames by the
detector. Where one of them fails, or the picture changes as a whole (a cut), the detector looks again.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.detection.base import overlap, tight_box
from lwface.detection.selection import FaceFinder, prominence
from lwface.formats.alignment import five_from_68
from lwface.formats.landmark_fit import fit
from lwface.formats.landmark_order import MAX_RESIDUAL
from lwface.formats.video import TimedFrame
from lwface.landmarks.one_euro import OneEuroFilter

CHECK_EVERY = 15  # frames
SAME_FACE = 0.3  # overlap of a detection with the face that is followed
NEXT_FRAME = 0.5  # overlap of a face's box with the one before: less is a jump
CUT = 40.0  # mean difference of two frames' thumbnails, of 255: more is a cut
_THUMBNAIL = (32, 32)


class FollowedFace(NamedTuple):
    """The face in a frame.

    Attributes:
        points: (K, 2) float64, smoothed, pixels.
        unsmoothed: (K, 2) float64, as the model put them.
        found_anew: the detector found it in this frame; the filter begins again.
    """

    points: NDArray[np.float64]
    unsmoothed: NDArray[np.float64]
    found_anew: bool


class _BoxAndPoints(NamedTuple):
    box: NDArray[np.float32]
    points: NDArray[np.float64]


class FaceFollower:
    """Gives the points of the most prominent face of each frame, and the same face's as long as it is there.

    Attributes:
        searches: in how many frames the detector looked for a face.
    """

    def __init__(self, finder: FaceFinder, smoothing: OneEuroFilter) -> None:
        self.finder, self.smoothing = finder, smoothing
        self.searches = 0
        self._box: NDArray[np.float32] | None = None  # that held the face's points in the frame before
        self._thumbnail: NDArray[np.float32] | None = None
        self._since_check = 0

    def __call__(self, frame: TimedFrame) -> FollowedFace | None:
        """The face in ``frame``; None where there is none."""
        before = None if self._is_cut(frame.image) else self._box
        found = None if before is None else self._followed(frame.image, before)
        anew = found is None
        if found is None:
            self.smoothing.reset()
            found = self._detected(frame.image, None)
        if found is None:
            self._box = None
            return None
        self._box, points = found
        size = float(np.sqrt((self._box[2:] - self._box[:2]).prod()))
        return FollowedFace(self.smoothing(frame.time, points, max(size, 1.0)), points, anew)

    def _followed(self, image: NDArray[np.uint8], before: NDArray[np.float32]) -> _BoxAndPoints | None:
        """The face that lay in the box ``before``; None where it is lost."""
        self._since_check += 1
        if self.finder.points is None or self._since_check >= CHECK_EVERY:
            return self._detected(image, before)
        points = self.finder.points(image, before[None])[0].astype(np.float64)
        box = tight_box(points)
        residual = fit(five_from_68(points)[None]).residual[0]
        kept = residual <= MAX_RESIDUAL and overlap(before[None], box[None])[0, 0] >= NEXT_FRAME
        return _BoxAndPoints(box, points) if kept else None

    def _detected(self, image: NDArray[np.uint8], near: NDArray[np.float32] | None) -> _BoxAndPoints | None:
        """The most prominent face by the detector, of those ``near`` a box if one is given."""
        self.searches += 1
        self._since_check = 0
        faces = self.finder(image)
        if near is not None:
            faces = [face for face in faces if overlap(near[None], face.box[None])[0, 0] >= SAME_FACE]
        if not faces:
            return None
        best = max(faces, key=lambda face: prominence(face, image.shape[:2]))
        return _BoxAndPoints(best.box, best.points.astype(np.float64))

    def _is_cut(self, image: NDArray[np.uint8]) -> bool:
        thumbnail = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._thumbnail = self._thumbnail, thumbnail
        return before is not None and float(np.abs(thumbnail - before).mean()) > CUT
