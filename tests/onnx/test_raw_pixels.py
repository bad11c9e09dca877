"""What insightface reads off a file's first nodes, by its rule written anew; make insightface runs the package."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from lwface.networks.base import FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.onnx.export import export_onnx
from lwface.onnx.model import OnnxNetwork
from lwface.onnx.precision import to_float16, to_int8
from lwface.onnx.raw_pixels import say_raw_pixels


def face_network(kind):
    """A small network that takes pixels 0..255: normalised first, by a batch norm of them, or not at all."""
    torch.manual_seed(2)
    layers = [nn.Conv2d(3, 8, 7, 4, 3, bias=False), BatchNorm(8), nn.PReLU(8), nn.Conv2d(8, 8, 7, 4, bias=False)]
    if kind == "batch norm":
        layers.insert(0, BatchNorm(3))
        layers[0].running_mean.fill_(120)
        layers[0].running_var.fill_(4000)
    body = nn.Sequential(*layers)
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(8 * 6 * 6, 5)), 5, normalise=kind == "sub").eval()


def pixels(count=8):
    return torch.randint(0, 256, (count, 3, 112, 112), generator=torch.Generator().manual_seed(0)).float()


def through_insightface(model, images):
    """The embeddings that insightface's ArcFaceONNX makes of ``images``."""
    names = [node.name for node in onnx.load_from_string(model).graph.node[:8]]
    minus = any(name.startswith(("Sub", "_minus")) for name in names)
    mul = any(name.startswith(("Mul", "_mul")) for name in names)
    fed = images.numpy() if minus and mul else (images.numpy() - 127.5) / 127.5
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: fed})[0]


def cosines(one, other):
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.mark.parametrize("precision", ["float32", "fp16", "int8"])
@pytest.mark.parametrize("kind", ["sub", "batch norm", "none"])
def test_pixels_are_not_normalised_twice(kind, precision):
    network = face_network(kind)
    model = export_onnx(network)
    if precision == "fp16":
        model = to_float16(model)
    elif precision == "int8":
        model, _ = to_int8(model, pixels(32).numpy())
    onnx.checker.check_model(model, full_check=True)
    expected = network(pixels()).detach().numpy()
    assert cosines(through_insightface(model, pixels()), expected).min() > (0.98 if precision == "int8" else 0.9999)
    assert OnnxNetwork(model).pixels == (0.0, 1.0, "RGB")


def test_our_own_guess_and_count_see_through_the_names():
    network = face_network("batch norm")
    model = onnx.load_from_string(export_onnx(network))
    del model.metadata_props[:]
    found = OnnxNetwork(model.SerializeToString())
    assert found.pixels == (0.0, 1.0, "RGB")
    assert found.flops_report().flops == OnnxNetwork(export_onnx(face_network("sub"))).flops_report().flops
    np.testing.assert_allclose(found(pixels()), network(pixels()).detach(), rtol=1e-4, atol=1e-4)


def test_named_once():
    model = onnx.load_from_string(export_onnx(face_network("none")))
    before = model.SerializeToString()
    say_raw_pixels(model.graph, "data")
    assert model.SerializeToString() == before


def test_outside_is_not_named_inside():
    names = [
        node.name for node in onnx.load_from_string(export_onnx(face_network("sub"), normalise_inside=False)).graph.node
    ]
    assert not any(name.startswith(("Sub", "_minus", "Mul", "_mul")) for name in names)


def test_no_shapes_are_stated_inside():
    model = export_onnx(face_network("sub"))
    for found in (model, to_float16(model), to_int8(model, pixels(32).numpy())[0]):
        assert not onnx.load_from_string(found).graph.value_info
