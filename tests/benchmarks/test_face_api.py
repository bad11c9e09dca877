"""Networks of a TF.js file become the same in ONNX: beside PyTorch in float64, from bytes with scale and minimum."""

import itertools
import json

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from peers import face_api

from lwface.formats.alignment import ARCFACE_TEMPLATE
from lwface.models.store import load_model

SCALE, LEAST = 0.004, -0.5


class Stored:
    """Random tensors, written as face-api's are; ``true`` is what they stand for."""

    def __init__(self):
        self.draw, self.entries, self.data = np.random.default_rng(0), [], b""
        self.true: dict[str, torch.Tensor] = {}

    def put(self, name, *shape, quantised=True):
        self.entries.append({"name": name, "shape": shape, "dtype": "float32"})
        stored = self.draw.integers(0, 256, shape, np.uint8)
        values = stored.astype(np.float64) * SCALE + LEAST
        if quantised:
            self.entries[-1]["quantization"] = {"dtype": "uint8", "scale": SCALE, "min": LEAST}
        self.data += (stored if quantised else values.astype(np.float32)).tobytes()
        self.true[name] = torch.from_numpy(values)

    def written(self, folder):
        (folder / "x.bin").write_bytes(self.data)
        (folder / "x.json").write_text(json.dumps([{"paths": ["x.bin"], "weights": self.entries}]))
        return folder / "x.json"


def centred(image):
    return (torch.from_numpy(image) - torch.tensor(face_api.MEAN, dtype=torch.float64)[:, None, None]) / 255


def test_the_network_of_points(tmp_path):
    """TF's "same" padding puts the odd row at the end."""
    stored = Stored()
    widths = (3, 4, 5, 6, 7)
    for block, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        for number in range(4):
            name = f"dense{block}/conv{number}"
            if block == number == 0:
                stored.put(f"{name}/filters", 3, 3, inputs, outputs)
            else:
                stored.put(f"{name}/depthwise_filter", 3, 3, outputs if number else inputs, 1)
                stored.put(f"{name}/pointwise_filter", 1, 1, outputs if number else inputs, outputs)
            stored.put(f"{name}/bias", outputs)
    stored.put("fc/weights", widths[-1], 136)
    stored.put("fc/bias", 136)
    manifest = stored.written(tmp_path)

    def layer(x, name, stride):
        weights = {key.split("/")[-1]: value for key, value in stored.true.items() if key.startswith(name)}
        x = torch.nn.functional.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        if "filters" in weights:
            return torch.conv2d(x, weights["filters"].permute(3, 2, 0, 1), weights["bias"], stride)
        depth = weights["depthwise_filter"].permute(2, 3, 0, 1)
        x = torch.conv2d(x, depth, None, stride, groups=len(depth))
        return torch.conv2d(x, weights["pointwise_filter"].permute(3, 2, 0, 1), weights["bias"])

    image = stored.draw.integers(0, 256, (1, 3, 112, 112)).astype(np.float64)
    x = centred(image)
    for block in range(4):
        found = [layer(x, f"dense{block}/conv0", 2).relu()]
        for number in range(1, 4):
            found.append(layer(sum(found).relu(), f"dense{block}/conv{number}", 1))
        x = sum(found).relu()
    want = x.mean((2, 3)) @ stored.true["fc/weights"] + stored.true["fc/bias"]
    session = onnxruntime.InferenceSession(face_api.points_onnx(manifest))
    (got,) = session.run(None, {"image": image.astype(np.float32)})
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


UNITS = {"a_down": (4, 6), "a_1": (6, 6), "b_down": (6, 8), "c_down": (8, 9), "c_down_out": (9, 9)}


@pytest.fixture
def faces(tmp_path):
    """A network of faces with few channels: its tensors and its file."""
    stored = Stored()

    def layer(name, side, inputs, outputs):
        stored.put(f"{name}/conv/filters", side, side, inputs, outputs, quantised=name.startswith("a"))
        stored.put(f"{name}/conv/bias", outputs)
        stored.put(f"{name}/scale/weights", outputs)
        stored.put(f"{name}/scale/biases", outputs)

    layer("conv32_down", 7, 3, 4)
    for unit, (inputs, outputs) in UNITS.items():
        layer(f"{unit}/conv1", 3, inputs, outputs)
        layer(f"{unit}/conv2", 3, outputs, outputs)
    stored.put("fc", 9, 128)
    (tmp_path / "x.onnx").write_bytes(face_api.descriptor_onnx(stored.written(tmp_path)))
    return stored, tmp_path / "x.onnx"


def test_the_network_of_faces(faces):
    """Valid convolutions, halves of an odd side, channels and rows that are lacking, as in its source."""
    stored, path = faces
    crop = stored.draw.integers(0, 256, (112, 112, 3), np.uint8)
    longer = np.concatenate([crop, np.repeat(crop[-1:], 20, axis=0)])[23:121, 7:105]
    square = cv2.resize(longer.astype(np.float64), (150, 150), interpolation=cv2.INTER_LINEAR)

    def layer(x, name, stride, pad):
        kinds = ("conv/filters", "conv/bias", "scale/weights", "scale/biases")
        kernel, bias, factor, shift = (stored.true[f"{name}/{kind}"] for kind in kinds)
        x = torch.conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, pad)
        return x * factor[:, None, None] + shift[:, None, None]

    x = layer(centred(square.transpose(2, 0, 1)[None]), "conv32_down", 2, 0).relu()
    x = torch.nn.functional.max_pool2d(x, 3, 2)
    for unit, (inputs, outputs) in UNITS.items():
        halves = "down" in unit
        y = layer(layer(x, f"{unit}/conv1", 2 if halves else 1, 0 if halves else 1).relu(), f"{unit}/conv2", 1, 1)
        x = torch.nn.functional.avg_pool2d(x, 2) if halves else x
        whole = torch.zeros((1, outputs, *x.shape[2:]), dtype=torch.float64)
        whole[:, :inputs] += x
        whole[:, :, : y.shape[2], : y.shape[3]] += y
        x = whole.relu()
    want = (x.mean((2, 3)) @ stored.true["fc"]).numpy()
    network = load_model(str(path))[0]
    got = network(torch.from_numpy(crop).permute(2, 0, 1)[None]).numpy()
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4 * np.abs(want).max())


def test_the_square_is_where_the_source_puts_it():
    """``alignDlib``: the middle of eyes and mouth at (0.5, 0.43), their distance 0.45 of the side, whole pixels."""
    eyes, mouth = ARCFACE_TEMPLATE[:2], ARCFACE_TEMPLATE[3:].mean(axis=0)
    side = int(np.hypot(*(mouth - eyes).T).mean() / 0.45)
    left, top = np.vstack([eyes, mouth]).mean(axis=0) - (0.5 * side, 0.43 * side)
    assert side == face_api.CROP_SIDE
    assert abs(left - face_api.CROP_LEFT) <= 0.5
    assert abs(top - face_api.CROP_TOP) <= 0.5
    assert face_api.CROP_TOP + face_api.CROP_SIDE - 112 == face_api.BELOW
