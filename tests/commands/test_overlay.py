"""overlay as it is typed: a video in, the points drawn on every frame, and what it tells."""

from __future__ import annotations

import sys
import types
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.commands import overlay
from lwface.detection.base import BoxFit, Detection, Detector
from lwface.formats.image import encode_jpeg
from lwface.formats.video import TimedFrame, VideoFile, video_writer
from lwface.landmarks.cropping import box_of
from lwface.landmarks.drawing import FOUND
from lwface.landmarks.one_euro import OneEuroFilter, ramp_lag
from lwface.synthetic.render import Picture
from lwface.synthetic.video import video

pytest.importorskip("av")

FRAMES, SIZE = 20, 160


class Truth:
    """Detector and predictor that know the face by the brightness of a corner, in which its number is written."""

    count = 68
    pictures: list[Picture]

    @classmethod
    def load(cls, model: str) -> Truth:
        return cls()

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return self.pictures[number_of(image)].landmarks68[None]


def number_of(image: np.ndarray) -> int:
    return round(float(image[-8:, -8:].mean()) / 10)


def marked(picture: Picture, number: int) -> np.ndarray:
    image = picture.frame.copy()
    image[-16:, -16:] = 10 * number
    return image


class KnownBox(Detector):
    min_score = 0.5
    tight = BoxFit((0, 0, 0, 0), 0, "")

    def __init__(self, model: str | None) -> None:
        assert model is not None

    def find(self, image: np.ndarray) -> list[Detection]:
        face = Truth.pictures[number_of(image)]
        return [Detection(box_of(face.landmarks68), 0.9, face.landmarks5)]


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return list(video(5, 1, 0, frames=FRAMES, frame_size=SIZE))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: list[Picture]) -> Path:
    """A folder with the video ``in.mp4``, at uneven times."""
    times = np.random.default_rng(0).uniform(0.02, 0.06, FRAMES).cumsum()
    with video_writer(tmp_path / "in.mp4", (SIZE, SIZE), Fraction(25)) as writer:
        for number, (time, picture) in enumerate(zip(times - times[0], pictures, strict=True)):
            writer.write(TimedFrame(float(time), marked(picture, number)))
    module = types.ModuleType("lwface.landmarks.predictor")
    module.PointPredictor = Truth  # type: ignore[attr-defined]
    monkeypatch.setattr(Truth, "pictures", pictures, raising=False)
    monkeypatch.setitem(sys.modules, "lwface.landmarks.predictor", module)
    monkeypatch.setattr("lwface.landmarks.opening.open_detector", lambda _name, model: KnownBox(model))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points.onnx").touch()
    (tmp_path / "yunet.onnx").touch()
    return tmp_path


def run(*arguments: object) -> None:
    overlay.main(["--detector", "yunet", "--detector-model", "yunet.onnx", *map(str, arguments)])


def greenness(image: np.ndarray) -> np.ndarray:
    """How far a pixel is on the way to the colour of points."""
    return image[..., 1].astype(int) - image[..., [0, 2]].max(axis=-1)


def test_points_are_on_every_frame_where_they_belong(
    folder: Path, pictures: list[Picture], capsys: pytest.CaptureFixture[str]
) -> None:
    run("--input", "in.mp4", "--output", "out.mp4", "--points-model", "points.onnx", "--cutoff", 0)
    told = capsys.readouterr().out
    assert f"out.mp4: {FRAMES} frames, " in told
    assert f"faces in {FRAMES} of them, found anew in 1; the detector looked 2 times" in told
    assert "not smoothed: no lag" in told
    made, before = list(VideoFile(folder / "out.mp4")), list(VideoFile(folder / "in.mp4"))
    np.testing.assert_allclose([frame.time for frame in made], [frame.time for frame in before], atol=1e-4)
    reader = cv2.VideoCapture("out.mp4")
    assert [reader.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_WIDTH)] == [FRAMES, SIZE]
    for frame, plain, picture in zip(made, before, pictures, strict=True):
        gained = np.maximum(greenness(frame.image) - greenness(plain.image), 0)
        gained[:24] = 0  # the frames a second, of which the width differs
        x, y = picture.landmarks68.round().astype(int).T
        assert np.median(gained[y, x]) > 0.2 * greenness(np.array(FOUND))
        far = np.ones((SIZE, SIZE), bool)
        for at_x, at_y in zip(x, y, strict=True):
            far[max(at_y - 6, 0) : at_y + 7, max(at_x - 6, 0) : at_x + 7] = False
        assert np.quantile(gained[far], 0.999) < 25


def test_the_lag_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("--input", "in.mp4", "--output", "out.mp4", "--points-model", "points.onnx", "--cutoff", 1, "--slope", 5)
    told = capsys.readouterr().out
    rate = float(VideoFile(folder / "in.mp4").rate)
    lag = ramp_lag(OneEuroFilter(1, 5), rate, 0.5)
    assert f"{lag * rate:.2f} frames ({1000 * lag:.0f} ms) at 0.5" in told
    assert "90 % of a jump by 0.1 face sizes" in told


def test_a_folder_of_images(folder: Path, pictures: list[Picture], capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "frames").mkdir()
    for number in range(4):
        (folder / "frames" / f"{number}.jpg").write_bytes(encode_jpeg(marked(pictures[number], number)))
    (folder / "frames" / "list.txt").touch()
    run("--input", "frames", "--output", "new/out.mp4", "--rate", 5)
    told = capsys.readouterr()
    assert "left out: 1 files" in told.err
    assert "4 frames, " in told.out
    assert [frame.time for frame in VideoFile(folder / "new" / "out.mp4")] == pytest.approx([0, 0.2, 0.4, 0.6])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "in.mp4"], "is the video that is read"),
        (["--output", "out.avi"], "a name that ends in .mp4"),
        (["--output", "dir.mp4"], "is a folder"),
        (["--output", "o.mp4", "--cutoff", "-1"], "--cutoff -1: expected 0 or more"),
        (["--output", "o.mp4", "--cutoff", "0", "--slope", "1"], "leave --slope out"),
        (["--output", "o.mp4", "--rate", "5"], "--rate 5: is for a folder of images"),
        (["--output", "o.mp4", "--points-model", "none.onnx"], r"none\.onnx: no such model"),
    ],
)
def test_what_cannot_be(folder: Path, arguments: list[str], message: str) -> None:
    (folder / "dir.mp4").mkdir()
    with pytest.raises(UserError, match=message):
        run("--input", "in.mp4", *arguments)
    assert not (folder / "o.mp4").exists()


def test_an_interrupted_run_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "out.mp4").write_bytes(b"mine")
    before = sorted(path.name for path in folder.iterdir())

    def interrupted(self: KnownBox, image: np.ndarray) -> list[Detection]:
        if number_of(image) == 3:
            raise KeyboardInterrupt
        return []

    monkeypatch.setattr(KnownBox, "find", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("--input", "in.mp4", "--output", "out.mp4")
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "out.mp4").read_bytes() == b"mine"
