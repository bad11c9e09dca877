"""What a foreign graph takes, by how its pre-processing was baked in: each way of doing so, and what cannot be told."""

import io

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.models.pixels import parse_pixels
from lwface.onnx.choices import Pixels
from lwface.onnx.model import OnnxNetwork, relabel
from lwface.onnx.pixels import note_of_guess, pixels_flag, pixels_words

BYTES, UNIT, SIGNED = Pixels(), Pixels(0.0, 1 / 255), Pixels(127.5, 1 / 127.5)
F, U8, I8, I32 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32
LOWEST = -(2**63) + 1  # how exporters write "to the beginning"


def bgr(pixels):
    return pixels._replace(color_order="BGR")


def triple(*numbers):
    return np.float32(numbers).reshape(1, 3, 1, 1)


CONSTANTS = {
    "mean": np.float32(127.5),
    "scale": np.float32(1 / 128),
    "half": np.float32(0.5),
    "d255": np.float32(255),
    "one": np.float32(1),
    "zero": np.float32(0),
    "step": np.float32(2 / 255),
    "u0": np.uint8(0),
    "u128": np.uint8(128),
    "swap": np.array([2, 1, 0]),
    "i0": np.array(0),
    "i1": np.array(1),
    "i2": np.array(2),
    "a1": np.array([1]),
    "from": np.array([-1]),
    "to": np.array([LOWEST]),
    "ones": np.array([1, 1, 1]),
    "shape": np.array([-1, 3, 112, 112]),
    "border": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "parts": np.array([-1, 3, 12544]),
    "red_first": triple(123.675, 116.28, 103.53),
    "blue_first": triple(104, 117, 123),
    "unit3": triple(0.485, 0.456, 0.406),
    "gamma": np.ones(3, "f"),
    "beta": np.zeros(3, "f"),
    "seen": np.float32([120, 110, 100]),
    "spread": np.full(3, 4000, "f"),
    "seen1": np.float32([0.5, 0.4, 0.35]),
    "spread1": np.full(3, 0.07, "f"),
    "diag": np.eye(3, dtype="f").reshape(3, 3, 1, 1) / 128,
    "bias": np.full(3, -127.5 / 128, "f"),
    "i128": np.int8(0),
    "flip": np.eye(3, dtype="f")[::-1].reshape(3, 3, 1, 1) / 128,
    "small": np.float32(1 / 127.5),
}


def op(name, inputs, outputs, **attributes):
    return helper.make_node(name, inputs.split(), outputs.split(), **attributes)


NORMALISE = [op("Sub", "x mean", "y"), op("Mul", "y scale", "z")]
STACK = [
    *(op("Gather", f"data i{i}", f"k{i}", axis=1) for i in range(3)),
    *(op("Unsqueeze", f"k{i} a1", f"e{i}") for i in range(3)),
    op("Concat", "e2 e1 e0", "x", axis=1),
]

