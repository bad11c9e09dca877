"""Models by name: ours, MXNet's and ONNX."""

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.base.extras import available
from lwface.models.names import model_file
from lwface.models.store import load_model, save_model
from lwface.mxnet.export import save_mxnet
from lwface.mxnet.network import MxnetNetwork
from lwface.networks import create_network
from lwface.settings.resolve import network_settings


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return create_network(network_settings("mnas025")).eval()


@pytest.fixture
def images():
    return torch.randint(0, 256, (2, 3, 112, 112), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_mxnets_files_give_the_same_embeddings(network, images, tmp_path):
    save_mxnet(tmp_path / "model", 2, network)
    loaded, config = load_model(f"{tmp_path}/model,2")
    assert isinstance(loaded, MxnetNetwork)
    assert not loaded.training
    assert set(config) == {"mxnet_graph", "layer"}
    torch.testing.assert_close(loaded(images), network(images))
    assert model_file(f"{tmp_path}/model,2") == tmp_path / "model-0002.params"


def test_our_file_comes_first(network, images, tmp_path):
    save_mxnet(tmp_path / "model", 1, network)
    path = save_model(str(tmp_path / "model"), 1, network, network_settings("mnas025"))
    loaded, config = load_model(f"{tmp_path}/model,1")
    assert type(loaded) is type(network)
    assert config["net_name"] == "fmnasnet"
    assert model_file(f"{tmp_path}/model,1") == path
    with pytest.raises(UserError, match=r"--layer fc1: .*model-0001.safetensors is a model of this project"):
        load_model(f"{tmp_path}/model,1", layer="fc1")


def test_another_layer(network, tmp_path):
    save_mxnet(tmp_path / "model", 1, network)
    name = f"{tmp_path}/model,1"
    layers = [node.name for node in load_model(name)[0].symbol.nodes if node.op == "FullyConnected"]
    below, config = load_model(name, layer=layers[-1])
    assert config["layer"] == layers[-1]
    assert below.embedding_size == 256
    assert below.symbol.nodes[-1].op == "FullyConnected"
    with pytest.raises(UserError, match=r"model-symbol.json with model-0001.params: the graph has no output 'fc9'"):
        load_model(name, layer="fc9")


def test_the_graph_is_part_of_a_models_identity(network, tmp_path):
    save_mxnet(tmp_path / "model", 1, network)
    _, before = load_model(f"{tmp_path}/model,1")
    path = tmp_path / "model-symbol.json"
    path.write_text(path.read_text() + " ")
    _, after = load_model(f"{tmp_path}/model,1")
    assert before != after


def test_what_is_missing_is_named(network, tmp_path):
    with pytest.raises(UserError, match=r"model-0001.safetensors: no such model, and no model-0001.params either$"):
        load_model(f"{tmp_path}/model,1")
    save_mxnet(tmp_path / "model", 7, network)
    save_model(str(tmp_path / "model"), 3, network, network_settings("mnas025"))
    with pytest.raises(UserError, match=r"no model-0001.params either; epochs there: 3, 7$"):
        load_model(f"{tmp_path}/model,1")
    (tmp_path / "model-symbol.json").unlink()
    with pytest.raises(UserError, match=r"model-symbol.json: no such file; a model of MXNet is"):
        load_model(f"{tmp_path}/model,7")
    with pytest.raises(UserError, match=r"absent.onnx: no such model"):
        load_model(f"{tmp_path}/absent.onnx")


def test_a_prefix_with_wildcards_is_a_name(tmp_path):
    with pytest.raises(UserError, match=r"no such model"):
        load_model(f"{tmp_path}/[ab]*,1")


@pytest.mark.skipif(not available("onnxruntime"), reason="onnxruntime is not installed")
def test_an_onnx_file(network, images, tmp_path):
    from lwface.onnx.export import export_onnx

    path = tmp_path / "model.onnx"
    path.write_bytes(export_onnx(network))
    loaded, config = load_model(str(path))
    assert config == {}
    np.testing.assert_allclose(loaded(images).numpy(), network(images).detach().numpy(), rtol=1e-4, atol=1e-5)
    assert model_file(str(path)) == path
