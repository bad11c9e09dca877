"""Graphs of MXNet as PyTorch modules: which output, which arrays, limits, training. Operators have their own file."""

import copy
import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.mxnet.graph import find_output
from lwface.mxnet.network import MxnetNetwork, load_mxnet
from lwface.mxnet.params import write_params
from lwface.mxnet.symbol import Node, Symbol, read_symbol, write_symbol

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT.parent / "shared" / "data" / "mxnet-y1" / "model"


def symbol(*nodes, heads=None):
    """A graph of ``(op, name, attrs, names of inputs)``; variables come into being where they are named."""
    found: list[Node] = []
    places: dict[str, int] = {}

    def variable(name):
        if name not in places:
            places[name] = len(found)
            found.append(Node("null", name, {}, ()))
        return places[name]

    for op, name, attrs, inputs in nodes:
        entries = []
        for text in inputs:
            source, _, output = text.partition("#")
            entries.append((variable(source), int(output or 0)))
        places[name] = len(found)
        found.append(Node(op, name, attrs, tuple(entries)))
    return Symbol(tuple(found), tuple((places[name], 0) for name in heads or [nodes[-1][1]]))


CONV = ("Convolution", "conv", {"kernel": "(3, 3)", "num_filter": "4", "stride": "(8, 8)"}, ["data", "w", "b"])
BN = ("BatchNorm", "bn", {"fix_gamma": "False"}, ["conv", "gamma", "beta", "mean", "var"])
FC1 = ("FullyConnected", "fc1", {"num_hidden": "8"}, ["bn", "fc1_weight", "fc1_bias"])
FC7 = ("FullyConnected", "fc7", {"num_hidden": "20", "no_bias": "True"}, ["fc1", "fc7_weight"])
SOFTMAX = ("SoftmaxOutput", "softmax", {}, ["fc7", "softmax_label"])
SMALL = symbol(CONV, BN, FC1)
TRAINING = symbol(CONV, BN, FC1, FC7, SOFTMAX)


