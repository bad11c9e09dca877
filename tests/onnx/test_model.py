"""ONNX models as networks: ours and other people's, whole and damaged."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.networks.base import FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.onnx.choices import Pixels
from lwface.onnx.export import export_onnx
from lwface.onnx.file import read_onnx
from lwface.onnx.model import ARCFACE_TORCH, OnnxNetwork, load_onnx, relabel

F = TensorProto.FLOAT


def face_network():
    torch.manual_seed(2)
    body = nn.Sequential(nn.Conv2d(3, 6, 8, 8, bias=False), BatchNorm(6), nn.PReLU(6))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(6 * 14 * 14, 5)), 5).eval()


def images(count=3):
    return torch.randint(0, 256, (count, 3, 112, 112), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(","), outputs.split(","), name=outputs, **attributes)


def foreign(before=(), batch="b", extra_outputs=(), element_type=F):
    """A model as others write them: the mean of each channel of ``data``, or of ``x`` that ``before`` makes of it."""
    kept = [numpy_helper.from_array(np.float32(value), name) for name, value in (("c", 127.5), ("s", 0.5))]
    graph = helper.make_graph(
        [*before, node("ReduceMean", "x" if before else "data", "p", axes=[2, 3]), node("Flatten", "p", "embedding")],
        "g",
        [helper.make_tensor_value_info("data", element_type, [batch, 3, 112, 112])],
        [
            helper.make_tensor_value_info(name, element_type, [None] * rank)
            for name, rank in (("embedding", 2), *((name, 4) for name in extra_outputs))
        ],
        kept if before else [],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def network_of(model, **options):
    return OnnxNetwork(model.SerializeToString(), **options)


def channel_means(pixels):
    return pixels.float().mean((2, 3)).numpy()


def test_gives_what_the_network_gives():
    network = face_network()
    for inside in (True, False):
        found = OnnxNetwork(export_onnx(network, normalise_inside=inside, config={"net_name": "x"}))
        assert (found.embedding_size, found.config) == (5, {"net_name": "x"})
        for batch in (images(), images().float(), images(1), images(0)):
            expected = network(batch).detach()
            rows = found(batch)
            assert rows.shape == expected.shape
            assert rows.dtype == torch.float32
            torch.testing.assert_close(rows, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_fixed_batch_is_run_as_often_as_it_takes(batch):
    found = network_of(foreign(batch=batch), pixels=Pixels())
    np.testing.assert_allclose(found(images(3)), channel_means(images(3)), rtol=1e-5)


@pytest.mark.parametrize(
    ("before", "pixels"),
    [
        ((), ARCFACE_TORCH),
        ((node("Sub", "data,c", "m"), node("Mul", "m,s", "x")), Pixels()),
        ((node("Cast", "data", "f", to=F), node("Div", "f,c", "x")), Pixels()),
        ((node("Cast", "data", "f", to=F), node("Div", "f,s", "x")), Pixels(0.0, 1 / 255)),
        ((node("Relu", "data", "r"), node("Mul", "r,s", "x")), ARCFACE_TORCH),
    ],
    ids=["none", "minus and times", "after a cast", "times two", "arithmetic only later"],
)
def test_what_a_foreign_model_takes(before, pixels):
    assert network_of(foreign(before)).pixels == pixels


def test_metadata_says_what_a_model_takes_and_the_caller_knows_better():
    model = foreign()
    helper.set_model_props(model, {"input_mean": "10.0", "input_scale": "0.5", "color_order": "BGR"})
    expected = (channel_means(images()) - 10) * 0.5
    np.testing.assert_allclose(network_of(model)(images()), expected[:, ::-1], rtol=1e-4)
    np.testing.assert_allclose(network_of(model, pixels=Pixels(1.0, 2.0))(images()), (expected * 2 + 9) * 2, rtol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_mean": "ten", "input_scale": "1"},
        {"input_mean": "1"},
        {"input_mean": "0", "input_scale": "nan"},
        {"input_mean": "0", "input_scale": "0"},
        {"input_mean": "0", "input_scale": "1", "color_order": "GRB"},
    ],
)
def test_senseless_metadata(wrong):
    model = foreign()
    helper.set_model_props(model, wrong)
    with pytest.raises(UserError, match="make no sense"):
        network_of(model)


def test_relabelled_model_says_what_it_takes():
    found = network_of(foreign(extra_outputs=["p"]), output="embedding", pixels=Pixels(3.0, 0.25, "BGR"))
    again = OnnxNetwork(relabel(found, found.pixels))
    assert again.pixels == Pixels(3.0, 0.25, "BGR")
    assert torch.equal(again(images()), found(images()))
    assert again.config == {}


def test_several_outputs():
    model = foreign(extra_outputs=["p"])
    with pytest.raises(UserError, match=r"several outputs \(embedding, p\)"):
        network_of(model)
    assert network_of(model, output="p")(images()).shape == (3, 3)
    with pytest.raises(UserError, match="no output 'q'; it has embedding, p"):
        network_of(model, output="q")
    model.graph.node[-1].output[0] = model.graph.output[0].name = "fc1"
    assert network_of(model).output == "fc1"


def test_models_tell_themselves_apart_and_have_no_weights():
    first, second = network_of(foreign()), network_of(foreign(batch=1))
    assert not torch.equal(first.state_dict()["sha256"], second.state_dict()["sha256"])
    assert torch.equal(first.sha256, network_of(foreign()).sha256)
    assert not list(first.parameters())


@pytest.mark.parametrize("element_type", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_number_types(element_type):
    found = network_of(foreign(element_type=element_type))
    expected = (channel_means(images()) - 127.5) / 127.5
    np.testing.assert_allclose(found(images()), expected, atol=2e-3)


def test_counted_like_the_network_it_was_made_of():
    network = face_network()
    report = count_flops(OnnxNetwork(export_onnx(network)))
    assert report.flops == count_flops(network).flops == (2 * 3 * 64 - 1) * 196 * 6 + 2 * 6 * 196 * 5


def test_file_round_trip(tmp_path):
    network = face_network()
    path = tmp_path / "f.onnx"
    path.write_bytes(export_onnx(network))
    found = load_onnx(path)
    assert not found.training
    torch.testing.assert_close(found(images()), network(images()).detach(), rtol=1e-4, atol=1e-4)


def test_images_of_another_size():
    with pytest.raises(UserError, match=r"\(2, 3, 96, 96\)"):
        network_of(foreign())(torch.zeros(2, 3, 96, 96))


def changed(change):
    model = foreign((node("Sub", "data,c", "m"), node("Mul", "m,s", "x")))
    change(model)
    return model


def set_size(axis, size):
    def change(model):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size

    return change


def huge(model):
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**20]), "sizes"))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["sizes"], ["big"]))
    model.graph.node.append(helper.make_node("Add", ["big", "s"], ["bigger"]))


def five(model):
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(5, np.float32), "c"))


DAMAGES = {
    "unknown operator": (lambda m: setattr(m.graph.node[0], "op_type", "Conf"), "not a valid ONNX model .*Conf"),
    "unknown domain": (lambda m: setattr(m.graph.node[0], "domain", "secret"), "not a valid ONNX model|cannot run"),
    "no input": (lambda m: m.graph.ClearField("input"), r"0 inputs \(none\)|not a valid"),
    "two inputs": (lambda m: m.graph.input.append(helper.make_tensor_value_info("z", F, [1])), r"2 inputs \(data, z\)"),
    "channels": (set_size(1, 1), "free x 1 x 112 x 112; expected"),
    "image size": (set_size(3, 224), "free x 3 x 112 x 224; expected"),
    "missing value": (lambda m: m.graph.node[1].input.__setitem__(0, "nothing"), "not a valid ONNX model"),
    "short tensor": (
        lambda m: setattr(m.graph.initializer[0], "raw_data", b"ab"),
        "'c' holds 2 bytes, its shape needs 4",
    ),
    "empty tensor": (lambda m: m.graph.initializer[0].ClearField("raw_data"), "'c' holds nothing"),
    "large tensor": (lambda m: m.graph.initializer[0].dims.extend([2**31, 2**31]), "'c' has the impossible shape"),
    "negative size": (lambda m: m.graph.initializer[0].dims.append(-1), "'c' has the impossible shape"),
    "number type": (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "'c' has the unknown number type 99"),
    "shapes": (five, "shapes do not fit each other"),
    "huge value": (huge, "'big' inside would be of shape|'bigger' inside"),
    "no graph": (lambda m: m.ClearField("graph"), "holds no ONNX graph"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_models(tmp_path, damage):
    change, reason = DAMAGES[damage]
    path = tmp_path / "damaged.onnx"
    path.write_bytes(changed(change).SerializeToString())
    with pytest.raises(UserError, match=reason) as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_and_foreign_files(tmp_path):
    for name, data in (("empty.onnx", b""), ("text.onnx", b"not a model"), ("zeros.onnx", bytes(1000))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=name):
            load_onnx(tmp_path / name)
    with pytest.raises(UserError, match="no such model"):
        load_onnx(tmp_path / "none.onnx")


def test_truncated_and_mutated_files_give_an_error_or_a_model(tmp_path):
    """Never another exception, and no crash: 60 truncations and 180 files with a few bytes changed."""
    whole = bytearray(export_onnx(face_network()))
    random = np.random.default_rng(0)
    graph_part = len(whole) - 6 * 14 * 14 * 5 * 4  # the large weights say nothing new
    survived = 0
    for attempt in range(240):
        data = whole[: attempt * len(whole) // 60] if attempt < 60 else bytearray(whole)
        if attempt >= 60:
            for place in random.integers(0, graph_part, random.integers(1, 4)):
                data[place] = random.integers(256)
        path = tmp_path / "mutated.onnx"
        path.write_bytes(data)
        try:
            load_onnx(path)
            survived += 1
        except UserError:
            continue
    assert survived < 180


def with_external_data(folder, location, data=b"\0\0\xff\x42", **entries):
    """A model whose number ``c`` is kept in the file ``location``; 127.5 is the default."""
    model = changed(lambda m: None)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    folder.mkdir(exist_ok=True)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    (folder / "weights.bin").write_bytes(data)
    return folder / "m.onnx"


@pytest.mark.parametrize("entries", [{}, {"offset": 0, "length": 4}, {"offset": 3}])
def test_external_data(tmp_path, entries):
    data = b"xyz\0\0\xff\x42!" if entries.get("offset") else b"\0\0\xff\x42"
    path = with_external_data(tmp_path / "model", "weights.bin", data, **entries)
    expected = load_onnx_of(changed(lambda m: None), tmp_path)(images())
    assert torch.equal(load_onnx(path)(images()), expected)
    assert read_onnx(path).graph.initializer[0].data_location == TensorProto.DEFAULT


def load_onnx_of(model, folder):
    (folder / "plain.onnx").write_bytes(model.SerializeToString())
    return load_onnx(folder / "plain.onnx")


@pytest.mark.parametrize(
    ("location", "entries", "reason"),
    [
        ("../secret.bin", {}, "outside the model's folder"),
        ("{root}/secret.bin", {}, "outside the model's folder"),
        ("link.bin", {}, "outside the model's folder"),
        ("sub/../../secret.bin", {}, "outside the model's folder"),
        ("", {}, "outside the model's folder"),
        ("none.bin", {}, "missing"),
        (".", {}, "missing"),
        ("weights.bin", {"offset": 1}, "ends before"),
        ("weights.bin", {"offset": -1}, "its shape needs 4"),
        ("weights.bin", {"length": 3}, "its shape needs 4"),
        ("weights.bin", {"offset": 2**70}, "ends before"),
    ],
)
def test_external_data_that_is_refused(tmp_path, location, entries, reason):
    (tmp_path / "secret.bin").write_bytes(b"\0\0\xff\x42")
    path = with_external_data(tmp_path / "model", location.format(root=tmp_path), **entries)
    (tmp_path / "model" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(UserError, match=reason):
        load_onnx(path)
