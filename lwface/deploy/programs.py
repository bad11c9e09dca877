"""Programs that people deploy to: what each needs of the file, and what to do with it there.

As measured by ``benchmarks/deployment.py`` with the versions that ``docs/deployment.md`` names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lwface.base.errors import UserError
from lwface.deploy.wish import Wish
from lwface.onnx.choices import Pixels

RAW = Pixels()
OUTSIDE = Pixels(127.5, 0.0078125)  # what our file takes where --normalise outside leaves that to its user
WEB = "web"  # a folder with a page: lwface/deploy/web
CONVERTED = "its converter makes its own file and was tried with float32 only; it can halve the weights itself"


@dataclass(frozen=True)
class Program:
    """What one program takes.

    Attributes:
        steps: what to do with FILE there, a line each.
        refuses: reason by precision.
        raw: why pixels must go in as 0..255 RGB; empty: any file will do that is fed what it takes.
    """

    steps: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=dict)
    raw: str = ""


_GREY = "a grey crop as cvtColor(grey, COLOR_GRAY2BGR): OpenCV 5.0.0 takes one channel for one colour, without a word"
_NEW_ENGINE = {"int8": "OpenCV 5's default engine does not run it; --for opencv-classic does"}
PROGRAMS = {
    "onnxruntime": Program(),
    "onnxruntime-web": Program(),
    WEB: Program(("open FILE/index.html: from disk with a double click, or from any static server",)),
    "insightface": Program(
        ("insightface.model_zoo.get_model('FILE').get_feat(bgr)",),
        raw="insightface gives pixels 0..255 to a file whose first nodes say so, and (x - 127.5) / 127.5 to others",
    ),
    "opencv": Program(("cv2.dnn.readNetFromONNX('FILE'), blobFromImage(bgr, swapRB=True)", _GREY), _NEW_ENGINE),
    "opencv-classic": Program(
        ("cv2.dnn.readNetFromONNX('FILE', cv2.dnn.ENGINE_CLASSIC), blobFromImage(bgr, swapRB=True)",),
        {"fp16": "OpenCV's classic engine has no float16 in its additions; --for opencv does"},
    ),
    "opencv-sface": Program(
        ("cv2.FaceRecognizerSF.create('FILE', '').feature(bgr)", _GREY),
        _NEW_ENGINE,
        raw="FaceRecognizerSF gives pixels 0..255 in RGB and cannot be told otherwise",
    ),
    "openvino": Program(
        (
            "model = read_model('FILE'), model.reshape([1, 3, 112, 112]): of one size it is faster, "
            "compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'}): else bf16 where there is such",
        )
    ),
    "ncnn": Program(
        ("pnnx FILE inputshape=[1,3,112,112] fp16=0    (without fp16=0 the weights are halved)",),
        {"fp16": CONVERTED, "int8": CONVERTED},
    ),
    "mnn": Program(
        ("mnnconvert -f ONNX --modelFile FILE --MNNModel model.mnn --bizCode faces",),
        {"fp16": CONVERTED, "int8": CONVERTED},
    ),
    "litert": Program(
        ("cp FILE copy.onnx && onnx2tf -i copy.onnx -o tf -n    (it writes over the file that it is given)",),
        {"fp16": CONVERTED, "int8": CONVERTED},
    ),
    "tract": Program((), {"fp16": "tract 0.23.9 does not load a Gemm with a bias in half precision"}),
    "coreml": Program(
        refuses=dict.fromkeys(
            ("float32", "fp16", "int8"),
            "coremltools converts the PyTorch network and reads no ONNX file; docs/deployment.md has the call",
        )
    ),
}


def check_program(name: str, wish: Wish) -> None:
    """:class:`UserError` where program ``name`` cannot use the file that ``wish`` asks for, with the reason."""
    program = PROGRAMS[name]
    if reason := program.refuses.get(wish.precision):
        raise UserError(f"--for {name} with --precision {wish.precision}: {reason}")
    if program.raw and wish.normalise == "outside":
        raise UserError(f"--for {name} with --normalise outside: {program.raw}")


def steps(name: str, pixels: Pixels, file: str) -> list[str]:
    """What to do with ``file`` in program ``name``, whose model takes ``pixels``.

    Raises:
        UserError: the program cannot be told to give such pixels.
    """
    program = PROGRAMS[name]
    if program.raw and pixels != RAW:
        raise UserError(f"--for {name}: the model does not take 0..255 RGB: {program.raw}")
    fed = f"(x - {pixels.mean:g}) / {1 / pixels.scale:g}, {pixels.color_order}" if pixels != RAW else "0..255, RGB"
    lines = [f"for {name}: float32 planes (N, 3, 112, 112) of {fed}"]
    return lines + [f"  {step.replace('FILE', file)}" for step in program.steps]


def pixels_of(network: object, wish: Wish) -> Pixels:
    """What the file that ``wish`` makes of ``network`` takes."""
    stated = getattr(network, "pixels", None)  # of an ONNX model
    if stated is not None:
        return wish.pixels or stated
    return OUTSIDE if wish.normalise == "outside" and getattr(network, "normalise", False) else RAW
