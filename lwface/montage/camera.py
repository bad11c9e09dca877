"""A camera: its newest frame, read in the background, so that what is shown does not fall behind what is seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError

PATIENCE = 10.0  # seconds without a frame after which a camera is given up
_TURN = 0.1  # seconds after which a wait looks whether it is to end


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def isOpened(self) -> bool:
        """Whether there is a camera."""

    def read(self) -> tuple[bool, Any]:
        """Whether there is one more frame, and the frame (H, W, 3) uint8, BGR; waits for it."""

    def release(self) -> None:
        """Leave the camera to others."""


class CameraFrame(NamedTuple):
    """A frame: its number among those that the camera gave, when it came (monotonic seconds), (H, W, 3) uint8 RGB."""

    number: int
    time: float
    image: NDArray[np.uint8]


class LiveCamera:
    """Iterates over the newest frames; those that come while one is worked on are passed over.

    Attributes:
        given: how many frames the camera gave so far.
        ended: why it gives no more, unless it was left.
    """

    def __init__(self, capture: Capture, name: str, stopped: Callable[[], bool] = lambda: False) -> None:
        self._capture, self.name, self._stopped = capture, name, stopped
        self.given = 0
        self.ended: str | None = None
        self._newest: CameraFrame | None = None
        self._off = False
        self._error: Exception | None = None
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)

    def __enter__(self) -> LiveCamera:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading; a camera that does not answer is left alone, since to release it while it reads can crash."""
        self._off = True
        self._thread.join(PATIENCE)
        if not self._thread.is_alive():
            self._capture.release()

    def __iter__(self) -> Iterator[CameraFrame]:
        """Each time the newest frame that was not given yet, until the camera ends or is to be left.

        Raises:
            UserError: it gives no frame at all.
        """
        number = -1
        while not self._stopped():
            frame = self._after(number)
            if frame is None:
                break
            number = frame.number
            yield frame
        if self.ended is not None and not self.given:
            raise UserError(f"{self.name}: {self.ended}")

    def _after(self, number: int) -> CameraFrame | None:
        """The newest frame, of a higher ``number``; None: the camera ended, or is to be left."""
        begin = time.monotonic()
        with self._news:
            while not (self.ended or self._error or self._stopped()):
                if self._newest is not None and self._newest.number > number:
                    return self._newest
                if time.monotonic() - begin > PATIENCE:
                    self.ended = f"gave no frame for {PATIENCE:.0f} s; is it still plugged in?"
                self._news.wait(_TURN)
        if self._error is not None:
            raise self._error
        return None

    def _read(self) -> None:
        """The thread: one frame after the other."""
        try:
            while not self._off:
                there, image = self._capture.read()
                if not there:
                    self._tell(ended="gives no more frames; was it unplugged, or does another program use it?")
                    return
                self._tell(CameraFrame(self.given, time.monotonic(), np.ascontiguousarray(image[..., ::-1])))
        except cv2.error as error:
            self._tell(ended=f"gives no more frames: {error}")
        except Exception as error:  # raised where frames are waited for
            self._error = error
            self._tell()

    def _tell(self, frame: CameraFrame | None = None, ended: str | None = None) -> None:
        with self._news:
            if frame is not None:
                self._newest, self.given = frame, self.given + 1
            if not self._off:
                self.ended = self.ended or ended
            self._news.notify()


def open_camera(number: int, stopped: Callable[[], bool] = lambda: False) -> LiveCamera:
    """The camera of that number, from 0, as OpenCV counts them.

    Raises:
        UserError: there is none.
    """
    levels = cv2.utils.logging
    level = levels.getLogLevel()
    levels.setLogLevel(levels.LOG_LEVEL_SILENT)  # it says in several lines what is said in one below
    try:
        capture = cv2.VideoCapture(number)
    finally:
        levels.setLogLevel(level)
    if not capture.isOpened():
        capture.release()
        raise UserError(
            f"--camera {number}: there is no such camera, or this user may not use it, or another program does; "
            "process-video follows a recorded video"
        )
    return LiveCamera(capture, f"--camera {number}", stopped)
