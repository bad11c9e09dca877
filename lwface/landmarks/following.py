"""A face followed through a video: its points in one frame say where to look in the next.

A model puts points on anything, also where there is no face any more, and where its boxes come out a little too small
each frame makes them smaller. So what it gives is held against a face, by the fit to the template and by how far it
moved since the frame before, and against the detector: every :data:`CHECK_EVERY` frames, when the face has another size
than the detector last saw, and when the picture changes. Where it is lost, or at a cut, the detector looks again.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.detection.base import overlap
from lwface.detection.selection import FaceFinder, prominence
from lwface.formats.alignment import five_from_68
from lwface.formats.landmark_fit import fit
from lwface.formats.landmark_order import MAX_RESIDUAL
from lwface.formats.video import TimedFrame
from lwface.landmarks.cropping import box_of
from lwface.landmarks.one_euro import OneEuroFilter

CHECK_EVERY = 10  # frames
GROWN = 1.3  # times the size that the detector last saw, or one over that: it is asked again
SAME_FACE = 0.3  # overlap of a detection with the face that is followed
GOOD_BOX = 0.6  # the same: below it the points are put anew into the detector's box
NEXT_FRAME = 0.5  # overlap of a face's box with the one before: less is a jump
# Mean difference of two frames' thumbnails, of 255. A head that moves comes to 1 or 2, a hand-held camera to some more.
CHANGED, CUT = 8.0, 25.0
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
        searches: how many times the detector looked for a face.
    """

    def __init__(self, finder: FaceFinder, smoothing: OneEuroFilter) -> None:
        self.finder, self.smoothing = finder, smoothing
        self.searches = 0
        self._box: NDArray[np.float32] | None = None  # that held the face's points in the frame before
        self._thumbnail: NDArray[np.float32] | None = None
        self._since_check = 0
        self._size = 0.0  # of the face when the detector last saw it

    def __call__(self, frame: TimedFrame) -> FollowedFace | None:
        """The face in ``frame``; None where there is none."""
        change = self._change(frame.image)
        before = None if change > CUT else self._box
        found = None if before is None else self._followed(frame.image, before, change > CHANGED)
        anew = found is None
        if found is None:
            self.smoothing.reset()
            found = self._detected(frame.image, None)
        if found is None:
            self._box = None
            return None
        self._box, points = found
        return FollowedFace(self.smoothing(frame.time, points, max(_size(self._box), 1.0)), points, anew)

    def _followed(self, image: NDArray[np.uint8], before: NDArray[np.float32], changed: bool) -> _BoxAndPoints | None:
        """The face that lay in the box ``before``; None where it is lost."""
        if self.finder.points is None:
            return self._detected(image, before)
        face = self._pointed(image, before)
        if face is None:
            return None
        self._since_check += 1
        grown = _size(face.box) / max(self._size, 1.0)
        if changed or self._since_check >= CHECK_EVERY or not 1 / GROWN < grown < GROWN:
            return self._checked(image, face)
        return face

    def _pointed(self, image: NDArray[np.uint8], before: NDArray[np.float32]) -> _BoxAndPoints | None:
        """What the model puts into the box ``before``, if it can be a face that was there."""
        assert self.finder.points is not None
        points = self.finder.points(image, before[None])[0].astype(np.float64)
        box = box_of(points)
        residual = fit(five_from_68(points)[None]).residual[0]
        kept = residual <= MAX_RESIDUAL and overlap(before[None], box[None])[0, 0] >= NEXT_FRAME
        return _BoxAndPoints(box, points) if kept else None

    def _checked(self, image: NDArray[np.uint8], face: _BoxAndPoints) -> _BoxAndPoints | None:
        """``face`` where the detector has it too; the points are put anew where its box is a rather different one."""
        self.searches += 1
        self._since_check = 0
        found = self.finder.detector(image)
        if not found:
            return None
        boxes = self.finder.detector.tight(np.stack([detection.box for detection in found]))
        shares = overlap(face.box[None], boxes)[0]
        nearest = int(np.argmax(shares))
        if shares[nearest] < SAME_FACE:
            return None
        kept = face if shares[nearest] >= GOOD_BOX else self._pointed(image, boxes[nearest])
        if kept is not None:
            self._size = _size(kept.box)
        return kept

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
        box = best.box if self.finder.points is None else box_of(best.points)
        self._size = _size(box)
        return _BoxAndPoints(box, best.points.astype(np.float64))

    def _change(self, image: NDArray[np.uint8]) -> float:
        """How different the picture is from the one before, see :data:`CUT`."""
        thumbnail = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._thumbnail = self._thumbnail, thumbnail
        return 0.0 if before is None else float(np.abs(thumbnail - before).mean())


def _size(box: NDArray[np.float32]) -> float:
    return float(np.sqrt((box[2:] - box[:2]).prod()))