GRAPHS = {  # what is done before the first convolution, what the graph then takes, and the type of its input
    "mean and scale": ([op("Sub", "data mean", "y"), op("Mul", "y scale", "z")], BYTES, F),
    "gather": ([op("Gather", "data swap", "x", axis=1), *NORMALISE], bgr(BYTES), F),
    "split and concat": (
        [op("Split", "data ones", "r g b", axis=1), op("Concat", "b g r", "x", axis=1), *NORMALISE],
        bgr(BYTES),
        F,
    ),
    "slice backwards": ([op("Slice", "data from to a1 from", "x"), *NORMALISE], bgr(BYTES), F),
    "channels one by one": ([*STACK, *NORMALISE], bgr(BYTES), F),
    "exchanged twice": (
        [op("Gather", "data swap", "w", axis=1), op("Gather", "w swap", "x", axis=1), *NORMALISE],
        BYTES,
        F,
    ),
    "pad": ([op("Pad", "data border", "x"), *NORMALISE], BYTES, F),
    "identity and reshape": ([op("Identity", "data", "w"), op("Reshape", "w shape", "x"), *NORMALISE], BYTES, F),
    "channels last": (
        [
            op("Cast", "data", "f", to=F),
            op("Transpose", "f", "w", perm=[0, 2, 3, 1]),
            op("Gather", "w swap", "x", axis=3),
            *NORMALISE[:1],
            op("Mul", "y scale", "v"),
            op("Transpose", "v", "z", perm=[0, 3, 1, 2]),
        ],
        bgr(BYTES),
        F,
    ),
    "places in a row": (
        [
            op("Reshape", "data parts", "w"),
            op("Gather", "w swap", "x", axis=1),
            *NORMALISE[:1],
            op("Mul", "y scale", "v"),
            op("Reshape", "v shape", "z"),
        ],
        bgr(BYTES),
        F,
    ),
    "over 255": ([op("Div", "data d255", "z")], BYTES, F),
    "over 255, then around a half": (
        [op("Div", "data d255", "x"), op("Sub", "x half", "y"), op("Div", "y half", "z")],
        BYTES,
        F,
    ),
    "around a half": ([op("Sub", "data half", "y"), op("Div", "y half", "z")], UNIT, F),
    "a half that is computed": (
        [op("Div", "mean d255", "m"), op("Sub", "data m", "y"), op("Div", "y m", "z")],
        UNIT,
        F,
    ),
    "ImageNet of 0..1, exchanged": (
        [op("Gather", "data swap", "x", axis=1), op("Sub", "x unit3", "y"), op("Div", "y half", "z")],
        bgr(UNIT),
        F,
    ),
    "means of red, green, blue": ([op("Sub", "data red_first", "z")], BYTES, F),
    "means of blue, green, red": ([op("Sub", "data blue_first", "z")], bgr(BYTES), F),
    "exchanged into blue, green, red": (
        [op("Gather", "data swap", "x", axis=1), op("Sub", "x blue_first", "z")],
        BYTES,
        F,
    ),
    "back to bytes from 0..1": ([op("Mul", "data d255", "x"), *NORMALISE], UNIT, F),
    "back to bytes from -1..1": ([op("Add", "data one", "w"), op("Mul", "w mean", "x"), *NORMALISE], SIGNED, F),
    "batch norm of bytes": ([op("BatchNormalization", "data gamma beta seen spread", "z")], BYTES, F),
    "batch norm of 0..1": ([op("BatchNormalization", "data gamma beta seen1 spread1", "z")], UNIT, F),
    "fresh batch norm": ([op("BatchNormalization", "data gamma beta beta gamma", "z")], SIGNED, F),
    "a convolution that scales": ([op("Conv", "data diag bias", "z")], BYTES, F),
    "a convolution that exchanges": ([op("Conv", "data flip bias", "z")], bgr(BYTES), F),
    "clipped to bytes": ([op("Clip", "data zero d255", "z")], BYTES, F),
    "clipped to 0..1": ([op("Clip", "data zero one", "z")], UNIT, F),
    "8 bits of bytes": (
        [op("QuantizeLinear", "data one u0", "q"), op("DequantizeLinear", "q one u0", "x"), *NORMALISE],
        BYTES,
        F,
    ),
    "8 bits of -1..1": (
        [op("QuantizeLinear", "data step u128", "q"), op("DequantizeLinear", "q step u128", "z")],
        SIGNED,
        F,
    ),
    "each image by itself": ([op("InstanceNormalization", "data gamma beta", "z")], BYTES, F),
    "bytes, dequantised": ([op("DequantizeLinear", "data small u128", "z")], BYTES, U8),
    "bytes, exchanged": ([op("Gather", "data swap", "w", axis=1), op("Cast", "w", "z", to=F)], bgr(BYTES), U8),
    "int8": ([op("DequantizeLinear", "data small i128", "z")], Pixels(128.0, 1.0), I8),
    "int32": ([op("Cast", "data", "z", to=F)], BYTES, I32),
    "exchanged only": ([op("Gather", "data swap", "z", axis=1)], bgr(SIGNED), F),
    "nothing": ([op("Identity", "data", "z")], SIGNED, F),
    "a value of another kind": ([op("Relu", "data", "x"), *NORMALISE], SIGNED, F),
}


def graph(nodes, element_type=F, batch="b"):
    weights = np.random.default_rng(0).normal(size=(4, 3, 16, 16)).astype(np.float32)
    nodes = [*nodes, op("Conv", "z W", "c", strides=[16, 16]), op("Flatten", "c", "embedding")]
    used = {value for node in nodes for value in node.input}
    kept = {name: value for name, value in {**CONSTANTS, "W": weights}.items() if name in used}
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("data", element_type, [batch, 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", F, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in kept.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def network_of(nodes, element_type=F, **options):
    return OnnxNetwork(graph(nodes, element_type).SerializeToString(), **options)


def images(count=2):
    return torch.randint(0, 256, (count, 3, 112, 112), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("how", GRAPHS)
def test_told_from_the_graph(how):
    nodes, expected, element_type = GRAPHS[how]
    network = network_of(nodes, element_type)
    assert network.pixels == expected
    assert network.told.assumed
    pixels = (
        images().float().numpy()[:, :: -1 if expected.color_order == "BGR" else 1] - np.float32(expected.mean)
    ) * np.float32(expected.scale)
    session = onnxruntime.InferenceSession(network.model, providers=["CPUExecutionProvider"])
    fed = pixels.astype(helper.tensor_dtype_to_np_dtype(element_type))
    np.testing.assert_allclose(network(images()), session.run(None, {"data": fed})[0], rtol=1e-4, atol=1e-3)


def test_inside_a_function_of_the_model():
    function = helper.make_function(
        "house", "Prepare", ["p"], ["z"], [op("Gather", "p swap", "x", axis=1), *NORMALISE],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    inner = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(CONSTANTS[name])))
        for name in ("swap", "mean", "scale")
    ]
    nodes = [*inner, *function.node]
    del function.node[:]
    function.node.extend(nodes)
    model = graph([helper.make_node("Prepare", ["data"], ["z"], domain="house")])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("house", 1))
    assert OnnxNetwork(model.SerializeToString()).pixels == bgr(BYTES)


