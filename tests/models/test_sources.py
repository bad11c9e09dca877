"""Files to start from by what they are: those that hold programs are refused, ONNX files of this project are read."""

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.base.extras import available
from lwface.models.names import model_file, parse_model
from lwface.models.pretrained import open_model, start_from
from lwface.models.sources import read_source
from lwface.models.store import load_model, save_model
from lwface.mxnet.export import save_mxnet
from lwface.networks import create_network
from tests.models.arcface_torch import IMAGES, apart, embed, make_iresnet

MOBILE = {"net_name": "fmobilenet", "net_multiplier": 0.25, "emb_size": 16, "net_output": "E", "net_input": 0}


def mobile(**settings):
    return create_network({**MOBILE, **settings}).eval()


@pytest.fixture(scope="module")
def iresnet():
    return make_iresnet(units=(1, 1, 1, 1), emb_size=16)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_programs_are_refused_in_one_line_with_what_to_do(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    torch.save(module, tmp_path / "whole.pth")
    torch.save({"model": module, "epoch": 3}, tmp_path / "inside.pth")
    torch.jit.trace(module, torch.zeros(1, 3, 8, 8)).save(str(tmp_path / "traced.pt"))
    torch.jit.script(module).save(str(tmp_path / "scripted.pt"))
    for name, message in (
        (
            "whole.pth",
            r"whole\.pth: holds more than tensors: it is a whole module .*torch\.save\(net\.state_dict\(\), ",
        ),
        ("inside.pth", r"inside\.pth: holds more than tensors: it is a whole module"),
        ("traced.pt", r'it is a TorchScript program.*torch\.save\(torch\.jit\.load\("traced\.pt"\)\.state_dict\(\)'),
        ("scripted.pt", "it is a TorchScript program, which is not run"),
    ):
        for opener in (load_model, open_model, lambda model: start_from(mobile(), model, 1)):
            with pytest.raises(UserError, match=message) as caught:
                opener(str(tmp_path / name))
            assert "\n" not in str(caught.value)
    state = torch.jit.load(str(tmp_path / "traced.pt")).state_dict()  # the remedy
    torch.save(state, tmp_path / "weights.pth")
    assert read_source(str(tmp_path / "weights.pth"), 0).tensors.keys() == module.state_dict().keys()


def test_a_mapping_that_holds_itself_is_no_endless_search(tmp_path):
    for key in ("model", "other"):
        state = {"epoch": 1}
        state[key] = state
        torch.save(state, tmp_path / "w.pth")
        with pytest.raises(UserError, match="holds no state dict"):
            read_source(str(tmp_path / "w.pth"), 0)


@pytest.mark.parametrize("wrap", [lambda s: {"net": {"state_dict": s}}, lambda s: {"encoder": s, "optim": {"a": s}}])
def test_a_state_dict_inside_others(iresnet, tmp_path, wrap):
    torch.save({"epoch": 2, **wrap(iresnet.state_dict())}, tmp_path / "w.tar")
    assert apart(embed(open_model(str(tmp_path / "w.tar"))), embed(iresnet)) < 2e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_number_types_become_float32(iresnet, tmp_path, dtype):
    state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in iresnet.state_dict().items()}
    torch.save(state, tmp_path / "w.PTH")
    network, config = load_model(str(tmp_path / "w.PTH"))
    assert {tensor.dtype for tensor in network.state_dict().values()} == {torch.float32}
    rounded = make_iresnet(units=(1, 1, 1, 1), emb_size=16)
    rounded.load_state_dict(state)
    assert apart(embed(network), embed(rounded)) < 2e-5
    assert torch.equal(embed(network), embed(fill(create_network(config), network)))


def fill(network, other):
    network.load_state_dict(other.state_dict())
    return network.eval()


