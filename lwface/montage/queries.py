"""The video that is followed: an ``.npz`` with its landmarks, or any video file, whose landmarks a model puts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.base.progress import progress
from lwface.formats.montage_video import FaceVideo
from lwface.formats.video import open_frames
from lwface.landmarks.following import FaceFollower
from lwface.landmarks.one_euro import OneEuroFilter

LONGEST = 640  # pixels of a side: the database's frames are of some 300


class TimedVideo(NamedTuple):
    """A video with the time of each frame, in seconds."""

    video: FaceVideo
    times: NDArray[np.float64]


def followed_video(path: Path, follower: FaceFollower | None = None, **finder: str | None) -> TimedVideo:
    """The frames of a video file or of a folder of images, with the landmarks of its most prominent face.

    Frames larger than :data:`LONGEST` are made smaller, which is said. Points are smoothed by the One-Euro filter.

    Args:
        follower: what finds the landmarks; not given: made of ``finder``, as
            :func:`~lwface.landmarks.opening.face_finder` takes it.

    Raises:
        UserError: it is no video, or no frame of it has a face.
    """
    if follower is None:
        from lwface.landmarks.opening import face_finder

        follower = FaceFollower(face_finder(**finder), OneEuroFilter())  # type: ignore[arg-type]
    frames = open_frames(path)
    scale = min(1.0, LONGEST / max(frames.size))
    if scale < 1:
        note(f"{path}: its frames of {frames.size[1]}x{frames.size[0]} are made smaller: {LONGEST} on the longer side")
    images, points, times = [], [], []
    for frame in progress(frames, total=frames.count, label="landmarks", unit="frame"):
        small = frame.image
        if scale < 1:
            small = np.asarray(cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        face = follower(frame._replace(image=small))
        images.append(small)
        points.append(np.full((68, 2), np.nan) if face is None else face.points)
        times.append(frame.time)
    video = FaceVideo(np.stack(images, axis=3), np.stack(points))
    without = video.count - int(video.with_face.sum())
    if without == video.count:
        raise UserError(f"{path}: no frame of it has a face")
    if without:
        note(f"{path}: {without} of its {video.count} frames have no face; nothing is put there")
    return TimedVideo(video, np.array(times))