def test_metadata_wins_and_may_say_the_order_alone():
    model = graph(GRAPHS["gather"][0])
    helper.set_model_props(model, {"color_order": "RGB"})
    network = OnnxNetwork(model.SerializeToString())
    assert network.pixels == BYTES
    assert "order by its metadata" in network.told.assumed
    helper.set_model_props(model, {"input_mean": "1.0", "input_scale": "0.5"})
    assert OnnxNetwork(model.SerializeToString()).told == (Pixels(1.0, 0.5), "")


def test_a_guess_stays_a_guess_when_it_is_written_down():
    guessed = network_of(GRAPHS["gather"][0])
    again = OnnxNetwork(relabel(guessed))
    assert again.told == guessed.told
    assert OnnxNetwork(relabel(again, Pixels())).told == (Pixels(), "")
    assert network_of(GRAPHS["gather"][0], pixels=UNIT).told == (UNIT, "")


@pytest.mark.parametrize("element_type", [U8, I8])
def test_whole_numbers_are_not_made_of_fractions(element_type):
    nodes = GRAPHS["int32"][0]
    with pytest.raises(UserError, match=r"takes u?int8, which pixels 127.5/128 do not fit"):
        network_of(nodes, element_type, pixels=Pixels(127.5, 1 / 128))
    with pytest.raises(UserError, match="do not fit"):
        network_of(nodes, element_type).taking(Pixels(64.0, 1.0))


@pytest.mark.parametrize(
    ("pixels", "flag", "words"),
    [
        (BYTES, "0/1", "RGB 0..255"),
        (bgr(SIGNED), "127.5/127.5,BGR", "BGR (x - 127.5) / 127.5"),
        (Pixels(127.5, 0.0078125), "127.5/128", "RGB (x - 127.5) / 128"),
        (UNIT, "0/255", "RGB x / 255"),
        (Pixels(10.0, 0.3), "10/3.3333333333333335", "RGB (x - 10) / 3.3333333333333335"),
    ],
)
def test_as_it_is_typed(pixels, flag, words):
    assert (pixels_flag(pixels), pixels_words(pixels)) == (flag, words)
    assert parse_pixels(flag) == pixels


def test_the_note_is_one_line_that_says_how_to_check():
    network = network_of(GRAPHS["gather"][0], name="f.onnx")
    note = note_of_guess(network.told, network.name)
    assert note.startswith("note: f.onnx does not say which pixels it takes; assumed: BGR 0..255 (its graph normalises")
    assert "recognition/check_model.py" in note
    assert "recognition/export.py --pixels" in note
    assert "\n" not in note


class Prepared(nn.Module):
    """A network of PyTorch with its pre-processing inside, as people write it."""

    def __init__(self, prepare):
        super().__init__()
        self.prepare, self.first = prepare, nn.Conv2d(3, 4, 16, 16)

    def forward(self, images):
        return self.first(self.prepare(images)).flatten(1)


EXPORTED = {
    "indexed": (lambda x: (x[:, [2, 1, 0]] - 127.5) / 128, bgr(BYTES)),
    "flipped": (lambda x: x.flip(1) / 255 - 0.5, bgr(BYTES)),
    "in chunks": (lambda x: torch.cat(x.chunk(3, 1)[::-1], 1) / 255, bgr(BYTES)),
    "each channel by itself": (lambda x: torch.cat([(x[:, i : i + 1] - 0.5) / 0.5 for i in (2, 1, 0)], 1), bgr(UNIT)),
    "padded": (lambda x: (functional.pad(x, (8, 8, 8, 8)) - 127.5) / 128, BYTES),
    "resized": (lambda x: functional.interpolate(x, size=(96, 96), mode="bilinear") / 127.5 - 1, BYTES),
    "kept to limits": (lambda x: x.clamp(0, 1), UNIT),
    "channels last": (
        lambda x: ((x.permute(0, 2, 3, 1)[..., [2, 1, 0]] - 127.5) / 128).permute(0, 3, 1, 2),
        bgr(BYTES),
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", EXPORTED)
def test_told_from_what_pytorch_exports(how):
    prepare, expected = EXPORTED[how]
    file = io.BytesIO()
    network, pictures = Prepared(prepare), (torch.zeros(2, 3, 112, 112),)
    options = {"input_names": ["data"], "output_names": ["embedding"], "dynamic_axes": {"data": {0: "b"}}}
    torch.onnx.export(network, pictures, file, dynamo=False, opset_version=13, **options)
    assert OnnxNetwork(file.getvalue()).pixels == expected
