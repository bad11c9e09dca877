"""The benchmark's dealings with its peer, which a stub stands in for, and its arithmetic."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import embedding
from lwface.base.errors import UserError
from lwface.features.runners import Original, Workload

STUB = """
import os, sys
import numpy as np
if {dies}:
    sys.exit("no such library")
prefix = sys.argv[2].rsplit(",", 1)[0]
features = np.load({features!r}) * {factor}
for line in sys.stdin:
    batch, repeats = map(int, line.split())
    assert os.path.exists(prefix + "-symbol.json") and len(np.load(sys.argv[4])) == 4
    np.save(f"{{prefix}}-{{batch}}.npy", features[:batch])
    print(repeats * (2.0 if os.environ.get("OMP_NUM_THREADS") == "3" else 5.0), flush=True)
"""


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """Measures eager beside the stub: ``measured(factor=..., dies=...)``."""
    network = embedding.lively_network("m025")
    original = Original(network, Workload(torch.device("cpu"), 4))
    monkeypatch.setattr(embedding, "BACKENDS", ("auto", "eager"))
    monkeypatch.setattr(embedding, "choose", lambda original: original.runner("eager"))
    monkeypatch.setattr(embedding, "PEER", tmp_path / "stub.py")
    np.save(tmp_path / "features.npy", original.expected.numpy())

    def run(factor: float = 1.0, dies: bool = False):
        stub = STUB.format(features=str(tmp_path / "features.npy"), factor=factor, dies=dies)
        (tmp_path / "stub.py").write_text(stub)
        peers = {"mxnet": None, "mxnet-all": 3}
        images = original.images.numpy()
        with embedding.mxnet_running(Path(sys.executable), peers, network, images) as running:
            return embedding.measure(original, running, repeats=1)

    return run


def test_times_are_those_of_a_batch(measured):
    seconds, choice = measured()
    assert choice == "eager"
    assert (seconds["mxnet"], seconds["mxnet-all"]) == (5.0, 2.0)  # the first has the threads that it takes by itself
    assert 0 < seconds["eager"] < 60


def test_a_peer_with_other_features_is_no_peer(measured):
    with pytest.raises(UserError, match=r"MXNet gives other features than eager: they differ by 1.0e-03"):
        measured(factor=1.001)


def test_a_peer_that_dies_says_why(measured):
    with pytest.raises(UserError, match="MXNet failed: no such library"):
        measured(dies=True)


def test_the_running_statistics_do_something():
    states = embedding.lively_network("m025").state_dict()
    assert all(value.std() > 0 for name, value in states.items() if "running" in name)


def test_a_line_compares_the_choice_with_the_best_and_with_each_peer():
    seconds = {"mxnet": 4.0, "mxnet-all": 2.0, "eager": 1.0, "openvino": 0.5, "onnxruntime": 0.4}
    line = embedding.row(
        "y2", 8, ["mxnet", "mxnet-all", "eager", "compiled", "openvino", "onnxruntime"], seconds, "openvino"
    )
    assert line.split() == ["y2", "8", "2.0", "4.0", "8.0", "-", "16.0", "20.0", "openvino", "0.80", "8.00", "4.00"]
