"""What the benchmarks of points take for granted."""

import itertools
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from peers import points

from benchmarks import landmarks, point_heads
from lwface.base.errors import UserError
from lwface.landmarks.scheme import MIRROR
from lwface.networks import POINT_HEADS
from lwface.settings.places import Places
from lwface.settings.sections import load_sections


@pytest.mark.parametrize("combination", point_heads.COMBINATIONS, ids="-".join)
def test_combinations_can_be_trained(combination):
    network, head, loss = combination
    load_sections(Places.of()).entry("network", network)
    assert loss in POINT_HEADS[head].losses


def test_unknown_combinations_are_refused(tmp_path):
    with pytest.raises(UserError, match="known are r12_p-integral-l1"):
        point_heads.main(["--data", str(tmp_path), "--work", str(tmp_path), "--only", "nothing"])


def test_mirrored_crops_give_the_places_of_the_mirrored_face(monkeypatch):
    """A network that says where the bright column is: the same from both, for a point that is its own mirror image."""
    own = next(point for point in range(68) if MIRROR[point] == point)

    def program(path):
        def call(data):
            column = float(data[0, 0].sum(0).argmax())
            return np.tile(np.array((column, 7.0), np.float32), (1, 68))

        return call

    monkeypatch.setitem(landmarks.PROGRAMS, "fake", program)
    image = np.zeros((112, 112, 3), np.uint8)
    image[:, 30] = 255
    predictor = landmarks.ours("x", Path("x"))
    predictor.mirrored = True
    np.testing.assert_allclose(predictor.runner("fake")(image)[own], (30, 7))


def test_a_tfjs_network_becomes_the_same_in_onnx(tmp_path):
    """Against PyTorch, from bytes with a scale and a minimum; TF's "same" padding puts the odd row at the end."""
    draw = np.random.default_rng(0)
    widths, entries, data = (3, 4, 5, 6, 7), [], b""
    true: dict[str, np.ndarray] = {}

    def put(name, *shape):
        nonlocal data
        stored = draw.integers(0, 256, shape, np.uint8)
        entries.append({"name": name, "shape": shape, "dtype": "float32"})
        entries[-1]["quantization"] = {"dtype": "uint8", "scale": 0.004, "min": -0.5}
        data += stored.tobytes()
        true[name] = stored.astype(np.float64) * 0.004 - 0.5

    for block, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        for number in range(4):
            name = f"dense{block}/conv{number}"
            if block == number == 0:
                put(f"{name}/filters", 3, 3, inputs, outputs)
            else:
                put(f"{name}/depthwise_filter", 3, 3, outputs if number else inputs, 1)
                put(f"{name}/pointwise_filter", 1, 1, outputs if number else inputs, outputs)
            put(f"{name}/bias", outputs)
    put("fc/weights", widths[-1], 136)
    put("fc/bias", 136)
    (tmp_path / "x.bin").write_bytes(data)
    (tmp_path / "x.json").write_text(json.dumps([{"paths": ["x.bin"], "weights": entries}]))

    def layer(x, name, stride):
        weights = {key.split("/")[-1]: torch.from_numpy(value) for key, value in true.items() if key.startswith(name)}
        x = torch.nn.functional.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))
        if "filters" in weights:
            return torch.conv2d(x, weights["filters"].permute(3, 2, 0, 1), weights["bias"], stride)
        depth = weights["depthwise_filter"].permute(2, 3, 0, 1)
        x = torch.conv2d(x, depth, None, stride, groups=len(depth))
        return torch.conv2d(x, weights["pointwise_filter"].permute(3, 2, 0, 1), weights["bias"])

    image = draw.integers(0, 256, (1, 3, 112, 112)).astype(np.float64)
    x = (torch.from_numpy(image) - torch.tensor(points.MEAN, dtype=torch.float64)[:, None, None]) / 255
    for block in range(4):
        found = [layer(x, f"dense{block}/conv0", 2).relu()]
        for number in range(1, 4):
            found.append(layer(sum(found).relu(), f"dense{block}/conv{number}", 1))
        x = sum(found).relu()
    want = x.mean((2, 3)) @ torch.from_numpy(true["fc/weights"]) + torch.from_numpy(true["fc/bias"])
    session = onnxruntime.InferenceSession(points.face_api_onnx(tmp_path / "x.json"))
    (got,) = session.run(None, {"image": image.astype(np.float32)})
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
