"""Networks as MXNet models: the graphs of the original, the embeddings and the count of ours, the files."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from lwface.base.errors import UserError
from lwface.gate.flops import count_flops
from lwface.models.store import load_model, save_model
from lwface.mxnet.export import convert, mxnet_problem, save_mxnet, to_mxnet
from lwface.mxnet.network import MxnetNetwork, load_mxnet
from lwface.mxnet.params import read_params
from lwface.mxnet.symbol import read_symbol
from lwface.networks import NETWORKS, create_network, mxnet_names
from lwface.networks.layers import BatchNorm
from lwface.settings.resolve import network_settings

# NodeOptions that say how fast to compute and where memory comes from, not what is computed.
INDIFFERENT = {"workspace", "cudnn_tune", "cudnn_off", "layout"}
DEFAULTS = {
    "Convolution": {
        "num_group": "1",
        "no_bias": "False",
        "pad": "(0, 0)",
        "stride": "(1, 1)",
        "dilate": "(1, 1)",
    },
    "BatchNorm": {
        "eps": "0.001",
        "momentum": "0.9",
        "fix_gamma": "True",
        "use_global_stats": "False",
        "axis": "1",
    },
    "FullyConnected": {"no_bias": "False"},
    "Pooling": {
        "pooling_convention": "valid",
        "global_pool": "False",
        "pad": "(0, 0)",
        "count_include_pad": "True",
    },
    "Concat": {"dim": "1"},
}
# ``digest`` of the original's own symbols: get_symbol().get_internals()["fc1_output"] of each network, made with MXNet
# 1.9.1 from recognition/arcface_mxnet of deepinsight/insightface in an interpreter of its own, saved, and read by
# read_symbol.
ORIGINALS = {
    "r100": "4f8ad34b6ad6a1ee553ee5139e73cb4b",
    "r100fc": "fb4543a43bc416baa35fa046f7c0ac34",
    "r50": "e4499d3afebe4bc7505b732d40ea7e97",
    "r50v1": "4dab3aa91d5a1b51bc97089ab4aa819b",
    "d169": "0e8b4979844a7160fc27f15cca956b3d",
    "d201": "876b8b80c373d4c505fb738ff8a378ea",
    "y1": "132d0fcd5ff57a3d95a1cdb8b694179e",
    "y2": "0b3500208f2fa06365e17aadb187955f",
    "m1": "e70ff497ddc7137e656384ebee281139",
    "m05": "59cad5457e5431af391e6d4b8d1b84b9",
    "mnas": "1a022e8c3af7f3a7972dd334320fb1a8",
    "mnas05": "90cdefecc0459d50d9b2e5830733e726",
    "mnas025": "3adba0e7e9b4c112cf0cb3df98937f49",
    "vargfacenet": "732216bb6f3153d08ad4c75e67b31260",
}
# The same with other options. The head GAP differs by a Flatten, behind which the official counter fails, and GNAP
# because in evaluation an image's embedding does not depend here on the images beside it.
VARIANTS = {
    "r50 num_layers=18 net_input=0": "d9ec8f8ade9ad31698b8b5f15d72b67d",
    "r50 num_layers=18 net_input=2": "9537bb74cac128a1562656a1d1634781",
    "r50 num_layers=18 net_se=1": "0b0f849bf6b6c679941142899b777885",
    "r50 num_layers=18 net_unit=1": "ee23acf01061545633c9473d4cfaea3f",
    "r50 num_layers=18 net_unit=1 net_input=0": "cf36f7b2497c75abe0d86a9293ffb1fb",
    "r50 num_layers=18 net_unit=1 net_se=1 net_input=2": "82fe188bb6d8d18eb9cab61eaad251f2",
    "r50 num_layers=18 net_unit=2": "3aeba899d47b284932263ba761db01da",
    "r50 num_layers=18 net_unit=2 net_se=1": "26392f5e76f1060107161a32d9cb9397",
    "vargfacenet net_se=1": "3e08e50334b0c7eb7d68257f0f59810e",
    "y1 net_act=relu": "151e24b0932519a129bfbea2934e922d",
    "y1 net_act=sigmoid": "57f721f2482d6132702e80d7aafefa84",
    "y1 net_act=softrelu": "e0b5a7ab5f6dad0948d8e2e61c120160",
    "y1 net_act=softsign": "4517c48b12783369bb6d5a3f14f0c44a",
    "y1 net_act=tanh": "c47db24af40c5fe6089387604652e4d9",
    "y1 net_output=E": "c626d16070688a5f3e5881c997aa9744",
    "y1 net_output=F": "03e6c6dc401291afa5a3e4269853f47b",
    "y1 net_output=FC": "ddf5972f6c00ba88439186a2a6d142f4",
    "y1 net_output=G": "c4e3d1be218c69b39fdc2f54f65a7e03",
    "y1 net_output=H": "be8d2bd97251a336ff44f28b187c7187",
    "y1 net_output=J": "35182f4d25ce84a7ab2e8a24bcc5b3f6",
    "y1 net_output=SFC": "a4975580883e9a4128e71b1b548ef36f",
}


def canonical(symbol):
    """Operators, names, options other than defaults, and inputs, in MXNet's order.

    Copies, which compute nothing, are left out: some of the original's networks begin with one.
    """

    def source(entry):
        node = symbol.nodes[entry[0]]
        return source(node.inputs[0]) if node.op == "_copy" else [node.name, entry[1]]

    lines = []
    for node in symbol.nodes:
        attrs = dict(node.attrs) if node.op != "null" else {}
        if attrs.get("global_pool") == "True":  # then all but its kind is without effect
            attrs = {"global_pool": "True", "pool_type": attrs["pool_type"]}
        defaults = DEFAULTS.get(node.op, {})
        kept = sorted((k, v) for k, v in attrs.items() if k not in INDIFFERENT and defaults.get(k) != v)
        if node.op != "_copy":
            lines.append([node.op, node.name, kept, [source(entry) for entry in node.inputs]])
    return [*lines, [source(head) for head in symbol.heads]]


def digest(symbol):
    return hashlib.sha256(json.dumps(canonical(symbol)).encode()).hexdigest()[:32]


def without_values(name, **changes):
    """A network whose weights take no time to draw; they are never looked at."""
    with torch.device("meta"):
        network = create_network(network_settings(name) | changes)
    return network.to_empty(device="cpu")


def with_statistics(network):
    """Every tensor of a batch norm has its effect on the embeddings."""
    random = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, BatchNorm):
            for tensor, low, high in (
                (module.running_mean, -0.1, 0.1),
                (module.running_var, 0.8, 1.2),
                (module.bias.data, -0.1, 0.1),
                (module.weight.data, *((1, 1) if module.fix_gamma else (0.8, 1.2))),
            ):
                tensor.uniform_(low, high, generator=random)
    return network


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_graph_is_the_originals_node_for_node(name):
    network = without_values(name)
    symbol, arrays = to_mxnet(network)
    assert digest(symbol) == ORIGINALS[name]
    names = mxnet_names(network)
    for key, tensor in network.state_dict().items():
        kind = "aux" if key.endswith(("running_mean", "running_var")) else "arg"
        assert arrays.pop(f"{kind}:{names[key]}").shape == tuple(tensor.shape)
    assert not arrays


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_graph_of_a_variant_is_the_originals(variant):
    name, *options = variant.split()
    pairs = (option.split("=") for option in options)
    network = without_values(name, **{key: int(value) if value.isdigit() else value for key, value in pairs})
    assert digest(to_mxnet(network)[0]) == VARIANTS[variant]


def small_networks():
    """Every family, and every head, activation and option that changes the graph, as light as it comes."""
    networks = {
        "m025": {},
        "mnas025": {},
        "edgeface_xs": {},
        "mixfacenet_xs": {},
        "vargfacenet": {"net_multiplier": 0.25},
    }
    heads = ("E", "FC", "GAP", "GNAP", "J", "F", "G", "H", "I")
    networks |= {f"m025 {head}": {"net_output": head} for head in heads}
    networks |= {
        f"m025 {act}": {"net_act": act} for act in ("relu", "sigmoid", "softrelu", "softsign", "tanh", "prelu")
    }
    networks["m025 GNAP wide"] = {"net_output": "GNAP", "emb_size": 600}
    few = {"net_blocks": [2, 1, 1, 1]}
    networks |= {"oct_y2": few, "y1": few, "y1 SFC": few | {"net_output": "SFC"}}
    networks |= {f"y1 {kind}": few | {"net_attention": kind} for kind in ("se", "cbam", "cbam_tanh")}
    narrow = {"num_layers": 18, "net_widths": [8, 8, 16, 32, 64], "emb_size": 32}
    for unit, start, se in ((1, 0, 1), (1, 1, 0), (2, 0, 1), (2, 1, 0), (3, 0, 0), (3, 2, 1)):
        networks[f"r18 {unit} {start} {se}"] = {**narrow, "net_unit": unit, "net_input": start, "net_se": se}
    networks |= {f"r18 ibn {where}": {**narrow, "net_ibn": where} for where in ("stem", "stages")}
    networks["oct_r50"] = narrow
    networks |= {"ghostfacenet": {"net_multiplier": 0.5}, "ghostfacenet_v2": {"net_multiplier": 0.5}}
    networks["hrnet_w18"] = {"net_multiplier": 0.25, "net_units": [1, 1, 1], "net_output": "GAP"}
    networks["polyface"] = {"net_multiplier": 0.125, "net_units": [1, 1, 1]}
    networks["vit_t"] = {"num_layers": 2, "net_width": 32}
    heavy = {"fdensenet"}  # the original's, so its graph is held against a golden one
    settings_only = {"airface"}  # fmobilefacenet with other settings
    named = {network_settings(name.split()[0])["net_name"] for name in networks}
    return networks | {family: {} for family in set(NETWORKS) - named - heavy - settings_only}


@pytest.mark.parametrize("name", small_networks())
def test_embeddings_and_count_of_the_graph_are_the_networks(name, count_by_json):
    torch.manual_seed(0)
    network = with_statistics(create_network(network_settings(name.split()[0]) | small_networks()[name]))
    written = MxnetNetwork(*to_mxnet(network), "fc1_output").eval()
    images = torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8)
    with torch.inference_mode():
        expected, found = network.eval()(images), written(images)
    assert torch.linalg.vector_norm(found - expected) <= 1e-5 * torch.linalg.vector_norm(expected)
    assert written.embedding_size == network.embedding_size
    assert count_by_json(written.to("meta"), (3, 112, 112)) == count_flops(network.to("meta")).flops


@pytest.fixture(scope="module")
def m025():
    torch.manual_seed(0)
    return with_statistics(create_network(network_settings("m025"))).eval()


def test_files(m025, tmp_path):
    save_mxnet(tmp_path / "new" / "model", 7, m025)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["model-0007.params", "model-symbol.json"]
    symbol, arrays = to_mxnet(m025)
    assert read_symbol(tmp_path / "new" / "model-symbol.json") == symbol
    read = read_params(tmp_path / "new" / "model-0007.params")
    assert list(read) == list(arrays)  # learned ones first, as MXNet saves them
    assert all((read[name] == arrays[name]).all() for name in arrays)
    before = m025.state_dict()
    assert (arrays["aux:conv_1_batchnorm_moving_var"] == before["body.conv_1.batchnorm.running_var"].numpy()).all()


def test_read_and_written_again_the_files_are_the_same(m025, tmp_path):
    for prefix, network in (("a", m025), ("b", None)):
        save_mxnet(tmp_path / prefix, 1, network or load_mxnet(tmp_path / "a", 1))
    for end in ("-symbol.json", "-0001.params"):
        assert (tmp_path / f"a{end}").read_bytes() == (tmp_path / f"b{end}").read_bytes()


def test_weights_in_another_layout_are_written_as_they_are(m025):
    _, expected = to_mxnet(m025)
    torch.manual_seed(0)
    moved = with_statistics(create_network(network_settings("m025"))).to(memory_format=torch.channels_last)
    _, arrays = to_mxnet(moved)
    assert all((arrays[name] == expected[name]).all() and arrays[name].flags.c_contiguous for name in expected)


def test_a_model_of_mxnet_cut_at_another_layer(m025, tmp_path):
    save_mxnet(tmp_path / "whole", 1, m025)
    cut = load_mxnet(tmp_path / "whole", 1, "pre_fc1_output")
    convert(cut, str(tmp_path / "cut"), 1)
    images = torch.randint(0, 256, (1, 3, 112, 112))
    again = load_mxnet(tmp_path / "cut", 1)
    assert torch.equal(again(images), cut(images))
    assert again.symbol.nodes[-1].name == "fc1"
    assert not any(name.startswith("fc1_") for name in again.arrays())


def test_convert_says_what_it_wrote_and_replaces_no_model_of_mxnet(m025, tmp_path):
    save_model(str(tmp_path / "model"), 1, m025, network_settings("m025"))
    prefix = str(tmp_path / "model")
    network, _ = load_model(f"{prefix},1")
    lines = convert(network, prefix, 1)
    assert [line.split(":")[0] for line in lines[:2]] == [f"{prefix}-symbol.json", f"{prefix}-0001.params"]
    assert "embeddings differ by 0.0e+00" in lines[2]
    assert lines[3] == "FLOPs: 21997138 (22.0M)"
    with pytest.raises(UserError, match="there is an MXNet model of that name"):
        convert(load_mxnet(prefix, 1), prefix, 2)


def test_a_graph_that_differs_is_not_written(m025, tmp_path, monkeypatch):
    symbol, arrays = to_mxnet(m025)
    arrays["arg:fc1_beta"] = arrays["arg:fc1_beta"] + 1
    monkeypatch.setattr("lwface.mxnet.export.to_mxnet", lambda network: (symbol, arrays))
    with pytest.raises(UserError, match=r"differs from the network by .* nothing is written"):
        convert(m025, str(tmp_path / "model"), 1)
    assert not list(tmp_path.iterdir())


def test_a_network_that_cannot_be_written_leaves_no_file(m025, tmp_path):
    class Sorted(torch.nn.Module):
        def forward(self, images):
            return images.flatten(1).sort()[0]

    network = torch.nn.Sequential(Sorted())
    assert mxnet_problem(m025) is None
    problem = mxnet_problem(network)
    assert problem is not None
    assert "operator sort in module '0' (Sorted)" in problem
    with pytest.raises(UserError, match="operator sort"):
        save_mxnet(tmp_path / "model", 1, network)
    assert not list(tmp_path.iterdir())