@pytest.fixture
def arrays():
    """Arrays of ``TRAINING``."""
    draw = np.random.default_rng(0)
    shapes = {"w": (4, 3, 3, 3), "b": (4,), "gamma": (4,), "beta": (4,), "fc1_weight": (8, 784), "fc1_bias": (8,)}
    shapes["fc7_weight"] = (20, 8)
    found = {f"arg:{name}": draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    found["aux:mean"] = draw.normal(size=4).astype(np.float32)
    found["aux:var"] = draw.uniform(0.5, 2, 4).astype(np.float32)
    return found


@pytest.fixture
def images():
    return torch.randint(0, 256, (3, 3, 112, 112), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def by_hand(arrays, images, training=False):
    """Embeddings of ``SMALL`` written out."""
    a = {name.partition(":")[2]: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    x = F.conv2d(images.float(), a["w"], a["b"], stride=8)
    x = F.batch_norm(x, a["mean"], a["var"], a["gamma"], a["beta"], training, 0.1, 1e-3)
    return F.linear(x.flatten(1), a["fc1_weight"], a["fc1_bias"])


def test_embeddings_and_state(arrays, images):
    network = MxnetNetwork(SMALL, arrays).eval()
    assert network.embedding_size == 8
    torch.testing.assert_close(network(images), by_hand(arrays, images))
    report = count_flops(network)
    assert report.params == sum(a.size for n, a in arrays.items() if n.startswith("arg:")) - 160
    assert report.aux == 8
    assert report.number_type == "float32"
    assert report.flops == 2 * 27 * 14 * 14 * 4 + 2 * 784 * 8
    assert report.layers[0].path == "layers.conv"
    assert {name for name, _ in network.named_buffers()} == {
        "layers.bn.running_mean",
        "layers.bn.running_var",
        "_pixels",
    }
    assert "_pixels" not in network.state_dict()


def test_the_embedding_is_cut_out_of_a_training_graph(arrays, images):
    network = MxnetNetwork(TRAINING, arrays).eval()
    torch.testing.assert_close(network(images), by_hand(arrays, images))
    assert network.symbol.nodes[-1].name == "fc1"
    assert "arg:fc7_weight" not in network.arrays()
    logits = MxnetNetwork(TRAINING, arrays, "fc7_output").eval()(images)
    torch.testing.assert_close(logits, by_hand(arrays, images) @ torch.from_numpy(arrays["arg:fc7_weight"]).T)
    shares = MxnetNetwork(TRAINING, arrays, "softmax_output").eval()(images)  # without a label
    torch.testing.assert_close(shares, logits.softmax(1))


def test_which_output():
    assert TRAINING.nodes[find_output(TRAINING)[0]].name == "fc1"
    assert find_output(TRAINING, "bn") == find_output(TRAINING, "bn_output")
    unnamed = symbol(CONV, ("Flatten", "flat", {}, ["conv"]), ("SoftmaxOutput", "softmax", {}, ["flat", "label"]))
    assert unnamed.nodes[find_output(unnamed)[0]].name == "flat"
    assert SMALL.nodes[find_output(symbol(CONV, BN))[0]].op == "BatchNorm"
    both = symbol(CONV, ("Flatten", "a", {}, ["conv"]), ("Flatten", "b", {}, ["conv"]), heads=["a", "b"])
    with pytest.raises(UserError, match="several outputs: say which with --layer, for example a_output, b_output"):
        find_output(both)
    with pytest.raises(UserError, match="no output 'fc1_outptu': did you mean 'fc1_output'"):
        find_output(TRAINING, "fc1_outptu")
    with pytest.raises(UserError, match="no output 'zzzzzzzzzzzz': it puts out fc7_output, softmax_output"):
        find_output(TRAINING, "zzzzzzzzzzzz")
    twice = symbol(CONV, ("Flatten", "a", {}, ["conv"]))
    twice = Symbol((*twice.nodes, replace(twice.nodes[-1])), twice.heads)
    with pytest.raises(UserError, match="2 outputs of the graph are called 'a_output'"):
        find_output(twice, "a_output")


def test_operators_of_one_name_and_names_pytorch_does_not_take(arrays, images):
    names = ["a.b", "a.b", "a_b", "keys", "training"]
    nodes = [CONV]
    for name, source in zip(names, ["conv", *names], strict=False):
        nodes.append(("Activation", name, {"act_type": "relu"}, [source]))
    network = MxnetNetwork(symbol(*nodes, ("Flatten", "flat", {}, ["training"])), arrays).eval()
    expected = F.conv2d(images.float(), *(torch.from_numpy(arrays[f"arg:{n}"]) for n in "wb"), stride=8)
    torch.testing.assert_close(network(images), expected.relu().flatten(1))
    assert all("." not in name for name, _ in network.layers.named_children())


def test_an_array_used_twice_is_one_parameter(arrays, images):
    nodes = [CONV, ("Convolution", "again", CONV[2], ["data", "w", "b"]), ("_Plus", "sum", {}, ["conv", "again"])]
    network = MxnetNetwork(symbol(*nodes, ("Flatten", "flat", {}, ["sum"])), arrays)
    assert network.layers["conv"].weight is network.layers["again"].weight
    assert count_flops(network).params == 27 * 4 + 4
    once = MxnetNetwork(symbol(CONV, ("Flatten", "flat", {}, ["conv"])), arrays)
    torch.testing.assert_close(network(images), 2 * once(images))


def test_a_weight_may_be_computed(arrays, images):
    nodes = [
        CONV,
        BN,
        FC1,
        ("L2Normalization", "unit", {}, ["fc7_weight"]),
        ("FullyConnected", "cosine", {"num_hidden": "20", "no_bias": "True"}, ["fc1", "unit"]),
    ]
    network = MxnetNetwork(symbol(*nodes), arrays, "cosine").eval()
    weight = F.normalize(torch.from_numpy(arrays["arg:fc7_weight"]))
    torch.testing.assert_close(network(images), by_hand(arrays, images) @ weight.T, rtol=1e-5, atol=1e-2)


def test_several_outputs_of_one_node(arrays, images):
    split = ("SliceChannel", "parts", {"num_outputs": "2"}, ["conv"])
    network = MxnetNetwork(symbol(CONV, split, ("Flatten", "flat", {}, ["parts#1"])), arrays).eval()
    whole = MxnetNetwork(symbol(CONV, ("Flatten", "flat", {}, ["conv"])), arrays).eval()
    torch.testing.assert_close(network(images), whole(images)[:, 392:])
    assert find_output(symbol(CONV, split, ("Flatten", "flat", {}, ["parts#1"])), "parts_output1")[1] == 1


def test_names_of_arrays_without_their_kind(arrays, images):
    bare = {name.partition(":")[2]: array for name, array in arrays.items()}
    torch.testing.assert_close(MxnetNetwork(SMALL, bare).eval()(images), by_hand(arrays, images))


def test_the_input_may_have_another_name(arrays, images):
    renamed = tuple(replace(n, name="images") if n.name == "data" else n for n in SMALL.nodes)
    torch.testing.assert_close(
        MxnetNetwork(Symbol(renamed, SMALL.heads), arrays).eval()(images), by_hand(arrays, images)
    )


def test_other_number_types_become_float32(arrays, images):
    rounded = {name: np.round(array * 8) for name, array in arrays.items()}
    rounded["aux:var"] = np.ones(4)
    expected = by_hand({n: a.astype(np.float32) for n, a in rounded.items()}, images)
    for kind in ("float64", "float16", "int8", "int32", "int64"):
        network = MxnetNetwork(SMALL, {name: array.astype(kind) for name, array in rounded.items()}).eval()
        torch.testing.assert_close(network(images), expected)
        assert count_flops(network).number_type == "float32"


def test_weights_take_the_type_the_graph_casts_to(arrays):
    nodes = [("Cast", "half", {"dtype": "float16"}, ["data"]), (*CONV[:3], ["half", "w", "b"])]
    network = MxnetNetwork(symbol(*nodes, ("Flatten", "flat", {}, ["conv"])), arrays)
    assert network.layers["conv"].weight.dtype == torch.float16
    assert count_flops(network).number_type == "float16+float32"  # so that a track for float32 refuses it


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (("_mod_scalar", "x", {"scalar": "0"}, ["typed"]), "_mod_scalar 'x': computing with whole numbers"),
        (("Convolution", "x", {"kernel": "(1, 1)", "num_filter": "4"}, ["typed", "w", "b"]), "with whole numbers"),
    ],
)
def test_whole_numbers_are_only_cast(node, message, arrays):
    graph = symbol(("Cast", "typed", {"dtype": "int32"}, ["data"]), node, ("Flatten", "flat", {}, ["x"]))
    with pytest.raises(UserError, match=message):
        MxnetNetwork(graph, arrays)


def test_what_pytorch_cannot_compute_in_a_type_is_found_when_loading(arrays):
    half = ("Cast", "half", {"dtype": "float16"}, ["conv"])
    graph = symbol(CONV, half, ("erfinv", "x", {}, ["half"]), ("Flatten", "flat", {}, ["x"]))
    try:
        torch.erfinv(torch.zeros(1, dtype=torch.float16))
    except RuntimeError:
        with pytest.raises(UserError, match="cannot be computed in the number types that it casts to: "):
            MxnetNetwork(graph, arrays)
    else:
        assert MxnetNetwork(graph, arrays).embedding_size == 784


def test_a_convolution_in_float64_may_not_lay_out_gigabytes(arrays):
    arrays["arg:big"] = np.zeros((1, 3, 112, 112), np.float32)
    double = ("Cast", "double", {"dtype": "float64"}, ["data"])
    options = {"kernel": "(112, 112)", "num_filter": "1", "no_bias": "True", "pad": "(60, 60)"}
    graph = symbol(double, ("Convolution", "x", options, ["double", "big"]), ("Flatten", "flat", {}, ["x"]))
    with pytest.raises(UserError, match="Convolution 'x': up to here the network needs more than 256 MiB"):
        MxnetNetwork(graph, arrays)


def test_what_an_operator_needs_inside_is_limited(arrays):
    size = "(1024, 1024)"
    options = {"kernel": size, "stride": size, "pad": size, "pool_type": "sum", "pooling_convention": "full"}
    wide = ("tile", "wide", {"reps": "(1, 32, 1, 1)"}, ["data"])
    graph = symbol(wide, ("Pooling", "x", options, ["wide"]), ("Flatten", "flat", {}, ["x"]))  # 96 x 3 x 3 numbers
    with pytest.raises(UserError, match="Pooling 'x': up to here the network needs more than 256 MiB"):
        MxnetNetwork(graph, arrays)


CORNER = ("slice", "corner", {"begin": "(None, None, 0, 0)", "end": "(None, None, 8, 8)"}, ["data"])
MANY = ("tile", "many", {"reps": "(1, 100, 1, 1)"}, ["corner"])  # (300, 8, 8): PyTorch's own limit is 20480 numbers
COLUMN = ("Reshape", "column", {"shape": "(0, 1, -1, 1)"}, ["gray"])
DOUBLE = ("Cast", "double", {"dtype": "float64"}, ["corner"])
LAST = ("transpose", "last", {"axes": "(0, 2, 3, 1)"}, ["double"])
GRAY = ("slice_axis", "gray", {"axis": "1", "begin": "0", "end": "1"}, ["data"])
EMPTY = {"no_bias": "True", "num_filter": "1"}


@pytest.mark.parametrize(
    ("nodes", "options", "weight"),
    [
        # 300 x 3 x 3 numbers at 2006 x 2006 positions are 43 GB for one image; with two PyTorch takes another way.
        ([CORNER, MANY], {"kernel": "(3, 3)", "pad": "(1000, 1000)"}, (1, 300, 3, 3)),
        ([CORNER, MANY], {"kernel": "(1, 1)", "pad": "(1000, 1000)"}, (1, 300, 1, 1)),
        ([CORNER, DOUBLE, LAST], {"kernel": "(3, 3)", "pad": "(1000, 1000)", "layout": "NHWC"}, (1, 3, 3, 3)),
        ([GRAY, COLUMN], {"kernel": "(1024, 3)", "pad": "(1023, 1)", "num_filter": "40"}, (1, 40, 1024, 3)),
    ],
)
def test_a_convolution_of_a_small_image_may_not_lay_out_gigabytes(nodes, options, weight, arrays):
    arrays["arg:wide"] = np.zeros(weight, np.float32)
    op = "Deconvolution" if "num_filter" in options else "Convolution"
    node = (op, "x1", {**EMPTY, **options}, [nodes[-1][1], "wide"])
    with pytest.raises(UserError, match=f"{op} 'x1': up to here the network needs more than 256 MiB"):
        MxnetNetwork(symbol(*nodes, node, ("Flatten", "flat", {}, ["x1"])), arrays)


@pytest.mark.parametrize("op", ["Convolution", "Deconvolution"])
def test_filters_divide_into_groups(op, arrays):
    arrays["arg:odd"] = np.zeros((4, 1, 3, 3) if op == "Convolution" else (3, 1, 3, 3), np.float32)
    node = (op, "x", {"kernel": "(3, 3)", "num_filter": "4", "num_group": "3", "no_bias": "True"}, ["data", "odd"])
    with pytest.raises(UserError, match=f"{op} 'x': 4 filters do not divide into 3 groups"):
        MxnetNetwork(symbol(node, ("Flatten", "flat", {}, ["x"])), arrays)


def test_a_convolution_of_a_large_image_may_have_large_windows(arrays):
    arrays["arg:wide"] = np.zeros((1, 96, 9, 9), np.float32)  # 390 MB if it were laid out
    wide = ("tile", "wider", {"reps": "(1, 32, 1, 1)"}, ["data"])
    node = ("Convolution", "x", {**EMPTY, "kernel": "(9, 9)", "pad": "(4, 4)"}, ["wider", "wide"])
    assert MxnetNetwork(symbol(wide, node, ("Flatten", "flat", {}, ["x"])), arrays).embedding_size == 112 * 112


def test_tensors_may_have_32_dimensions(arrays):
    rank = ("Reshape", "rank", {"shape": f"(0, {'1, ' * 28}3, 112, 112)"}, ["data"])
    turned = ("reverse", "turned", {"axis": "-1"}, ["rank"])
    flat = ("Flatten", "flat", {}, ["turned"])
    network = MxnetNetwork(symbol(rank, turned, flat), arrays)
    images = torch.rand(2, 3, 112, 112)
    assert torch.equal(network(images), images.flip(-1).flatten(1))
    one_more = ("expand_dims", "turned", {"axis": "1"}, ["rank"])
    with pytest.raises(UserError, match="expand_dims 'turned': gives tensors of more than 32 dimensions"):
        MxnetNetwork(symbol(rank, one_more, flat), arrays)


def test_a_network_for_two_images_at_most_is_refused(arrays):
    two = ("slice", "two", {"begin": "(0,)", "end": "(2,)"}, ["data"])
    with pytest.raises(UserError, match="shape \\(1, 37632\\) for 1 image and \\(2, 37632\\) for 4099"):
        MxnetNetwork(symbol(two, ("Flatten", "flat", {}, ["two"])), arrays)
    both = ("elemwise_add", "both", {}, ["data", "two"])
    with pytest.raises(UserError, match="elemwise_add 'both': input rhs has shape \\(2, 3"):
        MxnetNetwork(symbol(two, both, ("Flatten", "flat", {}, ["both"])), arrays)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": "(65, 1)"}, "stride is '\\(65, 1\\)', expected numbers of at least 1 and at most 64"),
        ({"kernel": "(5000, 1)"}, "kernel is '\\(5000, 1\\)', expected numbers of at least 1 and at most 1024"),
        ({"stride": "(64, 64)"}, "works on 7108 x 7108 positions, more than 4194304"),
        ({"adj": "(1, 0)"}, "adj \\(1, 0\\) is not below stride \\(1, 1\\)"),
        ({"target_shape": "(200, 200)"}, "target_shape \\(200, 200\\) is larger than"),
    ],
)
def test_deconvolutions_that_pytorch_would_crash_at_or_take_ages_for(options, message, arrays):
    arrays["arg:big"] = np.zeros((3, 2, 4, 4), np.float32)
    whole = {"kernel": "(4, 4)", "num_filter": "2", **options}
    graph = symbol(("Deconvolution", "x", whole, ["data", "big"]), ("Flatten", "flat", {}, ["x"]))
    with pytest.raises(UserError, match=f"Deconvolution 'x': {message}"):
        MxnetNetwork(graph, arrays)


