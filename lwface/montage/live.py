"""A camera's frames answered as they come, and what is told and kept of that."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.formats.video import TimedFrame, VideoWriter, video_writer
from lwface.landmarks.drawing import FOUND, draw_points, draw_text
from lwface.landmarks.following import FollowedFace
from lwface.montage.camera import CameraFrame, LiveCamera
from lwface.montage.costs import image_cost, points_cost
from lwface.montage.output import RATE
from lwface.montage.processor import Processor, ProcessorResult
from lwface.montage.queries import LONGEST

Picture = NDArray[np.uint8]
Follower = Callable[[TimedFrame], FollowedFace | None]


class _Asked(NamedTuple):
    """A camera's frame, made smaller, with its landmarks (68, 2) where it has a face."""

    frame: CameraFrame
    points: NDArray[np.float64] | None


class LiveAnswer(NamedTuple):
    """A camera's frame and what is shown for it.

    Attributes:
        frame: made smaller.
        points: (68, 2), its landmarks; None: no face.
        result: None: nothing is shown for it.
    """

    frame: CameraFrame
    points: NDArray[np.float64] | None
    result: ProcessorResult | None


def live_answers(camera: LiveCamera, follower: Follower, processor: Processor) -> Iterator[LiveAnswer]:
    """The frames that there was time for, in order, each when it is decided.

    Where the face is lost, all that waited for frames behind them are decided.
    """
    waiting: deque[_Asked] = deque()

    def answered(results: list[ProcessorResult | None]) -> Iterator[LiveAnswer]:
        for result in results:
            asked = waiting.popleft()
            fits = result is not None and getattr(result.frame, "shape", None) == asked.frame.image.shape
            yield LiveAnswer(*asked, result if fits else None)

    processor.begin_live()
    for frame in camera:
        small = frame._replace(image=_small(frame.image))
        face = follower(TimedFrame(frame.time, small.image))
        if face is None:
            yield from answered(processor.catch_up())
            yield LiveAnswer(small, None, None)
            continue
        waiting.append(_Asked(small, face.points))
        yield from answered(processor.follow(small.image, face.points))
    yield from answered(processor.catch_up())


def _small(image: Picture) -> Picture:
    scale = LONGEST / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


@dataclass
class LiveFigures:
    """What is told of a run.

    Attributes:
        given: frames that the camera gave.
        shown, faces, dropped: frames that there was time for, those of them with a face, and those without an answer.
        lags: of each that was shown, how many frames the camera had given behind it.
        waits: and how many seconds ago it came.
        times: when each was shown, monotonic seconds.
    """

    given: int = 0
    faces: int = 0
    dropped: int = 0
    lags: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def add(self, answer: LiveAnswer, given: int, now: float) -> None:
        """Count an answer that is shown ``now``, when the camera has given so many frames."""
        self.given = given
        self.faces += answer.points is not None
        self.dropped += answer.points is not None and answer.result is None
        self.lags.append(given - 1 - answer.frame.number)
        self.waits.append(now - answer.frame.time)
        self.times.append(now)

    @property
    def shown(self) -> int:
        """Frames that there was time for."""
        return len(self.times)

    def rate(self, last: int = 0) -> float:
        """Frames shown a second, of the last so many; 0: of all."""
        times = self.times[-last:]
        return (len(times) - 1) / max(times[-1] - times[0], 1e-6) if len(times) > 1 else 0.0

    def lines(self, output: Path | None) -> list[str]:
        """What is printed at the end."""
        if not self.shown:
            return ["no frame was shown" if output is None else f"no frame was shown: {output} is not written"]
        where = "" if output is None else f"{output}: "
        return [
            f"{where}{self.shown} frames, {self.faces} of them with a face, {self.dropped} of these dropped",
            f"{self.rate():.1f} frames a second; the camera gave {self.given}, there was no time for "
            f"{self.given - self.shown}",
            f"shown {np.mean(self.lags):.1f} frames behind the camera on average, {max(self.lags)} at most; "
            f"{1000 * np.mean(self.waits):.0f} ms after they came on average",
        ]


def follow_camera(
    camera: LiveCamera,
    follower: Follower,
    processor: Processor,
    output: Path | None,
    show: Callable[[Picture], None] | None,
) -> LiveFigures:
    """Answer the camera's frames until it is off; each beside its answer goes to ``output`` and to ``show``.

    ``output`` keeps the times at which the frames came. It gets its name at the end, and all that was shown is in it.
    """
    figures, start, shown = LiveFigures(), 0.0, None
    with contextlib.ExitStack() as stack:
        writer: VideoWriter | None = None
        for answer in live_answers(camera, follower, processor):
            figures.add(answer, camera.given, time.monotonic())
            pair = _pair(answer, shown, figures)
            shown = shown if answer.result is None else answer.result.frame
            if output is not None and writer is None:
                start = answer.frame.time
                writer = stack.enter_context(video_writer(output, (pair.shape[0], pair.shape[1]), Fraction(RATE)))
            if writer is not None:
                writer.write(TimedFrame(answer.frame.time - start, pair))
            if show is not None:
                show(pair)
    return figures


def _pair(answer: LiveAnswer, before: Picture | None, figures: LiveFigures) -> Picture:
    """The frame beside what is shown for it, with landmarks, cost, speed and lag; without an answer, the one before."""
    frame, result = answer.frame.image, answer.result
    text = f"{figures.rate(RATE):.0f} frames/s, {figures.lags[-1]} behind"
    asked = frame if answer.points is None else draw_points(frame, answer.points)
    given = np.zeros_like(frame) if before is None else before
    if answer.points is None:
        text = f"no face; {text}"
    elif result is None:
        text = f"no frame; {text}"
    else:
        landmarks, size = np.asarray(result.landmarks, np.float64), (frame.shape[0], frame.shape[1])
        image = image_cost(frame if before is None else before, result.frame, signed=True)
        text = f"signed {image:.3f} + {points_cost(answer.points, landmarks, size, size):.3f}; {text}"
        given = draw_points(result.frame, landmarks, FOUND)
    pair = np.concatenate([asked, given], axis=1)
    draw_text(pair, text)
    return pair
