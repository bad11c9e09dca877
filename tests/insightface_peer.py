"""insightface's side of tests/insightface_check.py: runs in an environment of its own and knows nothing of the project.

    .venv-insightface/bin/python tests/insightface_peer.py FOLDER

``FOLDER`` holds models NAME.onnx, ``crops.npy`` (N, 112, 112, 3), ``frames.npy`` (N, H, W, 3), both BGR as cv2 reads
images, and ``points.npy`` (N, 5, 2), the landmarks in the frames. Each model puts out ``NAME-get_feat.npy``, the
features of the crops, and ``NAME-get.npy``, those of the frames, which insightface aligns itself.
"""

import sys
from pathlib import Path

import numpy as np
from insightface.app.common import Face
from insightface.model_zoo import get_model


def main() -> None:
    """Run every model of the folder."""
    folder = Path(sys.argv[1])
    crops, frames, points = (np.load(folder / f"{name}.npy") for name in ("crops", "frames", "points"))
    for path in sorted(folder.glob("*.onnx")):
        model = get_model(str(path), providers=["CPUExecutionProvider"])
        np.save(folder / f"{path.stem}-get_feat.npy", model.get_feat(list(crops)))
        faces = [Face(kps=five) for five in points]
        np.save(folder / f"{path.stem}-get.npy", [model.get(*pair) for pair in zip(frames, faces, strict=True)])


if __name__ == "__main__":
    main()