def test_a_deconvolution_that_cuts_more_than_its_kernel(arrays):
    arrays["arg:big"] = np.random.default_rng(1).normal(size=(3, 2, 4, 4)).astype(np.float32)
    shared = {"kernel": "(4, 4)", "num_filter": "2", "stride": "(3, 2)"}
    images = torch.rand(2, 3, 112, 112)
    found = {}
    for name, options in {"whole": {}, "cut": {"target_shape": "(20, 30)"}}.items():
        nodes = [("Deconvolution", "x", {**shared, **options}, ["data", "big"]), ("Flatten", "flat", {}, ["x"])]
        found[name] = MxnetNetwork(symbol(*nodes), arrays)(images)
    whole = found["whole"].reshape(2, 2, 337, 226)  # 337 - 20 = 2 * 159 - 1, 226 - 30 = 2 * 98
    torch.testing.assert_close(found["cut"].reshape(2, 2, 20, 30), whole[:, :, 159:179, 98:128])


def test_fixed_gamma_is_one_and_stays(arrays, images):
    fixed = symbol(CONV, (*BN[:2], {}, BN[3]), FC1)
    network = MxnetNetwork(fixed, arrays).eval()
    arrays["arg:gamma"] = np.ones(4, np.float32)
    torch.testing.assert_close(network(images), by_hand(arrays, images))
    assert not network.layers["bn"].weight.requires_grad
    assert count_flops(network).params == count_flops(MxnetNetwork(SMALL, arrays)).params


