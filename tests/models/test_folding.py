"""What differs outside the weights is made up for in them: embeddings stay those of a naive network or of MXNet's."""

import json

import numpy as np
import pytest
import torch

import lwface
from lwface.base.errors import UserError
from lwface.models.folding import fold_scales
from lwface.models.pixels import Said
from lwface.models.pretrained import open_model, start_from
from lwface.models.store import load_model
from lwface.mxnet.export import save_mxnet
from lwface.networks import create_network
from lwface.networks.layers import BatchNorm
from tests.models.arcface_torch import IMAGES, apart, embed, make_iresnet

SMALL = {"units": (1, 1, 1, 1), "emb_size": 16}
OURS = {"net_name": "fresnet", "net_units": [1, 1, 1, 1], "emb_size": 16}
MOBILE = {"net_name": "fmobilenet", "net_multiplier": 0.25, "emb_size": 16, "net_output": "E", "net_input": 0}
MAGFACE = {"eps": 2e-5, "prepare": lambda x: x.flip(1) / 255}
ROUNDING = 2e-5


@pytest.mark.parametrize("scales", [torch.linspace(0.3, 2, 16), torch.linspace(-1, 3, 17)[1:], torch.zeros(16)])
def test_a_trained_last_scale_is_kept(tmp_path, scales):
    theirs = make_iresnet(**SMALL)
    theirs.features.weight.data.copy_(scales)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    network = create_network(OURS).eval()
    start = start_from(network, str(tmp_path / "w.pth"), 1)
    assert "the trained scale of head.fc1 (" in start.text()
    assert start.cosine > 0.9999999 or not scales.any()
    assert apart(embed(network), embed(theirs)) < ROUNDING
    assert apart(embed(open_model(str(tmp_path / "w.pth"))), embed(theirs)) < ROUNDING
    assert network.head.fc1.weight.eq(1).all()


@pytest.mark.parametrize("fixed", ["False", "True"])
def test_a_scale_that_mxnets_graph_trains_is_kept_and_one_that_it_fixes_is_not(tmp_path, fixed):
    torch.manual_seed(0)
    save_mxnet(tmp_path / "m", 1, create_network(MOBILE).eval())
    symbol = json.loads((tmp_path / "m-symbol.json").read_text())
    next(node for node in symbol["nodes"] if node["name"] == "fc1")["attrs"]["fix_gamma"] = fixed
    (tmp_path / "m-symbol.json").write_text(json.dumps(symbol))
    reset_array(tmp_path / "m-0001.params", "arg:fc1_gamma", np.linspace(-2, 3, 16, dtype=np.float32))
    network = create_network(MOBILE).eval()
    start = start_from(network, f"{tmp_path}/m,1", 1)
    assert apart(embed(network), embed(load_model(f"{tmp_path}/m,1")[0])) < ROUNDING
    assert ("trained scale of head.fc1" in start.text()) == (fixed == "False")
    assert start.cosine > 0.9999999


def reset_array(path, name, values):
    from lwface.mxnet.params import read_params, write_params

    write_params(path, {**read_params(path), name: values})


def test_a_scale_that_no_layer_before_takes_goes_into_the_variance_or_is_refused():
    network = create_network({**OURS, "net_input": 2}).eval()  # body.bn_data: the first layer
    found = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found["body.bn_data.weight"] = torch.tensor([0.5, 0.7, 1.0])
    data = torch.rand(2, 3, 8, 8)
    expected = data / (1 + network.body.bn_data.eps) ** 0.5 * found["body.bn_data.weight"][:, None, None]
    assert "folded into body.bn_data.running_var" in fold_scales(network, found)[0]
    network.load_state_dict(found)
    torch.testing.assert_close(network.body.bn_data(data), expected)
    for impossible in (-0.5, 0.0, 1e3):
        found["body.bn_data.weight"] = torch.tensor([0.5, impossible, 1.0])
        with pytest.raises(UserError, match=r"scale of body\.bn_data was trained, and is fixed at 1"):
            fold_scales(network, found)


@pytest.mark.parametrize("eps", [1e-5, 2e-5, 1e-3, 1e-7])
def test_another_epsilon_is_made_up_for_also_where_a_variance_is_next_to_nothing(tmp_path, eps):
    theirs = make_iresnet(**SMALL, eps=eps)
    for norm in (theirs.layer1[0].bn2, theirs.layer3[0].bn3, theirs.features):
        norm.running_var[:5] = torch.tensor([0, 1e-9, 1e-6, 9e-6, 2e-5])
        norm.running_mean[:5] = 0
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    network = open_model(str(tmp_path / "w.pth"), said=Said(epsilon=eps))
    assert apart(embed(network), embed(theirs)) < 10 * ROUNDING
    other = open_model(str(tmp_path / "w.pth"), said=Said(epsilon=3 * eps))
    assert apart(embed(other), embed(theirs)) > 100 * ROUNDING


@pytest.mark.parametrize("other", ["0.05", "0.0"])
def test_epsilons_of_mxnets_graph_are_made_up_for(tmp_path, other):
    torch.manual_seed(0)
    source = create_network(MOBILE).eval()
    for module in source.modules():
        if isinstance(module, BatchNorm):
            module.running_var.uniform_(0.1, 1)
    save_mxnet(tmp_path / "m", 1, source)
    text = (tmp_path / "m-symbol.json").read_text()
    for eps in ("2e-05", "0.001"):
        text = text.replace(f'"eps": "{eps}"', f'"eps": "{other}"')
    (tmp_path / "m-symbol.json").write_text(text)
    network = create_network(MOBILE).eval()
    assert start_from(network, f"{tmp_path}/m,1", 1).cosine > 0.9999999
    assert apart(embed(network), embed(load_model(f"{tmp_path}/m,1")[0])) < ROUNDING
    assert apart(embed(source), embed(network)) > 100 * ROUNDING


