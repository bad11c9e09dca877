"""The official count of ONNX graphs: by hand for each operator, and against the count of the network exported."""

import math

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.networks import create_network
from lwface.onnx.export import export_onnx
from lwface.onnx.flops import flops_of_onnx
from lwface.settings.resolve import network_settings

F = TensorProto.FLOAT


def weight(name, *shape, dtype=np.float32):
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def node(op, inputs, outputs="y", domain="", **attributes):
    return helper.make_node(
        op, inputs.split(","), outputs.split(","), name=f"the {op} of {outputs}", domain=domain, **attributes
    )


def model(nodes, weights=(), output="y", batch="N", extra_outputs=(), opsets=(("", 17),)):
    """A graph from ``data`` to ``output``; it begins with ``small``, the mean of each 28 x 28 patch: (N, 3, 4, 4)."""
    start = node("AveragePool", "data", "small", kernel_shape=[28, 28], strides=[28, 28])
    graph = helper.make_graph(
        [start, *nodes],
        "graph",
        [helper.make_tensor_value_info("data", F, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info(name, F, None) for name in (output, *extra_outputs)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*opset) for opset in opsets], ir_version=10)


RESHAPE = (node("Flatten", "small", "rows"), node("Reshape", "small,tokens", "sequence"))  # (N, 48) and (N, 3, 16)
TOKENS = numpy_helper.from_array(np.array([0, 3, 16]), "tokens")


@pytest.mark.parametrize(
    ("nodes", "weights", "flops", "macs"),
    [
        ([node("Conv", "small,w")], [weight("w", 6, 3, 3, 3)], (2 * 27 - 1) * 4 * 6, 27 * 4 * 6),
        ([node("Conv", "small,w,b")], [weight("w", 6, 3, 3, 3), weight("b", 6)], 2 * 27 * 4 * 6, 27 * 4 * 6),
        # the -1 stands inside the division by the groups: (2 * Cin * K - 1) * Ho * Wo * Cout / g
        ([node("Conv", "small,w", group=3)], [weight("w", 6, 1, 3, 3)], (2 * 3 * 9 - 1) * 4 * 6 // 3, 9 * 4 * 6),
        ([node("Conv", "small,w,", pads=[1, 1, 1, 1])], [weight("w", 2, 3, 3, 3)], 53 * 16 * 2, 27 * 16 * 2),
        ([*RESHAPE[:1], node("Gemm", "rows,w")], [weight("w", 48, 10)], 2 * 480 - 10, 480),
        ([*RESHAPE[:1], node("Gemm", "rows,w,b", transB=1)], [weight("w", 10, 48), weight("b", 10)], 2 * 480, 480),
        ([*RESHAPE[:1], node("MatMul", "rows,w")], [weight("w", 48, 10)], 2 * 480 - 10, 480),
        (
            [*RESHAPE[:1], node("MatMul", "rows,w", "p"), node("Add", "b,p")],
            [weight("w", 48, 10), weight("b", 10)],
            2 * 480,
            480,
        ),
        # added is a row for each token, which is no bias
        (
            [*RESHAPE, node("MatMul", "sequence,w", "p"), node("Add", "p,b")],
            [weight("w", 16, 5), weight("b", 3, 5), TOKENS],
            (2 * 16 - 1) * 15,
            16 * 15,
        ),
        (
            [*RESHAPE, node("Einsum", "sequence,w", equation="ntc,cd->ntd")],
            [weight("w", 16, 5), TOKENS],
            (2 * 16 - 1) * 15,
            16 * 15,
        ),
        ([*RESHAPE, node("MatMul", "w,sequence")], [weight("w", 5, 3), TOKENS], (2 * 3 - 1) * 80, 3 * 80),
        ([node("Relu", "small", "r"), node("Mul", "r,w")], [weight("w", 3, 1, 1)], 0, 0),
    ],
    ids=[
        "conv",
        "conv with bias",
        "grouped conv",
        "conv whose bias is left out by name",
        "gemm",
        "transposed gemm with bias",
        "matmul",
        "matmul and bias",
        "matmul and positions",
        "einsum",
        "weight on the left",
        "element-wise",
    ],
)
def test_counted(nodes, weights, flops, macs):
    report = flops_of_onnx(model(nodes, weights))
    assert (report.flops, report.macs, report.uncounted) == (flops, macs, {})


@pytest.mark.parametrize(
    ("nodes", "weights", "uncounted"),
    [
        (
            [*RESHAPE, node("Transpose", "sequence", "t", perm=[0, 2, 1]), node("MatMul", "sequence,t")],
            [TOKENS],
            {"matrix product": 16 * 9},
        ),
        ([*RESHAPE, node("Einsum", "sequence,sequence", equation="nac,nbc->nab")], [TOKENS], {"matrix product": 144}),
        (
            [node("ConvTranspose", "small,w", strides=[2, 2], group=3)],
            [weight("w", 3, 2, 2, 2)],
            {"deconvolution": 48 * 2 * 4},
        ),
    ],
    ids=["matmul", "einsum", "deconvolution"],
)
def test_seen_but_not_counted(nodes, weights, uncounted):
    report = flops_of_onnx(model(nodes, weights))
    assert (report.flops, report.uncounted) == (0, uncounted)


def branch(*nodes):
    return helper.make_graph(list(nodes), "branch", [], [helper.make_tensor_value_info("inner", F, None)])


YES = numpy_helper.from_array(np.array(True), "yes")


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([*RESHAPE, node("LSTM", "sequence,w,r", "y", hidden_size=2)], [weight("w", 1, 8, 16), weight("r", 1, 8, 2)]),
        ([node("Gelu", "small", domain="com.microsoft")], []),
        (
            [
                node(
                    "If",
                    "yes",
                    then_branch=branch(node("Conv", "small,w", "inner")),
                    else_branch=branch(node("Identity", "small", "inner")),
                )
            ],
            [weight("w", 3, 3, 1, 1), YES],
        ),
        ([node("Cast", "small", "i", to=TensorProto.UINT8), node("ConvInteger", "i,w")], [weight("w", 1, 3, 1, 1)]),
    ],
    ids=["LSTM", "other domain", "branch", "integers"],
)
def test_refused(nodes, weights):
    graph = model(nodes, [*weights, TOKENS], opsets=(("", 17), ("com.microsoft", 1)))
    with pytest.raises(UserError, match=r"cannot be counted: operator \w+ \(node 'the \w+ of y'\)|do not fit"):
        flops_of_onnx(graph)