def test_training(arrays, images):
    network = MxnetNetwork(SMALL, arrays).train()
    torch.testing.assert_close(network(images), by_hand(arrays, images, training=True))
    network(images).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    before = network.arrays()
    torch.optim.SGD(network.parameters(), 0.01).step()
    after = network.arrays()
    assert set(after) == {name for name in arrays if "fc7" not in name}
    moved = {name for name in after if (before[name] != after[name]).any()}
    assert moved >= {"arg:w", "arg:gamma", "arg:beta", "arg:fc1_weight", "arg:fc1_bias"}  # a norm takes b away again
    assert (before["aux:mean"] != arrays["aux:mean"]).all()
    again = MxnetNetwork(network.symbol, after).eval()
    torch.testing.assert_close(again(images), network.eval()(images))


def test_arrays_of_the_caller_are_not_changed(arrays, images):
    kept = copy.deepcopy(arrays)
    network = MxnetNetwork(SMALL, arrays).train()
    network(images)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert all(np.array_equal(kept[name], arrays[name]) for name in arrays)


def test_dropout_only_in_training(arrays, images):
    nodes = [CONV, BN, FC1, ("Dropout", "drop", {"p": "0.5"}, ["fc1"])]
    network = MxnetNetwork(symbol(*nodes), arrays, "drop_output").eval()
    torch.testing.assert_close(network(images), by_hand(arrays, images))
    assert (network.train()(images) == 0).any()


