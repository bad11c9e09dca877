"""Videos: frames with their times, read from a file or a folder of images, and written as an MP4 that phones play.

PyAV (the extra ``video``) decodes and encodes; its wheels carry FFmpeg, with x264 among its parts. Every frame keeps
its own time, so that a video of a phone, whose frames do not come evenly, lasts as long as before. The frame is the one
shown: a turn that the file asks for is followed, and what is written carries none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.base.files import PathLike, naming, replacing
from lwface.base.notes import note
from lwface.formats.image import image_size, read_rgb
from lwface.formats.orientation import HEADER_BYTES, orientation

EXTRA = "video"
_USUAL_RATE = 25  # frames a second, where a file says nothing
_X264 = {"crf": "18", "preset": "veryfast", "bf": "0"}  # a rate factor of 18 is hardly told from the original
_CLOCK = Fraction(1, 90000)  # of the times in what is written, seconds
_BT709 = 1  # colours of HD video, in FFmpeg's and H.264's numbering


class TimedFrame(NamedTuple):
    """A picture (H, W, 3) uint8 RGB, and when it is shown, in seconds from the first."""

    time: float
    image: NDArray[np.uint8]


class Frames(Protocol):
    """Where frames come from: all of one size, at growing times."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of every frame."""

    @property
    def count(self) -> int | None:
        """How many are announced; None where nothing says it."""

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""

    @property
    def left_out(self) -> list[str]:
        """What is not passed on, in words."""

    def __iter__(self) -> Iterator[TimedFrame]:
        """The frames, from the first."""


def open_frames(path: PathLike, rate: int = _USUAL_RATE) -> Frames:
    """The frames of a video file, or of a folder of images at ``rate`` frames a second.

    Raises:
        UserError: it has no frames, or is no video that can be read.
    """
    return FolderFrames(Path(path), rate) if Path(path).is_dir() else VideoFile(Path(path))


class VideoFile:
    """The first video stream of a file."""

    def __init__(self, path: Path) -> None:
        self._av, self.path = require("av", EXTRA), path
        with self._opened() as (container, stream):
            first = next(container.decode(stream), None)
            if first is None:
                raise UserError(f"{path}: has no frame that can be decoded")
            self.size = _upright(first).shape[:2]
            self.count = stream.frames or None
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
            self.left_out = [f"{len(container.streams.audio)} track of sound"] if container.streams.audio else []

    def __iter__(self) -> Iterator[TimedFrame]:
        """The frames; a file that ends before its announced end is said to."""
        seen, start, last = 0, 0.0, -1.0
        with self._opened() as (container, stream):
            for frame in container.decode(stream):
                at = seen / float(self.rate) if frame.time is None else float(frame.time)
                start = at if seen == 0 else start
                image = _upright(frame)
                if image.shape[:2] != self.size:
                    raise UserError(f"{self.path}: frame {seen} is {image.shape[1]}x{image.shape[0]}, others are not")
                if at - start > last:  # two frames at one time: the first is shown
                    last = at - start
                    yield TimedFrame(last, image)
                seen += 1
        if self.count is not None and seen < self.count:
            note(f"{self.path}: announces {self.count} frames and has {seen}: it is cut short or damaged")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        av = self._av
        try:
            with naming(self.path), av.open(str(self.path)) as container:
                if not container.streams.video:
                    raise UserError(f"{self.path}: has no video in it")
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                yield container, stream
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            raise
        except av.error.FFmpegError as error:
            raise UserError(f"{self.path}: is no video that can be read: {error.strerror}") from None


def _upright(frame: Any) -> NDArray[np.uint8]:
    """The frame as it is shown: ``rotation`` is what it is turned by, counterclockwise, in degrees from -180 to 180.

    FFmpeg's answer to a matrix that is no turn is far outside of that.
    """
    image = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4 if abs(frame.rotation) <= 180 else 0
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


@dataclass
class FolderFrames:
    """The images of a folder, by the order of their paths; smaller ones lie in the upper left of the largest's size."""

    root: Path
    frames_a_second: int

    def __post_init__(self) -> None:
        from lwface.formats.image_walk import walk_images

        names, account = walk_images(self.root)
        if not names:
            raise UserError(f"{self.root}: has no image in it")
        self._paths = [self.root / name for name in names]
        sizes = np.array([_shown_size(path) for path in self._paths])
        self.size = int(sizes[:, 0].max()), int(sizes[:, 1].max())
        self.count, self.rate = len(names), Fraction(self.frames_a_second)
        self.left_out = [f"{count} files: {reason}" for reason, (count, _) in sorted(account.reasons.items())]

    def __iter__(self) -> Iterator[TimedFrame]:
        """The images; one that cannot be read is an error that names it."""
        for number, path in enumerate(self._paths):
            image = read_rgb(path)
            if image.shape[:2] != self.size:
                whole = np.zeros((*self.size, 3), np.uint8)
                whole[: image.shape[0], : image.shape[1]] = image
                image = whole
            yield TimedFrame(number / self.frames_a_second, image)


def _shown_size(path: Path) -> tuple[int, int]:
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    size = image_size(head)
    height, width = read_rgb(path).shape[:2] if size is None else size
    return (width, height) if size is not None and orientation(head) >= 5 else (height, width)


class VideoWriter:
    """Writes H.264 in an MP4: 4:2:0 colours, even sides (the last row or column is repeated), its index in front.

    Without frames that are stored out of order: with them and uneven times, MP4 has no place for the last one's length.
    """

    def __init__(self, container: Any, av: ModuleType, size: tuple[int, int], rate: Fraction) -> None:
        self._container, self._av = container, av
        height, width = size
        self._pad = ((0, height % 2), (0, width % 2), (0, 0))
        self._stream = container.add_stream("libx264", rate=rate, options=_X264)
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        codec = self._stream.codec_context
        codec.time_base = _CLOCK
        codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc = 1, _BT709, _BT709, _BT709
        self._length = max(1, round(1 / (rate * _CLOCK)))  # of a frame, where nothing follows
        self._waiting: tuple[int, NDArray[np.uint8]] | None = None

    def write(self, frame: TimedFrame) -> None:
        """Add a frame that is shown after all before it."""
        at = round(Fraction(frame.time) / _CLOCK)
        if self._waiting is not None:
            at = max(at, self._waiting[0] + 1)
            self._encode(*self._waiting, at - self._waiting[0])
        self._waiting = at, frame.image

    def finish(self) -> None:
        """Write what is still held back; :class:`UserError` where there was no frame at all."""
        if self._waiting is None:
            raise UserError("there is no frame to write")
        self._encode(*self._waiting, self._length)
        for packet in self._stream.encode():
            self._container.mux(packet)

    def _encode(self, at: int, image: NDArray[np.uint8], length: int) -> None:
        if np.any(self._pad):
            image = np.pad(image, self._pad, mode="edge")
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base, frame.duration = at, _CLOCK, length
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


@contextlib.contextmanager
def video_writer(path: PathLike, size: tuple[int, int], rate: Fraction) -> Iterator[VideoWriter]:
    """A video of frames of ``size`` (height, width) at some ``rate``, beside ``path`` and renamed at the end."""
    av = require("av", EXTRA)
    with (
        replacing(path) as file,
        av.open(file.name, "w", format="mp4", options={"movflags": "+faststart"}) as container,
    ):
        writer = VideoWriter(container, av, size, rate)
        yield writer
        writer.finish()