def test_choice_without_cost():
    both = branch(node("Relu", "small", "inner")), branch(node("Identity", "small", "inner"))
    choice = node("If", "yes", "m", then_branch=both[0], else_branch=both[1])
    report = flops_of_onnx(model([choice, node("Conv", "m,w")], [weight("w", 6, 3, 3, 3), YES]))
    assert report.flops == 53 * 4 * 6


def test_model_for_a_fixed_number_of_images_counts_one():
    nodes, weights = [node("Conv", "small,w")], [weight("w", 6, 3, 3, 3)]
    assert flops_of_onnx(model(nodes, weights, batch=4)) == flops_of_onnx(model(nodes, weights))


def test_shape_that_only_running_tells():
    """The third size of ``y`` is computed in floats, which no inference follows."""
    nodes = [
        *RESHAPE,
        node("ReduceMax", "ones", "one", keepdims=0),
        node("Cast", "one", "whole", to=TensorProto.INT64),
        node("Unsqueeze", "whole,zero", "third"),
        node("Concat", "lead,third", "sizes", axis=0),
        node("Reshape", "sequence,sizes", "odd"),
        node("MatMul", "odd,w"),
    ]
    ones = numpy_helper.from_array(np.array([8, 16], np.float32), "ones")
    zero, lead = numpy_helper.from_array(np.array([0]), "zero"), numpy_helper.from_array(np.array([-1, 3]), "lead")
    report = flops_of_onnx(model(nodes, [ones, zero, lead, TOKENS, weight("w", 16, 2)]))
    assert report.flops == (2 * 16 - 1) * 3 * 2


def test_what_the_model_weighs():
    """Weights used twice count once, running statistics apart, constants among the nodes as what they are."""
    kept = helper.make_node("Constant", [], ["w2"], value=weight("", 3, 3, 1, 1))
    half = helper.make_node("Constant", [], ["half"], value=numpy_helper.from_array(np.float32(0.5)))
    nodes = [
        kept,
        half,
        node("Mul", "small,half", "m"),
        node("Conv", "m,w", "a"),
        node("Conv", "a,w", "b"),
        node("Conv", "b,w2", "c"),
        node("BatchNormalization", "c,gamma,beta,mean,var", "d"),
        node("Resize", "d,,scales", "y"),
    ]
    names = ("gamma", "beta", "mean", "var")
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    report = flops_of_onnx(model(nodes, [weight("w", 3, 3, 1, 1), *(weight(n, 3) for n in names), scales]))
    assert (report.params, report.aux, report.number_type) == (9 + 9 + 6, 6, "float32")
    assert report.model_bytes == 4 * (9 + 9 + 12 + 4)
    assert report.embedding == 3 * 8 * 8


