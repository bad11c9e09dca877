"""Videos, against OpenCV's reader: frames, sizes, times, colours, and the turns of phones."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.formats.image import encode_jpeg
from lwface.formats.video import FolderFrames, TimedFrame, VideoFile, open_frames, video_writer

av = pytest.importorskip("av")

# A square of each colour, large enough that 4:2:0 does not mix them inside.
PATTERN = np.zeros((64, 96, 3), np.uint8)
PATTERN[:32, :48], PATTERN[:32, 48:] = (220, 40, 40), (40, 220, 40)
PATTERN[32:, :48], PATTERN[32:, 48:] = (40, 40, 220), (200, 200, 40)
INSIDE = [(y, x) for y in (12, 50) for x in (20, 76)]


def numbered(number: int) -> np.ndarray:
    """The pattern, with ``number`` written as eight black or white bars of 8 pixels below."""
    bars = np.repeat([255 * (number >> bit & 1) for bit in range(8)], 12).astype(np.uint8)
    return np.concatenate((PATTERN, np.broadcast_to(bars[None, :, None], (16, 96, 3))))


def number_of(image: np.ndarray) -> int:
    return sum(int(image[72, 12 * bit + 6].mean() > 127) << bit for bit in range(8))


def write(path: Path, times: list[float], images: list[np.ndarray], rate: Fraction = Fraction(25)) -> Path:
    with video_writer(path, images[0].shape[:2], rate) as writer:
        for time, image in zip(times, images, strict=True):
            writer.write(TimedFrame(time, image))
    return path


def by_opencv(path: Path) -> tuple[dict[str, float], list[tuple[float, np.ndarray]]]:
    """Its properties, and time and picture (RGB) of every frame."""
    video = cv2.VideoCapture(str(path))
    names = ("FRAME_COUNT", "FRAME_WIDTH", "FRAME_HEIGHT", "FPS")
    properties = {name: video.get(getattr(cv2, f"CAP_PROP_{name}")) for name in names}
    frames = []
    while True:
        there, image = video.read()
        if not there:
            return properties, frames
        frames.append((video.get(cv2.CAP_PROP_POS_MSEC) / 1000, np.asarray(image)[:, :, ::-1]))


def uneven(count: int) -> list[float]:
    """Times as of a phone: some 30 a second, none at a regular distance."""
    return np.concatenate(([0], np.random.default_rng(0).uniform(0.02, 0.06, count - 1).cumsum())).tolist()


@pytest.mark.parametrize("times", [[i / 30 for i in range(40)], uneven(40)], ids=["even", "uneven"])
def test_another_reader_sees_every_frame_at_its_time(tmp_path: Path, times: list[float]) -> None:
    rate = Fraction(39 / times[-1]).limit_denominator(1000)
    path = write(tmp_path / "a.mp4", times, [numbered(i) for i in range(40)], rate)
    properties, frames = by_opencv(path)
    assert properties["FRAME_COUNT"] == len(frames) == 40
    assert (properties["FRAME_WIDTH"], properties["FRAME_HEIGHT"]) == (96, 80)
    assert properties["FPS"] == pytest.approx(float(rate), rel=0.05)  # of uneven times an estimate from the first
    with av.open(str(path)) as container:
        assert container.duration / av.time_base == pytest.approx(times[-1] + 1 / float(rate), abs=2e-3)
    np.testing.assert_allclose([time for time, _ in frames], times, atol=1e-4)
    assert [number_of(image) for _, image in frames] == list(range(40))
    for y, x in INSIDE:  # the colours that the file's marks say, limited range and all
        np.testing.assert_allclose(frames[20][1][y, x].astype(int), PATTERN[y, x].astype(int), atol=4)
    ours = list(VideoFile(path))
    np.testing.assert_allclose([frame.time for frame in ours], times, atol=1e-4)
    for frame, (_, image) in zip(ours, frames, strict=True):
        np.testing.assert_array_equal(frame.image, image)


def test_phones_play_it(tmp_path: Path) -> None:
    """4:2:0, even sides, H.264 of a usual profile, and the index in front of the pictures."""
    path = write(tmp_path / "a.mp4", [0, 0.04], [numbered(1)[:75, :91]] * 2)
    data = path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    with av.open(str(path)) as container:
        (stream,) = container.streams
        codec = stream.codec_context
        assert (codec.name, codec.pix_fmt, codec.profile) == ("h264", "yuv420p", "High")
        assert (codec.width, codec.height) == (92, 76)
    image = next(iter(VideoFile(path))).image
    np.testing.assert_allclose(image[:, 91].astype(int), image[:, 90].astype(int), atol=25)


@pytest.mark.parametrize(
    ("degrees", "matrix"),
    [
        (90, (0, 1, 0, -1, 0, 0, 64, 0, 1)),
        (180, (-1, 0, 0, 0, -1, 0, 96, 64, 1)),
        (270, (0, -1, 0, 1, 0, 0, 0, 96, 1)),
        (0, (0, 0, 0, 0, 0, 0, 0, 0, 0)),  # no turn at all: FFmpeg makes no number of it
    ],
)
def test_the_turn_of_a_phone_is_followed(tmp_path: Path, degrees: int, matrix: tuple[int, ...]) -> None:
    """The matrix of the track's header (ISO 14496-12, 8.3.2), clockwise."""
    path = write(tmp_path / "a.mp4", [0, 0.04], [PATTERN] * 2)
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", *(v << (30 if i % 3 == 2 else 16) for i, v in enumerate(matrix)))
    path.write_bytes(data)
    expected = np.rot90(PATTERN, -degrees // 90)
    video = VideoFile(path)
    image = next(iter(video)).image
    assert video.size == image.shape[:2] == expected.shape[:2]
    for y, x in ((10, 10), (10, -10), (-10, 10), (-10, -10)):
        np.testing.assert_allclose(image[y, x].astype(int), expected[y, x].astype(int), atol=4)
    if degrees:
        np.testing.assert_array_equal(by_opencv(path)[1][0][1], image)


def test_what_is_no_video_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "whole.mp4", [i / 25 for i in range(50)], [numbered(i * 5 % 256) for i in range(50)])
    data = path.read_bytes()
    for name, content in (("text.mp4", b"no video"), ("empty.mp4", b""), ("head.mp4", data[:200])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}: (is no|has no) video"):
            open_frames(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        open_frames(tmp_path / "none.mp4")
    (tmp_path / "short.mp4").write_bytes(data[: len(data) * 2 // 3])
    seen = len(list(VideoFile(tmp_path / "short.mp4")))
    assert 1 < seen < 50
    assert f"short.mp4: announces 50 frames and has {seen}: it is cut short or damaged" in capsys.readouterr().err


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UserError, match=r"sound\.mp4: has no video in it"):
        open_frames(tmp_path / "sound.mp4")


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"mine")

    def interrupted() -> None:
        with video_writer(path, (64, 96), Fraction(25)) as writer:
            writer.write(TimedFrame(0, PATTERN))
            writer.write(TimedFrame(1, PATTERN))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(UserError, match="no frame to write"), video_writer(path, (64, 96), Fraction(25)):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"mine"


def test_a_folder_is_a_video(tmp_path: Path) -> None:
    for number, shape in enumerate(((50, 40), (30, 60), (20, 20))):
        (tmp_path / f"{number}.jpg").write_bytes(encode_jpeg(np.full((*shape, 3), 50 * number + 50, np.uint8)))
    (tmp_path / "note.txt").touch()
    frames = open_frames(tmp_path, 10)
    assert isinstance(frames, FolderFrames)
    assert (frames.size, frames.count, frames.rate) == ((50, 60), 3, 10)
    assert frames.left_out == ["1 files: no image that is read here, by its ending .txt"]
    shown = list(frames)
    assert [frame.time for frame in shown] == pytest.approx([0, 0.1, 0.2])
    for number, frame in enumerate(shown):
        shape = ((50, 40), (30, 60), (20, 20))[number]
        assert frame.image.shape == (50, 60, 3)
        assert (frame.image[: shape[0], : shape[1]] == 50 * number + 50).all()
        assert frame.image.sum() == 3 * shape[0] * shape[1] * (50 * number + 50)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no image in it"):
        open_frames(tmp_path / "empty")
