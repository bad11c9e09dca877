"""A program that people deploy to, for benchmarks/deployment.py: runs in an environment of its own, knows no project.

    python deployed.py PROGRAM MODEL IMAGES FEATURES

``IMAGES`` (N, 112, 112, 3) uint8 RGB are aligned faces, ``FEATURES`` (N, D) what PROGRAM makes of them one by one,
both in NumPy's format. Then each line of the input, a number of images, is answered by a line: the seconds that so many
took, from uint8 to feature. One thread.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the programs are loaded; most are told so again

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Image = Any  # (112, 112, 3) uint8 RGB
Run = Callable[[Image], Any]


def planes(image: Image) -> Any:
    """``image`` as (1, 3, 112, 112) float32."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)


def onnxruntime(path: str) -> Run:
    """Our file as it is; pixels 0..255, planes RGB."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(["fc1"], {"data": planes(image)})[0]


def insightface(path: str) -> Run:
    """Its own ArcFaceONNX, which takes BGR."""
    import onnxruntime
    from insightface.model_zoo import get_model  # type: ignore[import-not-found]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = get_model(path, providers=["CPUExecutionProvider"], sess_options=options)
    return lambda image: model.get_feat(image[..., ::-1])


def _opencv(path: str, engine: str) -> Run:
    import cv2

    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromONNX(path, getattr(cv2.dnn, engine))

    def run(image: Image) -> Any:
        network.setInput(cv2.dnn.blobFromImage(image[..., ::-1], swapRB=True))
        return network.forward()

    return run


def opencv(path: str) -> Run:
    """OpenCV's dnn, the engine that it chooses."""
    return _opencv(path, "ENGINE_AUTO")


def opencv_classic(path: str) -> Run:
    """OpenCV's dnn with the engine of OpenCV 4."""
    return _opencv(path, "ENGINE_CLASSIC")


def opencv_sface(path: str) -> Run:
    """OpenCV's FaceRecognizerSF, which takes BGR crops."""
    import cv2

    cv2.setNumThreads(1)
    recognizer = cv2.FaceRecognizerSF.create(path, "")
    return lambda image: recognizer.feature(np.ascontiguousarray(image[..., ::-1]))


def _openvino(path: str, **properties: str) -> Run:
    import openvino

    model = openvino.compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": 1, **properties})
    return lambda image: model(planes(image))[0]


def openvino(path: str) -> Run:
    """OpenVINO told to compute in float32."""
    return _openvino(path, INFERENCE_PRECISION_HINT="f32")


def openvino_default(path: str) -> Run:
    """OpenVINO as it comes: bfloat16 on processors that have it."""
    return _openvino(path)


def ncnn(path: str) -> Run:
    """A file of pnnx's: MODEL ends in .param, and .bin lies beside it."""
    import ncnn  # type: ignore[import-not-found]

    network = ncnn.Net()
    network.opt.num_threads = 1
    if network.load_param(path) or network.load_model(path.removesuffix("param") + "bin"):
        raise SystemExit("error: ncnn cannot load it")

    def run(image: Image) -> Any:
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat.from_pixels(image, ncnn.Mat.PixelType.PIXEL_RGB, 112, 112))
        return np.array(extractor.extract("out0")[1])

    return run


def _mnn(path: str, precision: str) -> Run:
    import MNN  # type: ignore[import-not-found]

    runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "precision": precision, "numThread": 1},))
    network = MNN.nn.load_module_from_file(path, ["data"], ["fc1"], runtime_manager=runtime)

    def run(image: Image) -> Any:
        data = MNN.expr.placeholder([1, 3, 112, 112], MNN.expr.NCHW)
        data.write(planes(image))
        return np.array(network.forward([data])[0].read())

    return run


def mnn(path: str) -> Run:
    """A file of mnnconvert's, computed in float32."""
    return _mnn(path, "high")


def mnn_low(path: str) -> Run:
    """The same in what MNN calls low precision."""
    return _mnn(path, "low")


def litert(path: str) -> Run:
    """A file of onnx2tf's, which takes colours last."""
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]

    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    (data,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image: Image) -> Any:
        interpreter.set_tensor(data["index"], image[None].astype(np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return run


def tract(path: str) -> Run:
    """Our file, the batch fixed to one image."""
    import tract  # type: ignore[import-not-found]

    model = tract.onnx().load(path)
    model.set_input_fact(0, "1,3,112,112,f32")
    runnable = model.into_model().into_runnable()
    return lambda image: runnable.run([planes(image)])[0].to_numpy()


def main() -> None:
    """Write the features, then answer until the input ends."""
    program, model, images_file, features_file = sys.argv[1:]
    run: Run = globals()[program](model)
    images = np.load(images_file)
    np.save(Path(features_file), np.stack([np.array(run(image)).reshape(-1) for image in images]))
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for number in range(int(line)):
            run(images[number % len(images)])
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