def test_copies_doubles_and_channels_last(arrays, images):
    network = MxnetNetwork(SMALL, arrays).eval()
    expected = network(images)
    torch.testing.assert_close(copy.deepcopy(network)(images), expected)
    last = images.to(memory_format=torch.channels_last)
    seen = []
    network.layers["bn"].register_forward_hook(lambda m, inputs, output: seen.append(output))
    torch.testing.assert_close(network(last), expected)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(copy.deepcopy(network).double()(images), expected.double(), rtol=1e-4, atol=1e-3)


def test_tensors_that_nobody_needs_are_let_go(arrays, images):
    nodes = [("_plus_scalar", f"n{i}", {"scalar": "1"}, [f"n{i - 1}" if i else "conv"]) for i in range(5)]
    network = MxnetNetwork(symbol(CONV, *nodes, ("Flatten", "flat", {}, ["n4"])), arrays).eval()
    made, alive = [], []

    def note(module, inputs, output):
        made.append(weakref.ref(output))
        alive.append(sum(reference() is not None for reference in made))

    for layer in network.layers.values():
        layer.register_forward_hook(note)
    with torch.inference_mode():
        network(images)
    assert len(alive) == 7
    assert max(alive) == 2  # what a layer takes and what it gives


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("arg:w"), "arrays that the graph needs are not among the parameters: 'w' \\(1 missing\\)"),
        (lambda a: [a.pop(n) for n in ("arg:w", "aux:var")], "'w', 'var' \\(2 missing\\)"),
        (
            lambda a: a.update({"arg:w": np.zeros((4, 3, 5, 5), "f4")}),
            "Convolution 'conv': array 'w' has shape \\(4, 3, 5, 5\\), expected \\(4, 3, 3, 3\\)",
        ),
        (
            lambda a: a.update({"aux:var": np.zeros(5, "f4")}),
            "BatchNorm 'bn': array 'var' has shape \\(5,\\), expected \\(4,\\)",
        ),
        (lambda a: a.update({"arg:fc1_weight": np.zeros((8, 512), "f4")}), "array 'fc1_weight' has shape \\(8, 512\\)"),
        (
            lambda a: a.update({"arg:fc1_bias": np.zeros((), "f4")}),
            "'fc1_bias' has shape \\(\\), expected \\(8,\\)",
        ),
    ],
)
def test_arrays_that_do_not_fit(change, message, arrays):
    change(arrays)
    with pytest.raises(UserError, match=message):
        MxnetNetwork(SMALL, arrays)


