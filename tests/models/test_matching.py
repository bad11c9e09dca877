"""Whose tensor is whose: prefixes in any nesting, names, MXNet's graph, and what is left by role and shape."""

import json

import pytest
import torch
from safetensors.torch import save_file

from lwface.base.errors import UserError
from lwface.models.matching import prefix_groups
from lwface.models.pretrained import open_model, start_from
from lwface.models.store import load_model, save_model
from lwface.mxnet.export import save_mxnet
from lwface.mxnet.params import read_params, write_params
from lwface.networks import create_network
from tests.models.arcface_torch import apart, embed, make_iresnet

MOBILE = {"net_name": "fmobilenet", "net_multiplier": 0.25, "emb_size": 16, "net_output": "E", "net_input": 0}


def mobile(**settings):
    return create_network({**MOBILE, **settings}).eval()


@pytest.fixture(scope="module")
def iresnet():
    return make_iresnet(units=(1, 1, 1, 1), emb_size=16)


@pytest.mark.parametrize(
    "prefix",
    [
        *("_orig_mod.module.", "module._orig_mod.", "features.module.", "model.", "module.model.backbone."),
        *("net.", "anything.at.all."),
    ],
)
def test_prefixes_in_any_order_and_nesting(iresnet, tmp_path, prefix):
    tensors = {prefix + name: tensor for name, tensor in iresnet.state_dict().items()}
    heads = {} if prefix.startswith("any") else {"head.kernel": torch.ones(16, 9), "parallel_fc.weight": torch.ones(9)}
    torch.save({"epoch": 1, "state_dict": {**heads, **tensors}, "optimizer": {"state": {}}}, tmp_path / "w.pth")
    assert apart(embed(open_model(str(tmp_path / "w.pth"))), embed(iresnet)) < 2e-5
    target = create_network({"net_name": "fresnet", "net_units": [1, 1, 1, 1], "emb_size": 16}).eval()
    start = start_from(target, str(tmp_path / "w.pth"), 1)
    assert start.unused == sorted(heads)
    assert (start.fresh, start.other_shape) == ([], [])
    assert apart(embed(target), embed(iresnet)) < 2e-5


@pytest.mark.parametrize("prefix", ["module.", "model.network."])
def test_prefixes_before_this_projects_names(tmp_path, prefix):
    source, target = mobile(), mobile()
    tensors = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    save_file({**tensors, "margin.centres": torch.zeros(3)}, tmp_path / "w.safetensors")
    start = start_from(target, str(tmp_path / "w.safetensors"), 1)
    assert torch.equal(embed(source), embed(target))
    assert start.unused == ["margin.centres"]


def test_a_layer_of_another_network_is_not_taken_for_a_head(iresnet, tmp_path):
    more = {"model.layer1.0.se.fc.weight": torch.ones(3)}
    torch.save({**{f"model.{k}": v for k, v in iresnet.state_dict().items()}, **more}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"not the weights of an iresnet, which has no model\.layer1\.0\.se"):
        open_model(str(tmp_path / "w.pth"))


def test_two_networks_in_one_file_are_said(tmp_path):
    first, second, target = mobile(), mobile(), mobile()
    tensors = {f"student.{name}": tensor for name, tensor in first.state_dict().items()}
    tensors.update({f"teacher.{name}": tensor for name, tensor in second.state_dict().items()})
    torch.save(tensors, tmp_path / "w.pth")
    start = start_from(target, str(tmp_path / "w.pth"), 1)
    assert torch.equal(embed(first), embed(target))
    assert "WARNING: several networks are there: used is the one below 'student.', not 'teacher.'" in start.text()


def test_the_groups_are_those_below_every_chain():
    names = ("features.module.fc.bias", "features.weight", "model.x.y")
    groups = prefix_groups({name: torch.zeros(1) for name in names})
    assert {chain: sorted(group) for chain, group in groups.items()} == {
        "": sorted(names),
        "features.": ["module.fc.bias", "weight"],
        "features.module.": ["fc.bias"],
        "model.": ["x.y"],
    }


def rename(prefix, old, new, *, symbol=True):
    """Call an array of MXNet's files otherwise; without ``symbol``, the graph is not there."""
    arrays = read_params(f"{prefix}-0001.params")
    write_params(f"{prefix}-0001.params", {k.replace(f":{old}", f":{new}"): v for k, v in arrays.items()})
    graph = prefix.with_name(f"{prefix.name}-symbol.json")
    if symbol:
        nodes = json.loads(graph.read_text())
        for node in nodes["nodes"]:
            node["name"] = new if node["name"] == old else node["name"]
        graph.write_text(json.dumps(nodes))
    else:
        graph.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("old", "new", "own"),
    [
        ("pre_fc1_weight", "fc1_weight", "head.pre_fc1.weight"),
        ("fc1_moving_mean", "embedding_average", "head.fc1.running_mean"),
    ],
)
def test_mxnets_graph_says_whose_an_array_is(tmp_path, old, new, own):
    source = mobile()
    save_mxnet(tmp_path / "m", 1, source)
    rename(tmp_path / "m", old, new)
    target = mobile()
    start = start_from(target, f"{tmp_path}/m,1", 1)
    assert (start.fresh, start.unused, start.pairs) == ([], [], {own: new})
    assert f"called otherwise there (1): {own} <- {new}" in start.text()
    assert torch.equal(embed(source), embed(target))
    assert start.cosine > 0.9999999