@pytest.mark.parametrize(
    ("pixels", "prepare"),
    [
        ("0/255,BGR", MAGFACE["prepare"]),
        ("127.5/128,BGR", lambda x: (x.flip(1) - 127.5) / 128),
        ("0/1", lambda x: x),
        ("100/50", lambda x: (x - 100) / 50),
    ],
)
def test_other_pixels_are_kept_exactly(tmp_path, pixels, prepare):
    theirs = make_iresnet(**SMALL, eps=2e-5, prepare=prepare)
    torch.save({f"features.module.{k}": v for k, v in theirs.state_dict().items()}, tmp_path / "m.pth")
    model = lwface.load_model(tmp_path / "m.pth", pixels=pixels, epsilon=2e-5, device="cpu")
    assert apart(embed(model), embed(theirs)) < ROUNDING
    for options in ({"net_input": 2}, {}):
        network = create_network({**OURS, **options}).eval()
        start = start_from(network, str(tmp_path / "m.pth"), 1, Said.of(pixels, 2e-5))
        exact = bool(options) or pixels.startswith("127.5")
        assert (apart(embed(network), embed(theirs)) < ROUNDING) == exact
        assert ("WARNING: its mean of" in start.text()) == (not exact)
        assert start.fresh == []
        inner = torch.nn.Sequential(network.body.conv0, network.body.bn0)
        shown = (IMAGES - 127.5) / 128 if network.normalise else network.body.bn_data(IMAGES)
        expected = theirs.bn1(theirs.conv1(prepare(IMAGES)))[..., 1:-1, 1:-1]
        torch.testing.assert_close(inner(shown)[..., 1:-1, 1:-1], expected, rtol=1e-4, atol=1e-3)


def test_a_network_of_raw_pixels_gets_the_usual_preparation(tmp_path):
    theirs = make_iresnet(**SMALL)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    network = create_network({**OURS, "net_input": 2}).eval()
    start_from(network, str(tmp_path / "w.pth"), 1)
    assert apart(embed(network), embed(theirs)) < ROUNDING


def test_what_is_assumed_is_said_with_how_to_overrule_it(tmp_path):
    theirs = make_iresnet(**SMALL, **MAGFACE)
    torch.save({f"module.{k}": v for k, v in theirs.state_dict().items()}, tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=r"assumed pixels 127\.5/127\.5 \(RGB\) and epsilon 1e-05.*pixels=, epsilon="):
        model = lwface.load_model(tmp_path / "w.pth", device="cpu")
    assert apart(embed(model), embed(theirs)) > 0.01
    with pytest.warns(UserWarning, match=r"assumed epsilon 1e-05, arcface_torch's"):
        lwface.load_model(tmp_path / "w.pth", pixels="0/255,BGR")
    names = {f"features.module.{k}": v for k, v in theirs.state_dict().items()}
    torch.save({"state_dict": {**names, "parallel_fc.weight": torch.ones(16, 3)}}, tmp_path / "magface.pth")
    text = start_from(create_network(OURS), str(tmp_path / "magface.pth"), 1).text()
    assert "WARNING: its names are MagFace's, whose networks take pixels 0/255,BGR and have an epsilon of 2e-5" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixels": "127.5"}, r"pixels 127\.5: expected MEAN/DIVISOR\[,BGR\]"),
        ({"pixels": "0/0"}, r"pixels 0/0: expected"),
        ({"epsilon": -1e-5}, r"epsilon -1e-05: expected what the batch norms add"),
        ({"epsilon": float("nan")}, "epsilon nan: expected"),
    ],
)
def test_what_is_no_preparation_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        lwface.load_model("w.pth", **options)


def test_only_a_state_dict_of_an_iresnet_needs_to_be_told(tmp_path):
    save_mxnet(tmp_path / "m", 1, create_network(MOBILE).eval())
    with pytest.raises(UserError, match="says itself what it takes"):
        lwface.load_model(f"{tmp_path}/m,1", pixels="0/255")
    with pytest.raises(UserError, match="are for the state dict of an iresnet, which this is not"):
        start_from(create_network(MOBILE), f"{tmp_path}/m,1", 1, Said(epsilon=1e-5))


@pytest.mark.parametrize("settings", [MOBILE, {"net_name": "vargfacenet"}])
def test_a_scale_that_the_network_of_that_name_ignores_is_said(tmp_path, settings):
    source = create_network(settings).eval()
    tensors = source.state_dict()
    fixed = [name for name, module in source.named_modules() if getattr(module, "fix_gamma", False)][-1]
    tensors[f"{fixed}.weight"] = torch.linspace(0.5, 2, len(tensors[f"{fixed}.weight"]))
    torch.save(tensors, tmp_path / "w.pth")
    text = start_from(create_network(settings), str(tmp_path / "w.pth"), 1).text()
    assert f"WARNING: the scale of {fixed} is fixed at 1: that of the file (0.5 to 2) is not used" in text


def test_tensors_beside_the_network_do_not_stand_in_for_its_own(tmp_path):
    theirs = make_iresnet(**SMALL)
    tensors = {f"model.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({**tensors, "fc.weight": torch.ones(9, 16), "fc.bias": torch.ones(9)}, tmp_path / "w.pth")
    start = start_from(create_network(OURS).eval(), str(tmp_path / "w.pth"), 1)
    assert start.cosine > 0.9999999
    assert start.unused == ["fc.bias", "fc.weight"]