def changed(op, name, attrs, inputs):
    return symbol(CONV, (op, name, attrs, inputs), ("Flatten", "flat", {}, [name]))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (changed("Custom", "x", {"op_type": "y"}, ["conv"]), "Custom 'x': this operator of MXNet is not known here"),
        (
            changed("Activation", "x", {"act_type": "mish"}, ["conv"]),
            "act_type is 'mish', expected one of relu, sigmoid",
        ),
        (changed("Activation", "x", {}, ["conv"]), "Activation 'x': the option act_type is missing"),
        (changed("Activation", "x", {"act_type": "relu", "slope": "1"}, ["conv"]), "unknown option 'slope'"),
        (changed("Activation", "x", {"act_type": "relu"}, ["conv", "conv"]), "it has 2 inputs, expected 1 \\(data\\)"),
        (changed("_plus_scalar", "x", {"scalar": "__import__('os')"}, ["conv"]), "scalar is .*, expected a number"),
        (changed("_plus_scalar", "x", {"scalar": "nan"}, ["conv"]), "scalar is 'nan'"),
        (
            changed("transpose", "x", {"axes": "(0, 1, 2, 9)"}, ["conv"]),
            "transpose 'x': cannot be computed for inputs of",
        ),
        (changed("Pooling", "x", {"kernel": "(99, 99)"}, ["conv"]), "the kernel of 99 exceeds the input of 14"),
        (
            changed("Pooling", "x", {"kernel": "(0, 2)"}, ["conv"]),
            "kernel is '\\(0, 2\\)', expected numbers of at least 1 and",
        ),
        (changed("Reshape", "x", {"shape": "(1, -1)"}, ["conv"]), "'flat' has shape .* expected \\(N, D\\), one row"),
        (changed("elemwise_add", "x", {}, ["conv", "data"]), "input rhs has shape \\(1, 3, 112, 112\\), expected"),
        (
            changed("tile", "x", {"reps": "(1, 1, 9999, 9999)"}, ["conv"]),
            "tile 'x': up to here the network needs more than",
        ),
        (changed("tile", "x", {"reps": "(1,{})".format(",".join(["2000000000"] * 9))}, ["conv"]), "tile 'x'"),
        (changed("Reshape", "x", {"shape": "(0, %s1)" % ("1, " * 80)}, ["conv"]), "expected numbers"),
        (changed("BatchNorm", "x", {"axis": "7"}, ["conv", "gamma", "beta", "mean", "var"]), "axis 7 does not fit"),
        (changed("slice_axis", "x", {"axis": "1", "begin": "3", "end": "3"}, ["conv"]), "begin 3 and end 3"),
        (symbol(CONV, BN, ("Flatten", "flat", {}, ["bn#1"])), "output 1 of 'bn' cannot be used"),
        (symbol(CONV, ("Flatten", "flat", {}, ["conv#2"])), "output 2 of 'conv' cannot be used"),
        (symbol(("Flatten", "flat", {}, ["w"])), "the output does not depend on an image"),
        (symbol(CONV), "output 0 of 'conv' has shape \\(1, 4, 14, 14\\) for 1 image"),
        (
            symbol(("_contrib_BilinearResize2D", "x", {"scale_height": "2"}, ["data"])),
            "_contrib_BilinearResize2D 'x': scale_height without scale_width",
        ),
    ],
)
def test_graphs_that_cannot_be_run(graph, message, arrays):
    with pytest.raises(UserError, match=message) as error:
        MxnetNetwork(graph, arrays)
    assert len(str(error.value)) < 500