def test_outputs_that_are_not_the_embedding_cost_nothing():
    nodes = [node("Conv", "small,w"), node("Conv", "small,w", "other")]
    graph = model(nodes, [weight("w", 6, 3, 3, 3)], extra_outputs=["other"])
    assert flops_of_onnx(graph).flops == flops_of_onnx(graph, output="other").flops == 53 * 4 * 6


def test_local_functions_are_looked_into():
    body = helper.make_function(
        "own", "Block", ["x", "w"], ["z"], [node("Conv", "x,w", "z")], [helper.make_opsetid("", 17)]
    )
    graph = model([node("Block", "small,w", domain="own")], [weight("w", 6, 3, 3, 3)], opsets=(("", 17), ("own", 1)))
    graph.functions.append(body)
    assert flops_of_onnx(graph).flops == 53 * 4 * 6


def test_quantised_model():
    nodes = [
        node("DequantizeLinear", "w8,scale,zero", "w", axis=0),
        node("QuantizeLinear", "small,one,middle", "q"),
        node("DequantizeLinear", "q,one,middle", "f"),
        node("DequantizeLinear", "b32,scale,zero32", "b", axis=0),
        node("Conv", "f,w,b"),
    ]
    weights = [
        weight("w8", 6, 3, 3, 3, dtype=np.int8),
        weight("b32", 6, dtype=np.int32),
        weight("scale", 6),
        weight("zero", 6, dtype=np.int8),
        weight("zero32", 6, dtype=np.int32),
        numpy_helper.from_array(np.float32(1), "one"),
        numpy_helper.from_array(np.uint8(128), "middle"),
    ]
    report = flops_of_onnx(model(nodes, weights))
    assert (report.flops, report.number_type, report.params) == (2 * 27 * 4 * 6, "int8", 162 + 6)
    assert report.model_bytes == 162 + 24 + 24 + 6 + 24 + 4 + 1


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_number_type(dtype):
    nodes = [node("Cast", "w0", "w", to=F), node("Conv", "small,w")]
    assert flops_of_onnx(model(nodes, [weight("w0", 6, 3, 3, 3, dtype=dtype)])).number_type == np.dtype(dtype).name
    hidden = helper.make_node("Constant", [], ["w0"], value=weight("", 6, 3, 3, 3, dtype=dtype))
    assert flops_of_onnx(model([hidden, *nodes])).number_type == np.dtype(dtype).name


SMALL = ("m025", "y1", "mnas025", "edgeface_xs", "mixfacenet_xs")  # the larger ones take seconds each


@pytest.mark.parametrize("name", SMALL)
def test_count_is_that_of_the_network(name):
    network = create_network(network_settings(name))
    expected, found = count_flops(network), flops_of_onnx(onnx.load_from_string(export_onnx(network)))
    for figure in ("flops", "macs", "params", "aux", "model_bytes", "embedding", "number_type"):
        assert getattr(found, figure) == getattr(expected, figure), figure
    # attention is two matrix products in ONNX
    assert sum(found.uncounted.values()) == sum(expected.uncounted.values())
    costs = [
        [(layer.input_shape, layer.output_shape, layer.flops) for layer in report.layers if layer.flops]
        for report in (expected, found)
    ]
    assert costs[0] == costs[1]


class Mixed(nn.Module):
    """What the families do not have: products written in several ways, a layer that runs twice, a deconvolution."""

    embedding_size = 4

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8, 8)
        self.twice = nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.plain = nn.Parameter(torch.randn(8, 8))
        self.last = nn.Linear(8, 4, bias=False)

    def forward(self, data):
        x = self.twice(self.twice(self.stem(data)))
        tokens = x.flatten(2).transpose(1, 2)  # (N, 196, 8)
        tokens = self.attend(tokens, tokens, tokens, need_weights=False)[0] @ self.plain
        tokens = tokens + torch.einsum("nic,njc->nij", tokens, tokens).mean(2, keepdim=True)
        return self.last(tokens).mean(1) + self.up(x).mean((2, 3))


def test_count_of_an_odd_network():
    network = Mixed().eval()
    expected, found = count_flops(network), flops_of_onnx(onnx.load_from_string(export_onnx(network)))
    assert (found.flops, found.macs, found.params) == (expected.flops, expected.macs, expected.params)
    assert sum(found.uncounted.values()) == sum(expected.uncounted.values())
    assert found.uncounted["deconvolution"] == expected.uncounted["deconvolution"] == math.prod((196, 8, 4, 4))
