"""What insightface reads off a file's first nodes, by its rule written anew; make insightface runs the package."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from lwface.networks.base import FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.onnx.choices import Pixels
from lwface.onnx.export import export_onnx
from lwface.onnx.model import OnnxNetwork, relabel
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


def renamed(model, names):
    """The same model, as another exporter may have named its nodes; without metadata."""
    parsed = onnx.load_from_string(model)
    for number, node in enumerate(parsed.graph.node):
        node.name = names(number, node)
    del parsed.metadata_props[:]
    return parsed.SerializeToString()


NAMES = {
    "PyTorch's": lambda number, node: f"/body/{node.op_type}_{number}",
    "numbers": lambda number, _: str(number),
    "operators": lambda number, node: f"{node.op_type}_{number}",
    "none": lambda _, __: "",
}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("kind", ["sub", "batch norm", "none"])
def test_a_file_of_others_that_is_said_to_take_raw_pixels_is_fed_so(kind, names):
    network = face_network(kind)
    foreign = renamed(export_onnx(network), NAMES[names])
    again = relabel(OnnxNetwork(foreign), Pixels())
    onnx.checker.check_model(again, full_check=True)
    assert cosines(through_insightface(again, pixels()), network(pixels()).detach().numpy()).min() > 0.9999
    assert OnnxNetwork(again).pixels == Pixels()


@pytest.mark.parametrize("misleading", [("Sub_0", "Mul_1"), ("_minus", "Mul"), ("SubPixel", "_mulscalar7")])
def test_a_file_of_others_that_takes_normalised_pixels_is_not_named_otherwise(misleading):
    network = face_network("none")
    foreign = renamed(export_onnx(network), lambda number, node: misleading[number] if number < 2 else node.name)
    expected = network((pixels() - 127.5) / 127.5).detach().numpy()
    assert cosines(through_insightface(foreign, pixels()), expected).min() < 0.999  # what the names alone would do
    again = relabel(OnnxNetwork(foreign), Pixels(127.5, 1 / 127.5))
    assert cosines(through_insightface(again, pixels()), expected).min() > 0.9999


def test_a_guess_renames_nothing():
    foreign = renamed(export_onnx(face_network("sub")), NAMES["PyTorch's"])
    network = OnnxNetwork(foreign)
    assert network.told.assumed
    names = [node.name for node in onnx.load_from_string(relabel(network)).graph.node]
    assert names == [node.name for node in onnx.load_from_string(foreign).graph.node]