def test_too_many_products(arrays):
    wide = {"kernel": "(560, 560)", "pad": "(500, 500)", "pool_type": "avg"}
    enlarge = ("UpSampling", "up", {"scale": "40", "sample_type": "nearest", "num_args": "1"}, ["conv"])
    graph = symbol(CONV, enlarge, ("Pooling", "wide", wide, ["up"]), ("Flatten", "flat", {}, ["wide"]))
    with pytest.raises(UserError, match=r"Pooling 'wide': up to here the network needs more than 256 MiB or 1.1e\+12"):
        MxnetNetwork(graph, arrays)


def test_products_of_a_dot_with_its_right_side_turned(arrays, monkeypatch):
    arrays["arg:right"] = np.zeros((2, 37632), np.float32)
    turned = {"transpose_b": "True"}
    graph = symbol(("Flatten", "flat", {}, ["data"]), ("dot", "product", turned, ["flat", "right"]))
    monkeypatch.setattr("lwface.mxnet.plan.MAX_PRODUCTS", 3 * 37632)  # the copy and 2 numbers of 37632 products each
    assert MxnetNetwork(graph, arrays).embedding_size == 2
    monkeypatch.setattr("lwface.mxnet.plan.MAX_PRODUCTS", 3 * 37632 - 1)
    with pytest.raises(UserError, match="dot 'product': up to here the network needs more"):
        MxnetNetwork(graph, arrays)


