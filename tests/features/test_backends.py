"""Each backend against a naive float64 loop, liars found out, and the choice by a clock that the test winds itself."""

import math
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base import extras
from lwface.base.errors import UserError
from lwface.features import runners
from lwface.features.backends import FEW_BATCHES, prepare
from lwface.features.choices import BACKENDS
from lwface.features.embedder import Embedder
from lwface.onnx.choices import Pixels
from lwface.onnx.export import export_onnx
from lwface.onnx.model import OnnxNetwork

CPU = torch.device("cpu")


class Tiny(nn.Module):
    """Convolutions, depthwise too, with batch norms that do something, PReLU and a linear layer, on 112x112."""

    embedding_size = 6

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 7, stride=4, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.PReLU(8)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=4, groups=8)
        self.norm2 = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(8 * 7 * 7, 6)
        for name, value in self.state_dict().items():
            if value.is_floating_point():
                value.uniform_(0.5 if "var" in name else -0.5, 1.0, generator=generator)

    def forward(self, images):
        pixels = (images.to(self.linear.weight.dtype) - 127.5) / 128
        found = self.norm2(self.depthwise(self.relu(self.norm(self.conv(pixels)))))
        return self.linear(self.drop(found).flatten(1))


def faces(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


def naive(images: np.ndarray) -> np.ndarray:
    """f(x) + f(mirrored x), one image at a time, in float64."""
    network = Tiny().double().eval()
    with torch.no_grad():
        rows = [
            sum(network(torch.from_numpy(side.astype(np.float64)).permute(2, 0, 1)[None])[0] for side in sides)
            for sides in ((image, image[:, ::-1].copy()) for image in images)
        ]
    return torch.stack(rows).numpy()


def errors(found: np.ndarray, expected: np.ndarray) -> float:
    return float((np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "auto"])
def test_each_gives_the_numbers_of_float64_whatever_stands_beside_a_row(backend):
    if backend == "compiled" and shutil.which("g++") is None:
        pytest.skip("no C++ compiler here")
    network, images = Tiny().train(), faces(11)  # whose mode is the caller's
    embedder = Embedder(network, device=CPU, batch_size=4, backend=backend)
    name, _, version = embedder.backend.partition(" ")
    assert name == backend
    assert bool(version) == (name in ("onnxruntime", "openvino"))  # PyTorch's version is recorded anyway
    whole = embedder.embed(images, flip=True)
    assert errors(whole, naive(images)) < 3e-6
    plain, mirrored = embedder.embed_both(images)
    np.testing.assert_array_equal(plain + mirrored, whole)
    for count in (1, 6):  # in the middle of a batch: the rest is padding
        np.testing.assert_array_equal(embedder.embed(images[:count], flip=True), whole[:count])
    others = faces(11, seed=2)
    others[5] = images[5]
    np.testing.assert_array_equal(embedder.embed(others, flip=True)[5], whole[5])
    assert network.training
    assert network.linear.weight.requires_grad


def test_eager_alone_follows_the_weights():
    network, images = Tiny(), faces(2)
    eager = Embedder(network, device=CPU, batch_size=2)
    fixed = Embedder(network, device=CPU, batch_size=2, backend="openvino")
    before = fixed.embed(images, False)
    nn.init.zeros_(network.linear.weight)
    np.testing.assert_array_equal(fixed.embed(images, False), before)
    np.testing.assert_allclose(eager.embed(images, False), np.tile(network.linear.bias.detach(), (2, 1)))


def test_an_onnx_model_runs_as_it_says(monkeypatch):
    """Its own normalisation, order of channels and output are kept by OpenVINO, and it needs no PyTorch network."""
    images, pixels = faces(5), Pixels(127.5, 1 / 64, "BGR")
    network = OnnxNetwork(export_onnx(Tiny().eval()), pixels=pixels)
    expected = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert errors(OnnxNetwork(network.model)(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy(), expected) > 0.01
    for backend, name in (("eager", "onnxruntime"), ("onnxruntime", "onnxruntime"), ("openvino", "openvino")):
        embedder = Embedder(network, device=CPU, batch_size=2, backend=backend)
        assert embedder.backend.split()[0] == name
        assert errors(embedder.embed(images, False), expected) < 1e-6
    with pytest.raises(UserError, match="backend compiled: compiles PyTorch's networks; an ONNX model runs in onnx"):
        Embedder(network, device=CPU, batch_size=2, backend="compiled")


def test_what_cannot_run_says_why_in_one_line(monkeypatch):
    def prepared(backend, precision="float32", device=CPU, network=None):
        return prepare(network or Tiny().eval(), backend, device=device, batch_size=2, precision=precision)

    with pytest.raises(UserError, match=r"unknown backend 'openvine': did you mean 'openvino'\?"):
        prepared("openvine")
    for backend in ("onnxruntime", "openvino"):
        with pytest.raises(UserError, match=f"backend {backend}: computes in float32, not bf16: use eager or compiled"):
            prepared(backend, precision="bf16")
    with pytest.raises(UserError, match="backend openvino: runs on a CPU, not on cuda:0"):
        prepared("openvino", device=torch.device("cuda:0"))
    with pytest.raises(UserError, match="backend onnxruntime: the one installed here has no CUDA provider"):
        prepared("onnxruntime", device=torch.device("cuda:0"))
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"backend compiled: needs a C\+\+ compiler, and there is no no-such-compiler"):
        prepared("compiled")
    network = Tiny().eval()
    network.forward = lambda images: torch.from_numpy(np.ones((len(images), 6), np.float32))  # not to be exported
    with pytest.raises(UserError, match=r"^backend openvino: [^\n]+$"):
        prepared("openvino", network=network)
    monkeypatch.setattr(extras, "available", lambda module: False)
    for backend, extra in (("onnxruntime", "onnx"), ("openvino", "openvino")):
        expected = rf"backend {backend}: {backend} is not installed: .* make setup .* pip install '[\w-]+\[{extra}\]'"
        with pytest.raises(UserError, match=expected):
            prepared(backend)


class Machine:
    """A clock, and backends that take as long by it as they are told, one time a batch after the other.

    They run the network truly, and then spoil its features as told.
    """

    def __init__(self, monkeypatch) -> None:
        self.now, self.made, self.batches = 0.0, [], {}
        self.seconds = {"eager": [1.0], "openvino": [0.5], "onnxruntime": [0.6], "compiled": [0.7]}
        self.spoil = {}
        self.network = Tiny().eval()
        self.network.register_forward_hook(lambda *_: self.work("eager"))
        for name in ("openvino", "onnxruntime", "compiled"):
            monkeypatch.setitem(runners.MAKERS, name, lambda original, name=name: self.make(name))

    def make(self, name):
        self.made.append(name)
        truth = Tiny().eval()

        def run(images):
            self.work(name)
            return self.spoil.get(name, lambda features: features)(truth(images))

        return run, "1.0"

    def work(self, name) -> None:
        times = self.seconds[name]
        self.batches[name] = self.batches.get(name, 0) + 1
        self.now += times[self.batches[name] % len(times)]

    def choose(self, images=None):
        return prepare(self.network, "auto", device=CPU, batch_size=4, images=images, clock=lambda: self.now).label


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def test_auto_takes_the_fastest_and_says_so(machine, capsys):
    assert machine.choose() == "openvino 1.0"
    assert machine.made == ["openvino", "onnxruntime", "compiled"]
    expected = (
        "backend: openvino 1.0, 8 images/s; speed of others beside it: onnxruntime 0.83, compiled 0.71, eager 0.50"
    )
    assert capsys.readouterr().err == expected + "\n"
    machine.seconds["eager"] = [0.1]
    assert machine.choose() == "eager"


def test_auto_is_not_misled_by_what_else_the_machine_does(machine):
    machine.seconds["openvino"] = [0.5, 3.0, 2.0, 1.5]  # mostly disturbed
    machine.seconds["onnxruntime"] = [0.6]
    assert machine.choose() == "openvino 1.0"
    machine.seconds["openvino"] = [0.5, 0.8, 0.8]  # as slow as the others most of the time
    assert machine.choose() == "openvino 1.0"


def test_auto_spends_in_proportion_to_the_run(machine, capsys):
    batch = 4
    assert machine.choose(batch * (FEW_BATCHES - 1)) == "eager"
    assert (machine.made, machine.now) == ([], 0.0)
    assert "backend: eager; 36 images are too few to try others" in capsys.readouterr().err
    assert machine.choose(batch * 20) == "eager"  # 20 s: a quarter of it is less than a trial, 4 s and two batches
    assert (machine.made, machine.now) == ([], 1.0)
    assert "too few images to try openvino, onnxruntime, compiled" in capsys.readouterr().err
    assert machine.choose(batch * 30) == "openvino 1.0"  # which makes 15 s of 30 s: another would have to save more
    assert machine.made == ["openvino"]
    assert "eager 0.50; too few images to try onnxruntime, compiled" in capsys.readouterr().err
    assert machine.choose(batch * 400) == "openvino 1.0"
    assert machine.made[1:] == ["openvino", "onnxruntime"]
    assert machine.choose(batch * 10_000) == "openvino 1.0"
    assert machine.made[3:] == ["openvino", "onnxruntime", "compiled"]


@pytest.mark.parametrize("batches", [FEW_BATCHES, 20, 30, 50, 100, 1000])
@pytest.mark.parametrize("seconds", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("others", [0.3, 1.0, 3.0])
def test_choosing_costs_little_beside_the_run(machine, batches, seconds, others):
    machine.seconds = {name: [seconds * (1 if name == "eager" else others)] for name in machine.seconds}
    machine.choose(4 * batches)
    assert machine.now <= (0.4 if others <= 1 else 0.6) * batches * seconds


def test_the_hopeless_are_measured_less(machine):
    machine.seconds["compiled"] = [50.0]
    machine.choose()
    assert machine.batches["compiled"] < machine.batches["onnxruntime"]
    machine.seconds["compiled"], machine.batches = [0.7], {}
    machine.choose()
    assert machine.batches["compiled"] == machine.batches["onnxruntime"]


@pytest.mark.parametrize(
    ("lie", "found"),
    [
        (lambda features: features.bfloat16().float(), r"a feature differs by \d.\de-03, more than 0.0001"),
        (lambda features: features.flip(0), "a feature differs by"),
        (lambda features: features[:1].expand(4, -1), "a feature differs by"),
        (lambda features: torch.where(torch.arange(4)[:, None] == 3, math.nan, features), "differs by nan"),
        (lambda features: features * 1.001, r"differs by 1.0e-03"),
        (lambda features: features[:, :5], r"gives features of shape \(4, 5\), expected \(4, 6\)"),
    ],
)
def test_a_backend_that_lies_is_refused(machine, capsys, lie, found):
    machine.spoil["openvino"] = lie
    with pytest.raises(UserError, match=f"backend openvino: .*{found}"):
        prepare(machine.network, "openvino", device=CPU, batch_size=4)
    assert machine.choose() == "onnxruntime 1.0"  # though the liar would be faster
    passed_over, choice = capsys.readouterr().err.splitlines()
    assert passed_over.startswith("passed over: backend openvino: ")
    assert choice.startswith("backend: onnxruntime")


def test_auto_leaves_out_without_a_word_what_is_not_meant_for_it(machine, capsys, monkeypatch):
    def unsuited(original):
        raise runners.Unsuited("runs elsewhere")

    def missing(original):
        raise UserError("is not installed")

    monkeypatch.setitem(runners.MAKERS, "openvino", unsuited)
    monkeypatch.setitem(runners.MAKERS, "onnxruntime", missing)
    assert machine.choose() == "compiled 1.0"
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 2
    assert error[0] == "passed over: backend onnxruntime: is not installed"
    with pytest.raises(UserError, match="backend openvino: runs elsewhere"):
        prepare(machine.network, "openvino", device=CPU, batch_size=4)


def test_another_order_of_additions_is_no_lie(machine):
    machine.spoil["openvino"] = lambda features: features * (1 + 3e-6)
    assert prepare(machine.network, "openvino", device=CPU, batch_size=4).backend == "openvino"
