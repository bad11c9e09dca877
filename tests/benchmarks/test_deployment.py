"""The benchmark of other people's programs, on the one that is always there."""

import numpy as np
import pytest
import torch

from benchmarks import deployment as benchmark
from lwface.base.errors import UserError
from lwface.networks.base import FaceNetwork
from lwface.onnx.export import export_onnx


@pytest.fixture
def faces():
    return np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return FaceNetwork(torch.nn.Conv2d(3, 4, 28, 28), torch.nn.Flatten(), 64).eval()


def test_distances_against_the_formula():
    one, other = np.random.default_rng(0).normal(size=(2, 5, 7))
    expected = [1 - a @ b / np.sqrt(a @ a) / np.sqrt(b @ b) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(benchmark.distances(one, other), expected, atol=1e-14)
    with pytest.raises(UserError, match="shape"):
        benchmark.distances(one[:, :3], other)


def test_onnxruntime_is_fed_rightly(faces, network, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "SAMPLE_SECONDS", 0.001)
    expected = network(torch.from_numpy(faces.transpose(0, 3, 1, 2).copy())).detach().numpy()
    folder = benchmark.write(tmp_path / "own", export_onnx(network), faces)
    with benchmark.running(benchmark.ROWS[0], folder) as reference:
        reference.features(len(faces))
        found = benchmark.measure(benchmark.ROWS[0], folder, expected, reference, repeats=1)
    assert found.worst < 1e-9


def test_what_does_not_run_is_said(faces, network, tmp_path):
    folder = benchmark.write(tmp_path / "own", b"no model", faces)
    assert "does not run: " in benchmark.line(benchmark.ROWS[0], "float32", folder, np.ones((3, 64)), None, 1)
    absent = benchmark.Row("thing", "thing", "build/peers/absent")
    assert "not run: no build/peers/absent" in benchmark.line(absent, "float32", folder, np.ones((3, 64)), None, 1)


@pytest.mark.parametrize(("peer", "needs"), [("node", "or no Node"), ("browser", "or no .venv-web")])
def test_a_program_with_a_peer_of_its_own_needs_the_package(peer, needs, faces, tmp_path, monkeypatch):
    (row,) = [row for row in benchmark.ROWS if row.peer == peer]
    monkeypatch.setattr(benchmark, "WEB_PACKAGES", tmp_path / "absent")
    said = benchmark.line(row, "float32", tmp_path, np.ones((3, 64)), None, 1)
    assert "not run: no build/peers/web, " in said
    assert needs in said