def test_images_of_another_size(arrays):
    network = MxnetNetwork(SMALL, arrays)
    with pytest.raises(UserError, match=r"images of shape \(1, 3, 96, 96\): the network takes \(N, 3, 112, 112\)"):
        network(torch.zeros(1, 3, 96, 96))


def test_files(arrays, images, tmp_path):
    prefix = tmp_path / "model"
    with pytest.raises(UserError, match=r"model-symbol.json: no such file; a model of MXNet is .* side by side"):
        load_mxnet(prefix, 1)
    write_symbol(tmp_path / "model-symbol.json", TRAINING)
    with pytest.raises(UserError, match=r"model-0001.params: no such file"):
        load_mxnet(prefix, 1)
    write_params(tmp_path / "model-0001.params", arrays)
    network = load_mxnet(prefix, 1)
    assert not network.training
    torch.testing.assert_close(network(images), by_hand(arrays, images))
    assert load_mxnet(prefix, 1, "fc7_output").embedding_size == 20
    arrays.pop("arg:b")
    write_params(tmp_path / "model-0002.params", arrays)
    with pytest.raises(UserError, match=r"model-symbol.json with model-0002.params: arrays that the graph needs"):
        load_mxnet(prefix, 2)


@pytest.mark.skipif(not CHECKPOINT.parent.exists(), reason="the checkpoint in ../shared is not here")
def test_a_real_checkpoint_equals_mxnet():
    # Made with MXNet 1.9.1: mx.model.load_checkpoint, get_internals()["fc1_output"], on these four images of noise.
    expected = np.load(Path(__file__).parent / "golden" / "y1_embeddings.npy")
    noise = np.random.RandomState(0).randint(0, 256, (4, 3, 112, 112), dtype=np.uint8)
    network = load_mxnet(CHECKPOINT, 0)
    with torch.inference_mode():
        found = network(torch.from_numpy(noise)).numpy()
    distance = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert distance.max() < 1e-5
    report = count_flops(network)
    assert (report.flops, report.params, report.aux, report.embedding) == (439821056, 1003264, 19584, 128)
    assert report.uncounted == {}


def test_a_graph_as_an_old_version_wrote_it(arrays, images, tmp_path):
    nodes = []
    kept = [n for n in SMALL.nodes if n.name not in ("mean", "var")]
    place = {node.name: i for i, node in enumerate(kept)}
    for node in kept:
        inputs = [SMALL.nodes[source].name for source, _ in node.inputs]
        entries = [[place[name], 0] for name in inputs if name in place]
        nodes.append({"op": node.op, "param": node.attrs, "name": node.name, "inputs": entries})
        if node.op != "null":
            nodes[-1]["attr"] = {"ctx_group": "dev1", "weight_lr_mult": "2"}
    path = tmp_path / "old-symbol.json"
    path.write_text(json.dumps({"nodes": nodes, "arg_nodes": [0], "heads": [[len(nodes) - 1, 0]]}))
    arrays["aux:bn_moving_mean"], arrays["aux:bn_moving_var"] = arrays.pop("aux:mean"), arrays.pop("aux:var")
    network = MxnetNetwork(read_symbol(path), arrays).eval()
    arrays["aux:mean"], arrays["aux:var"] = arrays["aux:bn_moving_mean"], arrays["aux:bn_moving_var"]
    torch.testing.assert_close(network(images), by_hand(arrays, images))
