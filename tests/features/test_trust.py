"""Models whose features depend on more than their image are refused, others not; guesses about pixels are said."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.features.trust import require_own_features
from lwface.networks.base import FaceNetwork
from lwface.onnx.export import export_onnx
from lwface.onnx.model import OnnxNetwork
from lwface.onnx.precision import to_float16, to_int8

CPU = torch.device("cpu")
F = TensorProto.FLOAT


def face_network():
    torch.manual_seed(2)
    body = nn.Sequential(nn.Conv2d(3, 6, 8, 8, bias=False), nn.PReLU(6))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(6 * 14 * 14, 5)), 5).eval()


def faces(count=3):
    return np.random.default_rng(1).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


def op(name, inputs, outputs, **attributes):
    return helper.make_node(name, inputs.split(), outputs.split(), **attributes)


def graph(nodes, batch="b", **constants):
    """A convolution of the image gives ``p`` (N, 4); ``nodes`` make the embedding of it."""
    weights = np.random.default_rng(0).normal(size=(4, 3, 112, 112)).astype(np.float32)
    first = [op("Conv", "data W", "c"), op("Flatten", "c", "p")]
    made = helper.make_graph(
        [*first, *nodes],
        "g",
        [helper.make_tensor_value_info("data", F, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", F, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in {"W": weights, **constants}.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, {"input_mean": "127.5", "input_scale": "0.0078125"})
    return model.SerializeToString()


QUANTISED = [
    op("DynamicQuantizeLinear", "p", "q s z"),
    op("MatMulInteger", "q V z", "i"),
    op("Cast", "i", "f", to=F),
    op("Mul", "f s", "embedding"),
]
WEIGHTS = np.random.default_rng(3).integers(-99, 99, (4, 5)).astype(np.int8)
BATCH_NORM = [op("BatchNormalization", "p g b m v", "embedding em ev", training_mode=1)]
NUMBERS = {**dict.fromkeys("gv", np.ones(4, "f")), **dict.fromkeys("bm", np.zeros(4, "f"))}
UNSTEADY = {
    "batch norm in training mode": (
        graph(BATCH_NORM, **NUMBERS),
        "(each time|beside other faces)",  # ONNX Runtime also changes the running statistics at each run
        "batch norm is in training mode",
    ),
    "dropout": (
        graph([op("Dropout", "p ratio on", "embedding")], ratio=np.float32(0.3), on=np.array(True)),
        "each time",
        "dropout is left on",
    ),
    "dynamic int8": (graph(QUANTISED, V=WEIGHTS), "beside other faces", "static int8 .*export.py --precision int8"),
    "random numbers": (
        graph([op("RandomNormalLike", "p", "r"), op("Mul", "p r", "embedding")]),
        "each time",
        "draws random numbers",
    ),
    "the largest of the batch": (
        graph([op("ReduceMax", "p", "top", keepdims=0), op("Sub", "p top", "embedding")]),
        "beside other faces",
        "see each other",
    ),
    "mean of the batch": (
        graph([op("ReduceMean", "p", "mean", axes=[0], keepdims=1), op("Sub", "p mean", "embedding")]),
        "beside other faces",
        "see each other",
    ),
}


@pytest.mark.parametrize("model", UNSTEADY)
@pytest.mark.parametrize("batch_size", [1, 8])
def test_refused_before_the_first_feature(model, batch_size):
    data, when, reason = UNSTEADY[model]
    embedder = Embedder(OnnxNetwork(data, name="f.onnx").eval(), device=CPU, batch_size=batch_size)
    expected = rf"^f\.onnx: gives a face another feature {when} \(worst cosine -?\d\.\d+\): .*{reason}"
    for embed in (embedder.embed_both, lambda images: embedder.embed(images, flip=True)):
        with pytest.raises(UserError, match=expected) as caught:
            embed(faces())
        assert "\n" not in str(caught.value)


class Layer(nn.Module):
    """A network of PyTorch that forgets that it is in evaluation mode, or never knew."""

    embedding_size = 5

    def __init__(self, last):
        super().__init__()
        self.network, self.last = face_network(), last

    def forward(self, images):
        return self.last(self.network(images))


@pytest.mark.parametrize(
    ("last", "when"),
    [
        (lambda rows: functional.dropout(rows, 0.3, training=True), "each time"),
        (lambda rows: (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1).sqrt() + 1, "beside other faces"),
        (lambda rows: rows / rows.abs().max(), "beside other faces"),
        (lambda rows: rows * float("nan") if len(rows) > 1 else rows, "beside other faces"),
    ],
    ids=["dropout", "batch norm", "maximum", "nan beside others"],
)
def test_networks_of_pytorch_are_held_to_the_same(last, when):
    torch.manual_seed(0)
    embedder = Embedder(Layer(last), device=CPU, batch_size=4)
    with pytest.raises(UserError, match=rf"^the model \(Layer\): gives a face another feature {when}"):
        embedder.require_own_features(faces())


def test_a_network_that_needs_others_is_one_line():
    network = Layer(nn.BatchNorm1d(5, track_running_stats=False))
    with pytest.raises(UserError, match=r"the model \(Layer\): does not run on 1 images \(Expected more than 1 value"):
        require_own_features(network, device=CPU)


def test_a_model_that_is_wrong_for_each_image_alone_is_refused_by_its_graph():
    for nodes, constants in ((BATCH_NORM, NUMBERS), ([op("Dropout", "p r on", "embedding")], {"r": np.float32(0)})):
        kept = {**constants, "on": np.array(True)} if nodes is not BATCH_NORM else constants
        network = OnnxNetwork(graph(nodes, batch=1, **kept), name="f.onnx").eval()
        with pytest.raises(UserError, match="export it again in evaluation mode"):
            require_own_features(network, faces(), device=CPU)


def steady():
    plain = export_onnx(face_network())
    network = OnnxNetwork(plain)
    pictures = torch.from_numpy(faces(32).transpose(0, 3, 1, 2).copy())
    return {
        "float32": network,
        "fp16": OnnxNetwork(to_float16(plain)),
        "static int8": OnnxNetwork(to_int8(plain, network.as_input(pictures))[0]),
        "dynamic int8 of one image": OnnxNetwork(graph(QUANTISED, batch=1, V=WEIGHTS)),
        "dropout that is off": OnnxNetwork(
            graph([op("Dropout", "p ratio on", "embedding")], ratio=np.float32(0.3), on=np.array(False))
        ),
        "a network of PyTorch": face_network().train(),
        "always zero": Layer(lambda rows: rows * 0),
    }


def test_steady_models_pass():
    for name, network in steady().items():
        for images in (None, faces(1), np.zeros((2, 112, 112, 3), np.uint8)):
            require_own_features(network, images, device=CPU)
        assert network.training == (name in ("a network of PyTorch", "always zero")) or isinstance(network, OnnxNetwork)


def test_asked_once_a_network():
    network, calls = face_network(), []
    network.register_forward_hook(lambda *_: calls.append(1))
    require_own_features(network, faces(), device=CPU)
    first = len(calls)
    require_own_features(network, faces(), device=CPU)
    assert first == len(calls) == 6


def test_a_guess_about_pixels_is_said_once(capsys):
    model = helper.make_model(helper.make_graph(
        [op("GlobalAveragePool", "data", "m"), op("Flatten", "m", "embedding")], "g",
        [helper.make_tensor_value_info("data", F, ["b", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", F, None)],
    ), opset_imports=[helper.make_opsetid("", 17)], ir_version=10)  # fmt: skip
    network = OnnxNetwork(model.SerializeToString(), name="f.onnx").eval()
    for _ in range(2):
        Embedder(network, device=CPU, batch_size=2).embed(faces(), flip=False)
    said = capsys.readouterr().err
    assert said.count("\n") == said.count("note: f.onnx does not say which pixels it takes") == 1
    require_own_features(OnnxNetwork(export_onnx(face_network())), device=CPU)
    assert capsys.readouterr().err == ""
