"""Starting from trained models of several origins: names, what fits, what does not, what is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lwface.base.errors import UserError
from lwface.models.pretrained import iresnet_name, iresnet_settings, open_model, start_from
from lwface.models.store import save_model
from lwface.mxnet.params import write_params
from lwface.networks import create_network, mxnet_names
from lwface.settings.resolve import network_settings
from tests.models.arcface_torch import Unit, embed, make_iresnet


@pytest.fixture(scope="module")
def iresnet():
    return make_iresnet()


@pytest.fixture
def y(tmp_path):
    """A small network of this project and one trained elsewhere, of the same kind."""

    def make(**settings):
        return create_network({**network_settings("m025"), **settings}).eval()

    return make


def test_iresnet_of_arcface_torch_gives_its_own_embeddings(iresnet, tmp_path):
    state = iresnet.state_dict()
    torch.save(state, tmp_path / "backbone.pth")
    network = create_network({**network_settings("r50"), "num_layers": 18}).eval()
    start = start_from(network, str(tmp_path / "backbone.pth"), 1)
    assert (start.fresh, start.other_shape, start.unused) == ([], [], [])
    assert len(start.matched) == len(network.state_dict())
    expected, found = embed(iresnet), embed(network)
    assert (found - expected).norm() < 1e-5 * expected.norm()  # without the two corrections: 5e-3
    assert "embeddings equal the file's own: worst cosine 1.0000000, run as an iresnet" in start.text()


def test_iresnet_needs_no_name(iresnet, tmp_path):
    torch.save(iresnet.state_dict(), tmp_path / "backbone.pth")
    expected, found = embed(iresnet), embed(open_model(str(tmp_path / "backbone.pth")))
    assert (found - expected).norm() < 1e-5 * expected.norm()
    state = iresnet.state_dict()
    torch.save({**state, "layer1.0.se.fc.weight": torch.ones(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth: not the weights of an iresnet, which has no layer1\.0\.se"):
        open_model(str(tmp_path / "other.pth"))
    torch.save({name: tensor for name, tensor in state.items() if name != "layer2.1.bn3.bias"}, tmp_path / "less.pth")
    with pytest.raises(UserError, match=r"not the weights of an iresnet: 1 tensors are missing, body\.stage2_unit2"):
        open_model(str(tmp_path / "less.pth"))


@pytest.mark.parametrize("name", ["r18", "r34", "r50", "r100", "r200"])
def test_the_size_of_an_iresnet_is_counted_in_its_names(name):
    with torch.device("meta"):
        expected = create_network(network_settings(name)).state_dict()
        theirs = {iresnet_name(name): tensor for name, tensor in expected.items()}
        found = create_network(iresnet_settings("backbone.pth", theirs)).state_dict()
    assert {name: tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }


@pytest.mark.parametrize("missing", ["layer3", "features"])
def test_what_is_no_iresnet_is_not_taken_for_one(iresnet, missing):
    tensors = {name: tensor for name, tensor in iresnet.state_dict().items() if not name.startswith(missing)}
    with pytest.raises(UserError, match=r"b\.pth: a state dict does not say .* add --network NAME .* such as r50"):
        iresnet_settings("b.pth", tensors)


def test_own_models_by_prefix_and_by_file(y, tmp_path):
    source = y()
    path = save_model(str(tmp_path / "model"), 3, source, {"net_name": "fmobilenet"})
    for model, epoch in ((str(tmp_path / "model"), 3), (f"{tmp_path}/model,3", 99), (str(path), 99)):
        target = y()
        assert not torch.equal(embed(source), embed(target))
        start = start_from(target, model, epoch)
        assert torch.equal(embed(source), embed(target))
        assert start.naming == "this project's"
    assert f"{len(source.state_dict())} of {len(source.state_dict())} tensors" in start.text()


def test_mxnet_models(y, tmp_path):
    source = y()
    names, state = mxnet_names(source), source.state_dict()
    aux = ("moving_mean", "moving_var")
    arrays = {f"{'aux' if names[k].endswith(aux) else 'arg'}:{names[k]}": v.numpy() for k, v in state.items()}
    arrays["arg:fc7_weight"] = np.zeros((5, 128), np.float32)  # the classifier, which some files keep
    write_params(tmp_path / "model-0001.params", arrays)
    target = y()
    start = start_from(target, str(tmp_path / "model"), 1)
    assert torch.equal(embed(source), embed(target))
    assert (start.naming, start.unused, start.fresh) == ("MXNet's", ["fc7_weight"], [])
    assert "there, but not used (1): fc7_weight" in start.text()


def test_what_does_not_fit_is_left_fresh_and_said(y, tmp_path):
    source, target = y(emb_size=64), y()
    save_file({**source.state_dict(), "extra": torch.zeros(2)}, tmp_path / "w.safetensors")
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    start = start_from(target, str(tmp_path / "w.safetensors"), 1)
    wrong = {name for name, tensor in source.state_dict().items() if tensor.shape != before[name].shape}
    assert wrong
    assert {line.split()[0] for line in start.other_shape} == wrong
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, before[name] if name in wrong else source.state_dict()[name])
    text = start.text()
    assert f"left fresh, of another shape there ({len(wrong)})" in text
    assert "(here 128)" in text
    assert "not used (1): extra" in text


def test_how_much_of_the_network_starts_from_random_weights(y, tmp_path):
    source = y()
    state = source.state_dict()
    names = [name for name, _ in source.named_parameters()]
    whole = sum(parameter.numel() for parameter in source.parameters())

    def random_part(without):
        save_file({name: tensor for name, tensor in state.items() if name not in without}, tmp_path / "w.safetensors")
        return start_from(y(), str(tmp_path / "w.safetensors"), 1).random

    assert random_part([]) == ""
    assert random_part(names[:1]) == ""  # a small layer
    body = [name for name in names if name.startswith("body.") and state[name].dim() == 4]
    share = sum(state[name].numel() for name in body) / whole
    assert share > 0.25
    assert random_part(body) == f"{100 * share:.0f} % of the network start from random weights"
    last = [name for name in names if name.startswith("head.") and state[name].dim() > 1][-1]
    assert random_part([last]) == f"the embedding layer {last.rpartition('.')[0]} starts from random weights"


def test_half_precision_is_taken_over_as_float32(y, tmp_path):
    torch.save({name: tensor.half() for name, tensor in y().state_dict().items()}, tmp_path / "w.pt")
    target = y()
    start_from(target, str(tmp_path / "w.pt"), 1)
    assert {tensor.dtype for tensor in target.state_dict().values()} == {torch.float32}


def test_bad_files(y, tmp_path):
    network = y()
    for content, message in (
        (b"garbage", "damaged, or holds more than tensors"),
        (b"", "damaged, or holds more than tensors"),
    ):
        (tmp_path / "w.pth").write_bytes(content)
        with pytest.raises(UserError, match=message):
            start_from(network, str(tmp_path / "w.pth"), 1)
    torch.save(Unit(3, 3, 1), tmp_path / "whole.pth")  # a pickled module would run code
    with pytest.raises(UserError, match="holds more than tensors"):
        start_from(network, str(tmp_path / "whole.pth"), 1)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds no state dict"):
        start_from(network, str(tmp_path / "list.pth"), 1)
    torch.save({"other.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"no tensor fits .*there: other\.weight"):
        start_from(network, str(tmp_path / "other.pth"), 1)
    state = network.state_dict()
    state[next(iter(state))][0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(UserError, match="is not finite"):
        start_from(y(), str(tmp_path / "nan.pth"), 1)
    for model in ("none.pth", "none.safetensors", "none", "none,4"):
        with pytest.raises((UserError, FileNotFoundError), match="none"):
            start_from(network, str(tmp_path / model), 1)


def test_a_state_dict_opens_as_a_model_when_its_network_is_named(y, tmp_path):
    source = y()
    torch.save(source.state_dict(), tmp_path / "w.pth")
    assert torch.equal(embed(source), embed(open_model(str(tmp_path / "w.pth"), network="m025")))
    with pytest.raises(UserError, match="add --network"):
        open_model(str(tmp_path / "w.pth"))
    torch.save(y(emb_size=64).state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"not the weights of m025: .* tensors are missing, head"):
        open_model(str(tmp_path / "w.pth"), network="m025")