@pytest.mark.parametrize(("old", "new"), [("pre_fc1_weight", "fc1_weight"), ("conv_1_conv2d_weight", "first_weight")])
def test_without_a_graph_what_is_left_is_told_by_role_and_shape(tmp_path, old, new):
    source = mobile()
    save_mxnet(tmp_path / "m", 1, source)
    assert f"arg:{old}" in read_params(tmp_path / "m-0001.params")
    rename(tmp_path / "m", old, new, symbol=False)
    target = mobile()
    start = start_from(target, f"{tmp_path}/m,1", 1)
    assert torch.equal(embed(source), embed(target))
    assert list(start.pairs.values()) == [new]
    assert "its graph was not used" in start.text()
    assert "\nWARNING: told by role and shape alone, and not compared: " in start.text()
    assert start.cosine is None


@pytest.mark.parametrize("name", ["head.fc1.running_mean", "head.fc1.bias"])
def test_a_state_dict_with_one_name_changed(tmp_path, name):
    source, target = mobile(), mobile()
    source.head.fc1.running_mean.normal_()
    tensors = source.state_dict()
    tensors[f"other_{name.rpartition('.')[2]}"] = tensors.pop(name)
    torch.save(tensors, tmp_path / "w.pth")
    assert list(start_from(target, str(tmp_path / "w.pth"), 1).pairs) == [name]
    assert torch.equal(embed(source), embed(target))


@pytest.mark.parametrize("more", [{"a_weight": (16, 512)}, {"fc7_weight": None}, {"pre_weight": (512, 16)}])
def test_what_may_be_another_tensor_is_not_taken(tmp_path, more):
    """Two candidates, a classifier, and another shape: the layer stays fresh, which is said loudly."""
    source, target = mobile(), mobile()
    tensors = source.state_dict()
    weight = tensors.pop("head.pre_fc1.weight")
    others = {name: torch.ones(weight.shape if shape is None else shape) for name, shape in more.items()}
    if "a_weight" in others:
        others = {"a_weight": torch.ones(weight.shape), "b_weight": weight}
    torch.save({**tensors, **others}, tmp_path / "w.pth")
    before = target.head.pre_fc1.weight.clone()
    start = start_from(target, str(tmp_path / "w.pth"), 1)
    assert torch.equal(target.head.pre_fc1.weight, before)
    assert start.pairs == {}
    assert "\nWARNING: the embedding layer head.pre_fc1 starts from random weights" in start.text()


@pytest.mark.parametrize("emb_size", [8, 32])
def test_layers_left_fresh_are_said_loudly_and_nothing_is_claimed(tmp_path, emb_size):
    save_model(str(tmp_path / "m"), 1, mobile(), MOBILE)
    text = start_from(mobile(emb_size=emb_size), str(tmp_path / "m"), 1).text()
    assert text.splitlines()[1] == "WARNING: the embedding layer head.pre_fc1 starts from random weights"
    assert "WARNING: 1 layers start afresh: head.fc1" in text
    assert "embeddings are not compared with the file's own: not all of the network is from it" in text


@pytest.mark.parametrize("kind", ["mxnet", "ours"])
def test_a_file_that_computes_something_else_with_the_same_weights_is_said_loudly(tmp_path, kind):
    source = mobile(net_act="relu")
    if kind == "ours":
        save_model(str(tmp_path / "m"), 1, source, {**MOBILE, "net_act": "relu"})
        target = mobile(net_act="tanh")
    else:
        save_mxnet(tmp_path / "m", 1, source)
        graph = tmp_path / "m-symbol.json"
        graph.write_text(graph.read_text().replace('"127.5"', '"10.0"'))
        target = mobile(net_act="relu")
    start = start_from(target, f"{tmp_path}/m,1", 1)
    assert start.cosine < 0.999
    assert "WARNING: embeddings are not the file's own: worst cosine" in start.text()


def test_own_models_are_compared(tmp_path):
    source = mobile()
    save_model(str(tmp_path / "m"), 1, source, MOBILE)
    target = mobile()
    state = torch.random.get_rng_state()
    start = start_from(target, str(tmp_path / "m"), 1)
    assert torch.equal(torch.random.get_rng_state(), state)  # what is drawn later does not depend on the comparison
    assert "embeddings equal the file's own: worst cosine 1.0000000" in start.text()
    assert torch.equal(embed(load_model(f"{tmp_path}/m,1")[0]), embed(target))
