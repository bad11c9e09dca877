"""``export.py --for``: what a program refuses, and what is said of it."""

from __future__ import annotations

import sys

import onnxruntime
import pytest
import torch

from lwface.base.errors import UserError
from lwface.commands import export as command
from lwface.deploy.programs import OUTSIDE, PROGRAMS, RAW, check_program, pixels_of, steps
from lwface.deploy.wish import Wish
from lwface.models.store import save_model
from lwface.networks import create_network
from lwface.onnx.choices import Pixels

SETTINGS = {"net_name": "fmobilenet", "net_multiplier": 0.25, "emb_size": 16, "net_output": "E", "net_input": 0}
QUIET = {"calibration": "faces", "score_images": "faces", "labels": "labels.txt", "calibration_images": 64}


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    save_model(str(tmp_path / "model"), 1, create_network(SETTINGS), SETTINGS)
    return tmp_path


@pytest.mark.parametrize(
    ("program", "wish", "message"),
    [
        ("opencv", {"precision": "int8", **QUIET}, "--for opencv-classic does"),
        ("opencv-sface", {"precision": "int8", **QUIET}, "--for opencv-classic does"),
        ("opencv-classic", {"precision": "fp16", "pack": "lfw.bin"}, "no float16 in its additions"),
        ("tract", {"precision": "fp16", "pack": "lfw.bin"}, "Gemm with a bias"),
        ("ncnn", {"precision": "int8", **QUIET}, "its converter makes its own file"),
        ("coreml", {}, "reads no ONNX file"),
        ("insightface", {"normalise": "outside"}, "insightface gives pixels 0..255"),
    ],
)
def test_what_a_program_cannot_use_is_refused_with_the_reason(program, wish, message):
    with pytest.raises(UserError, match=message):
        check_program(program, Wish(**wish))


def test_every_program_takes_a_plain_file_or_says_why_not():
    for name, program in PROGRAMS.items():
        if "float32" in program.refuses:
            continue
        check_program(name, Wish())
        first, *others = steps(name, RAW, "y2.onnx")
        assert first == f"for {name}: float32 planes (N, 3, 112, 112) of 0..255, RGB"
        assert len(others) == len(program.steps)
        assert not any("FILE" in line for line in others)


def test_what_it_is_fed_is_what_the_file_takes():
    network = create_network(SETTINGS)
    assert pixels_of(network, Wish()) == RAW
    assert pixels_of(network, Wish(normalise="outside")) == OUTSIDE
    raw = create_network({"net_name": "fresnet", "net_input": 2, "net_units": [1, 1, 1, 1]})
    assert pixels_of(raw, Wish(normalise="outside")) == RAW  # its own batch norm takes the pixels
    assert steps("opencv", OUTSIDE, "f.onnx")[0].endswith("of (x - 127.5) / 128, RGB")
    assert "(x - 0) / 255, BGR" in steps("tract", Pixels(0.0, 1 / 255, "BGR"), "f.onnx")[0]
    with pytest.raises(UserError, match=r"the model does not take .* RGB: FaceRecognizerSF"):
        steps("opencv-sface", Pixels(0.0, 1.0, "BGR"), "f.onnx")


def test_the_command_says_it_after_the_file_is_written(model, capsys):
    file = model / "f.onnx"
    command.main(["--model", f"{model}/model,1", "--output", str(file), "--for", "openvino"])
    out = capsys.readouterr().out.splitlines()
    assert out[-3] == f"{file}: written"
    assert out[-2] == "for openvino: float32 planes (N, 3, 112, 112) of 0..255, RGB"
    assert "INFERENCE_PRECISION_HINT" in out[-1]
    assert str(file) in out[-1]
    onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def test_a_refusal_comes_before_anything_is_loaded(model, monkeypatch):
    monkeypatch.setattr(sys.modules["lwface.commands.export"], "load", lambda *_: pytest.fail("loaded"))
    with pytest.raises(UserError, match="--for coreml with --precision float32"):
        command.main(["--model", f"{model}/model,1", "--output", str(model / "f.onnx"), "--for", "coreml"])
    assert not (model / "f.onnx").exists()
