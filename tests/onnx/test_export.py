"""The ONNX model of a network: its interface, its names, its values, and that no batch size is baked in."""

import json
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.networks.base import FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.onnx.choices import OPSETS
from lwface.onnx.export import export_onnx, weights_sha256


def face_network(normalise=True):
    """A network of a few thousand weights with every kind of layer the families share, none of them as it is born."""
    torch.manual_seed(1)
    body = nn.Sequential(
        nn.Conv2d(3, 8, 7, 4, 3, bias=False), BatchNorm(8), nn.PReLU(8), nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False)
    )
    network = FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(8 * 14 * 14, 5), BatchNorm(5)), 5)
    network.normalise = normalise
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.weight.data.uniform_(0.5, 2)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def images(count, seed=0):
    return torch.randint(0, 256, (count, 3, 112, 112), generator=torch.Generator().manual_seed(seed)).float()


def run(model, data):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["fc1"], {"data": np.asarray(data)})[0]


def test_values_at_any_batch_are_those_of_the_network():
    network = face_network()
    model = export_onnx(network)
    for count in (1, 2, 5):
        expected = network(images(count)).detach().numpy()
        np.testing.assert_allclose(run(model, images(count)), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_interface():
    graph = onnx.load_from_string(export_onnx(face_network())).graph
    (data,), (result,) = graph.input, graph.output
    assert (data.name, result.name) == ("data", "fc1")
    sizes = [[dim.dim_param or dim.dim_value for dim in v.type.tensor_type.shape.dim] for v in (data, result)]
    assert sizes == [["N", 3, 112, 112], ["N", 5]]
    assert {v.type.tensor_type.elem_type for v in (data, result)} == {onnx.TensorProto.FLOAT}


def test_layers_are_neither_folded_nor_merged_and_keep_their_names():
    network = face_network()
    for module in network.modules():
        if isinstance(module, BatchNorm):  # as they are born: all their values equal
            module.weight.data.fill_(1)
            module.running_mean.zero_()
            module.running_var.fill_(1)
    graph = onnx.load_from_string(export_onnx(network)).graph
    assert {tensor.name for tensor in graph.initializer} == set(network.state_dict())
    kinds = [node.op_type for node in graph.node]
    assert [kinds.count(kind) for kind in ("Conv", "BatchNormalization", "PRelu", "Gemm")] == [2, 2, 1, 1]
    assert all(len(node.input) == 2 for node in graph.node if node.op_type == "Conv")  # no bias
    assert not {"Cast", "Identity", "Unsqueeze", "Transpose"} & set(kinds)


def test_same_network_same_bytes():
    assert export_onnx(face_network()) == export_onnx(face_network())


def test_normalisation_outside():
    network = face_network()
    pixels = images(2)
    outside = run(export_onnx(network, normalise_inside=False), (pixels - 127.5) / 128)
    np.testing.assert_allclose(outside, network(pixels).detach().numpy(), rtol=1e-4, atol=1e-4)
    assert network.normalise


@pytest.mark.parametrize(
    ("network", "reason"),
    [(face_network(normalise=False), "0..255 as they are"), (nn.Sequential(nn.Flatten()), "among its layers")],
    ids=["no normalisation", "in the graph"],
)
def test_normalisation_that_cannot_be_left_outside(network, reason):
    with pytest.raises(UserError, match=reason):
        export_onnx(network, normalise_inside=False)


def test_metadata():
    network = face_network()
    model = onnx.load_from_string(export_onnx(network, opset=15, config={"net_name": "x", "emb_size": 5}))
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(found.pop("config")) == {"net_name": "x", "emb_size": 5}
    assert found == {
        "normalisation": "inside",
        "input_mean": "0.0",
        "input_scale": "1.0",
        "color_order": "RGB",
        "number_type": "float32",
        "opset": "15",
        "weights_sha256": weights_sha256(network),
    }
    outside = onnx.load_from_string(export_onnx(network, normalise_inside=False)).metadata_props
    assert {"127.5", "0.0078125", weights_sha256(network)} <= {entry.value for entry in outside}
    network.head[1].bias.data[0] += 1
    assert found["weights_sha256"] != weights_sha256(network)


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_every_opset_is_valid_and_runs(opset):
    model = export_onnx(face_network(), opset=opset)
    onnx.checker.check_model(model, full_check=True)
    assert onnx.load_from_string(model).opset_import[0].version == opset
    assert run(model, images(1)).shape == (1, 5)


@pytest.mark.parametrize("opset", [OPSETS[0] - 1, OPSETS[-1] + 1])
def test_opset_out_of_range(opset):
    with pytest.raises(UserError, match=f"opset {opset}: expected 13 to 20"):
        export_onnx(face_network(), opset=opset)


def test_network_is_left_as_it_was_and_exported_as_it_infers():
    network = face_network().train()
    network.body[1].eval()
    modes = [module.training for module in network.modules()]
    model = export_onnx(network)
    assert [module.training for module in network.modules()] == modes
    expected = network.eval()(images(2)).detach().numpy()
    np.testing.assert_allclose(run(model, images(2)), expected, rtol=1e-4, atol=1e-4)


def test_other_number_types_become_float32():
    network = face_network().double()
    model = export_onnx(network)
    assert next(network.parameters()).dtype == torch.float64
    assert run(model, images(1)).dtype == np.float32


class Wrapped(nn.Module):
    """The network with something done to what it puts out."""

    def __init__(self, done):
        super().__init__()
        self.network, self.done = face_network(), done

    def forward(self, pixels):
        return self.done(self.network(pixels))


@pytest.mark.parametrize(
    "baked",
    [
        lambda rows: rows.reshape(2, -1),
        lambda rows: rows.reshape(int(rows.shape[0]), 5) + 0,
        lambda rows: rows + torch.zeros(len(rows), 5),
        lambda rows: rows[0],
        lambda rows: rows.reshape(-1),
    ],
    ids=["constant", "integer", "zeros", "first row", "flat"],
)
def test_batch_that_is_baked_in_is_refused(baked):
    with pytest.raises(UserError, match="batch"):
        export_onnx(Wrapped(baked))


def test_shape_arithmetic_that_follows_the_batch_is_accepted():
    network = Wrapped(lambda rows: rows.reshape(rows.shape[0], 5, 1).expand(rows.shape[0], 5, 2).reshape(-1, 10))
    np.testing.assert_allclose(run(export_onnx(network), images(3)), network(images(3)).detach(), rtol=1e-4, atol=1e-4)


def test_operator_without_onnx_counterpart():
    with pytest.raises(UserError, match=r"^cannot be exported with opset 17: .*bessel") as caught:
        export_onnx(Wrapped(torch.special.bessel_j0))
    assert "\n" not in str(caught.value)


def test_network_without_values():
    with torch.device("meta"):
        network = FaceNetwork(nn.Conv2d(3, 4, 8, 8), nn.Flatten(), 784)
    with pytest.raises(UserError, match="meta device"):
        export_onnx(network)


def test_nothing_is_said(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(face_network())
    assert capfd.readouterr() == ("", "")


def test_attention_with_fused_kernels():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, 2, 32, batch_first=True)
    network = nn.Sequential(nn.Conv2d(3, 64, 28, 28), nn.Flatten(2), layer, nn.Flatten()).eval()
    network[0].weight.data *= 0.01
    network[2] = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    with torch.inference_mode():
        expected = network(images(3)).numpy()
    np.testing.assert_allclose(run(export_onnx(network), images(3)), expected, rtol=1e-3, atol=1e-4)
