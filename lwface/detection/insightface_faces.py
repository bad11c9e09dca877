"""The detector of insightface's ``FaceAnalysis``, where the user has the package.

It is SCRFD (Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022). insightface
downloads its models when it is first used; they are for research only.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.extras import available
from lwface.detection.base import DETECTORS, SIDE, BoxFit, Detection, Detector
from lwface.detection.choices import INSIGHTFACE
from lwface.onnx.runtime import switch_telemetry_off


@DETECTORS.register_as(INSIGHTFACE)
class InsightFace(Detector):
    """insightface's default models, of which only the detector is loaded; on a GPU where its ONNX Runtime has one."""

    min_score = 0.5  # its own threshold
    # Not fitted: its models are on the user's machine alone. SCRFD is trained on the boxes of WIDER FACE as YuNet is,
    # whose fit is taken.
    tight = BoxFit((-0.028, 0.252, 0.041, 0.015), 0.05, "that of YuNet, trained on the same boxes")

    def __init__(self, model: str | None = None) -> None:
        if model is not None:
            raise UserError(f"the detector {INSIGHTFACE} takes no model file: {model}")
        if not available("insightface"):
            raise UserError(f"the detector {INSIGHTFACE} needs the package insightface: pip install insightface")
        switch_telemetry_off()  # it imports ONNX Runtime
        self._analysis = importlib.import_module("insightface.app").FaceAnalysis(allowed_modules=["detection"])
        self._analysis.prepare(ctx_id=0, det_thresh=self.min_score, det_size=(SIDE, SIDE))

    def find(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces, which it takes from BGR."""
        return [_detection(face) for face in self._analysis.get(np.ascontiguousarray(image[:, :, ::-1]))]


def _detection(face: Any) -> Detection:
    """insightface's ``Face``: ``bbox`` (4,), ``det_score``, and ``kps`` (5, 2), None for a detector without points."""
    points = None if face.kps is None else np.asarray(face.kps, np.float32)
    return Detection(np.asarray(face.bbox, np.float32), float(face.det_score), points)