def test_every_name_of_a_model_is_accepted_where_one_is_asked_for(iresnet, tmp_path, capsys):
    source = mobile()
    own = save_model(str(tmp_path / "ours"), 3, source, MOBILE)
    save_mxnet(tmp_path / "theirs", 12, source)
    torch.save(iresnet.state_dict(), tmp_path / "w.pt")
    params = tmp_path / "theirs-0012.params"
    for name, file in (
        *((f"{tmp_path}/ours,3", own), (str(own), own)),
        *((f"{tmp_path}/theirs,12", params), (str(params), params)),
    ):
        assert model_file(name) == file
        torch.testing.assert_close(embed(load_model(name)[0]), embed(source))
        target = mobile()
        start_from(target, name, 1)
        assert torch.equal(embed(target), embed(source))
    assert parse_model(str(own)) == (f"{tmp_path}/ours", 3)
    assert model_file(str(tmp_path / "w.pt")) == tmp_path / "w.pt"
    assert capsys.readouterr().err == ""
    assert apart(embed(load_model(str(tmp_path / "w.pt"))[0]), embed(iresnet)) < 2e-5
    assert "w.pt: assumed pixels 127.5/127.5 (RGB) and epsilon 1e-05" in capsys.readouterr().err


def test_params_named_by_their_file_are_not_the_file_of_ours_beside_them(tmp_path):
    first, second = mobile(), mobile()
    save_model(str(tmp_path / "m"), 1, first, MOBILE)
    save_mxnet(tmp_path / "m", 1, second)
    for target, name, expected in ((mobile(), "m-0001.params", second), (mobile(), "m,1", first)):
        start_from(target, str(tmp_path / name), 1)
        assert torch.equal(embed(target), embed(expected))
        torch.testing.assert_close(embed(load_model(str(tmp_path / name))[0]), embed(expected))


def test_what_is_not_there_or_says_no_network_is_one_line(tmp_path):
    save_model(str(tmp_path / "m"), 2, mobile(), MOBILE)
    torch.save(mobile().state_dict(), tmp_path / "w.pth")
    for name, message in (
        ("m-0001.safetensors", r"m-0001\.safetensors: no such model; epochs there: 2$"),
        ("none.pth", r"none\.pth: no such model$"),
        ("w.pth", r"does not say which network .* add --network NAME .* check_model\.py and convert_model\.py take it"),
    ):
        with pytest.raises(UserError, match=message):
            load_model(str(tmp_path / name))
    with pytest.raises(UserError, match=r"--layer fc1: .*w\.pth is a model of this project or a state dict"):
        load_model(str(tmp_path / "w.pth"), layer="fc1")


@pytest.mark.skipif(not available("onnxruntime"), reason="onnxruntime is not installed")
@pytest.mark.parametrize("settings", [{}, {"net_name": "fmobilefacenet", "net_output": "GDC"}])
@pytest.mark.parametrize("inside", [True, False])
def test_onnx_files_of_this_project_are_a_start(tmp_path, settings, inside):
    from lwface.onnx.export import export_onnx

    source = mobile(**settings)
    (tmp_path / "m.onnx").write_bytes(export_onnx(source, normalise_inside=inside))
    target = mobile(**settings)
    start = start_from(target, str(tmp_path / "m.onnx"), 1)
    assert torch.equal(embed(source), embed(target))
    assert start.cosine > 0.9999999


@pytest.mark.skipif(not available("onnxruntime"), reason="onnxruntime is not installed")
def test_other_onnx_files_are_not(tmp_path):
    module = nn.Sequential(nn.Conv2d(3, 4, 7, 16), nn.Flatten(), nn.Linear(4 * 49, 8)).eval()
    with pytest.warns(DeprecationWarning, match="legacy"):
        torch.onnx.export(module, (IMAGES[:1],), str(tmp_path / "m.onnx"), dynamo=False)
    with pytest.raises(UserError, match=r"no tensor fits .* only float32 files that this project exported keep"):
        start_from(mobile(), str(tmp_path / "m.onnx"), 1)
    assert np.isfinite(embed(load_model(str(tmp_path / "m.onnx"))[0], IMAGES[:1]).numpy()).all()
