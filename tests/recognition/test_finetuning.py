"""A trained network goes on learning: centres at means, what stands still and when, and the mix with the start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.formats.verification_pack import write_pack
from lwface.models.store import load_model
from lwface.networks import NETWORKS, FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.recognition import train as face_training
from lwface.recognition.dataset import to_network_input
from lwface.recognition.freezing import freeze
from lwface.recognition.head_start import spread
from lwface.settings.resolve import resolve
from lwface.training.checkpoint import read_checkpoint

PEOPLE, IMAGES = 5, 33


def tiny(emb_size: int = 6) -> FaceNetwork:
    """Two stages with batch norms and dropout; channels as the weights of MXNet are named."""
    body = nn.Sequential()
    body.add_module("stage1_unit1", nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), BatchNorm(4)))
    body.add_module("stage1_unit2", nn.Sequential(nn.Conv2d(4, 4, 1), BatchNorm(4)))
    body.add_module("stage2_unit1", nn.Sequential(nn.PReLU(4), nn.Dropout(0.2)))
    head = nn.Sequential()
    head.add_module("flatten", nn.Flatten())
    head.add_module("fc1", nn.Linear(4 * 7 * 7, emb_size))
    return FaceNetwork(body, head, emb_size)


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "tiny", tiny)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    base = random.integers(40, 215, (PEOPLE, 7, 7, 3))

    def face(person):
        noisy = np.clip(base[person] + random.integers(-30, 31, (7, 7, 3)), 0, 255).astype(np.uint8)
        return encode_jpeg(np.kron(noisy, np.ones((16, 16, 1), np.uint8)))

    with RecordWriter(folder / "train.rec") as writer:
        for key in range(IMAGES):
            writer.write(key, pack(Header(0, float(key % PEOPLE), key, 0), face(key % PEOPLE)))
    (folder / "property").write_text(f"{PEOPLE + 1},112,112")  # nobody has the last label
    pairs = [(i % PEOPLE, (i + i % 2) % PEOPLE) for i in range(20)]
    write_pack(folder / "heldout.bin", [face(i) for pair in pairs for i in pair], [a == b for a, b in pairs])
    return folder


@pytest.fixture
def run_of(data, tmp_path):
    def make(root="models", loss="nsoftmax", **changes):
        settings = {"per_batch_size": 4, "max_steps": 4, "verbose": 4, "lr": 0.02, "num_workers": 0, "warmup_steps": 0}
        settings |= {"dataset_path": str(data), "models_root": str(tmp_path / root), "lr_policy": "step"}
        return resolve("tiny", "synthetic", loss, **(settings | changes))

    return make


@pytest.fixture
def trained(run_of):
    run = run_of(root="trained", max_steps=2)
    assert face_training.train(run, device="cpu") == 0
    return str(face_training.run_folder(run) / "model,1")


def loop_of(run, tmp_path):
    return face_training.prepare(run, device="cpu", folder=tmp_path / "unused")


def state(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items() if torch.is_tensor(tensor)}


def changed(module, before):
    return {name for name, tensor in state(module).items() if not torch.equal(tensor, before[name])}


def steps(loop, count):
    for _, _update in zip(range(count), loop.updates(), strict=False):
        pass
    return loop.task


def embeddings(network, loop):
    """Of all images and of their mirrors, and the labels: one at a time."""
    network.eval()
    found, labels = [], []
    with torch.no_grad():
        for position in range(len(loop.task.data)):
            batch = loop.task.data.batch(np.array([position]), 0)
            images = to_network_input(batch.images)
            found += [network(images), network(torch.flip(images, dims=[3]))]
            labels += 2 * batch.targets.tolist()
    return torch.cat(found).double(), labels


@pytest.mark.parametrize("loss", ["nsoftmax", "subcenter"])
def test_centres_begin_at_the_mean_of_each_persons_unit_embeddings(run_of, trained, tmp_path, loss):
    loop = loop_of(run_of(pretrained=trained, loss=loss), tmp_path)
    fresh = loop_of(run_of(pretrained=trained, loss=loss, head_start="random"), tmp_path).task.classifier.weight
    weight = loop.task.classifier.weight.detach()
    found, labels = embeddings(loop.task.network, loop)
    for person in range(PEOPLE):
        mean = sum(row / row.norm() for row, label in zip(found, labels, strict=True) if label == person)
        expected = 0.01 * 6**0.5 * mean / mean.norm()
        torch.testing.assert_close((weight[person] if loss == "nsoftmax" else weight[person, 0]).double(), expected)
    assert torch.equal(weight[PEOPLE], fresh[PEOPLE])  # nobody has this label
    if loss == "subcenter":
        assert torch.equal(weight[:, 1:], fresh[:, 1:])


def test_softmax_begins_as_a_linear_discriminant(run_of, trained, tmp_path):
    loop = loop_of(run_of(pretrained=trained, loss="softmax"), tmp_path)
    found, labels = embeddings(loop.task.network, loop)
    labels = torch.tensor(labels)
    means = torch.stack([found[labels == person].mean(dim=0) for person in range(PEOPLE)])
    variance = (found - means[labels]).square().sum() / ((len(found) - PEOPLE) * 6)
    classifier = loop.task.classifier
    torch.testing.assert_close(classifier.weight[:PEOPLE].detach().double(), means / variance, rtol=1e-5, atol=1e-7)
    expected = -means.square().sum(dim=1) / (2 * variance)
    torch.testing.assert_close(classifier.bias[:PEOPLE].detach().double(), expected, rtol=1e-5, atol=0)
    # The rule says: the nearest mean, with the logits of spheres.
    logits = found @ classifier.weight.detach().double().T + classifier.bias.detach()
    nearest = torch.cdist(found, means).argmin(dim=1)
    assert torch.equal(logits[:, :PEOPLE].argmax(dim=1), nearest)


def test_means_are_there_at_once_and_only_where_they_mean_something(run_of, trained, tmp_path, capsys):
    def loss_of(**changes):
        return next(loop_of(run_of(pretrained=trained, **changes), tmp_path).updates()).loss

    assert loss_of() < loss_of(head_start="random")
    assert f"{PEOPLE} centres at the mean embeddings of {IMAGES} images" in capsys.readouterr().out
    loop_of(run_of(), tmp_path)  # nothing is trained
    loop_of(run_of(pretrained=trained, emb_size=7), tmp_path)  # the embedding layer is fresh
    assert "centres at" not in capsys.readouterr().out
    loop_of(run_of(head_start="mean"), tmp_path)
    assert "centres at" in capsys.readouterr().out


def test_of_many_images_of_a_person_evenly_spread_ones_are_taken():
    labels = np.array([3] * 10 + [1] * 2 + [0] * 5)
    assert spread(labels, most=4).tolist() == [0, 3, 5, 8, 10, 11, 12, 14, 15, 16]
    assert spread(labels, most=10).tolist() == list(range(17))


@pytest.mark.parametrize(
    ("wanted", "still"),
    [
        ("stage1_unit2", {"body.stage1_unit2"}),
        ("body.stage1", {"body.stage1_unit1", "body.stage1_unit2"}),
        ("..stage1_unit2, fc1", {"body.stage1_unit1", "body.stage1_unit2", "head.fc1"}),
        ("body.stage1_unit1.1", {"body.stage1_unit1.1"}),
        ("all", {"body", "head"}),
    ],
)
def test_frozen_parts_stay_bit_for_bit(run_of, tmp_path, wanted, still):
    loop = loop_of(run_of(freeze=wanted, accumulate=2, mom=0.9), tmp_path)
    before = state(loop.task.network)
    network = steps(loop, 2).network
    learnt = {name for name in before if not any(f"{name}.".startswith(f"{part}.") for part in still)}
    assert changed(network, before) == learnt
    assert loop.task.classifier.weight.grad is None  # it learns by rows
    for part in still:
        assert not any(module.training for module in network.get_submodule(part).modules())


def test_unknown_parts_are_refused_with_those_that_are_there(run_of, tmp_path):
    with pytest.raises(UserError, match=r"freeze = 'stage3': .*there are all, body, head, body.stage1_unit1, "):
        loop_of(run_of(freeze="stage1_unit1,stage3"), tmp_path)
    with pytest.raises(UserError, match=r"freeze = 'stage1_unit': .*no such part"):
        freeze(tiny(), "stage1_unit")
    with pytest.raises(UserError, match="nothing is left that learns"):
        loop_of(run_of(freeze="all", loss="triplet", per_batch_size=6), tmp_path)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_while_the_head_learns_alone_the_network_stays_bit_for_bit(run_of, trained, tmp_path, optimizer):
    run = run_of(pretrained=trained, head_warmup_steps=3, optimizer=optimizer, accumulate=2, ema=0.9)
    loop = loop_of(run, tmp_path)
    task = loop.task
    network, head = state(task.network), state(task.classifier)
    updates = loop.updates()
    for _ in range(3):
        next(updates)
    assert changed(task.network, network) == set()
    assert changed(task.classifier, head) == {"weight"}
    next(updates)
    assert {"body.stage1_unit1.0.weight", "body.stage1_unit1.1.running_mean"} <= changed(task.network, network)


def test_batch_norms_keep_their_statistics_and_learn(run_of, trained, tmp_path):
    loop = loop_of(run_of(pretrained=trained, freeze_bn=True), tmp_path)
    before = state(loop.task.network)
    found = changed(steps(loop, 2).network, before)
    assert "body.stage1_unit1.1.weight" in found
    assert not {name for name in found if "running" in name}
    assert loop.task.network.body.stage2_unit1[1].training  # dropout goes on


def test_the_networks_rate_is_a_factor_of_the_rate(run_of, trained, tmp_path):
    """One step of SGD: the network moves as by the scaled rate, the head as by the rate."""

    def moved(**changes):
        loop = loop_of(run_of(pretrained=trained, **changes), tmp_path)
        before = state(loop.task.network), state(loop.task.classifier)
        task = steps(loop, 1)
        return [
            {name: tensor.double() - first[name].double() for name, tensor in state(module).items()}
            for module, first in zip((task.network, task.classifier), before, strict=True)
        ]

    whole, slow, scaled = moved(lr=0.5), moved(lr=0.5, backbone_lr_mult=0.25), moved(lr=0.125)
    for name in ("body.stage1_unit1.0.weight", "body.stage1_unit1.1.bias", "head.fc1.weight"):
        torch.testing.assert_close(slow[0][name], scaled[0][name], rtol=0, atol=0)
    torch.testing.assert_close(slow[1]["weight"], whole[1]["weight"], rtol=0, atol=0)
    assert functional.mse_loss(slow[0]["head.fc1.weight"], whole[0]["head.fc1.weight"]) > 0


def test_what_is_saved_is_the_mix_with_the_start(run_of, trained):
    run = run_of(pretrained=trained, start_share=0.25, max_steps=3, ckpt=2)
    assert face_training.train(run, device="cpu") == 0
    folder = face_training.run_folder(run)
    start, learnt = load_model(trained)[0].state_dict(), read_checkpoint(folder / "last.ckpt")["modules"]["network"]
    saved = load_model(str(folder / "model,1"))[0].state_dict()
    for name, tensor in saved.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, 0.25 * start[name] + 0.75 * learnt[name])
    assert not torch.equal(saved["head.fc1.weight"], learnt["head.fc1.weight"])


def test_a_share_of_nothing_is_refused(run_of, tmp_path):
    with pytest.raises(UserError, match=r"start_share = 0.5: .*give --pretrained"):
        loop_of(run_of(start_share=0.5), tmp_path)


@pytest.mark.parametrize("key", ["head_warmup_steps", "margin_warmup_steps"])
def test_what_is_for_a_head_is_refused_without_one(run_of, tmp_path, key):
    with pytest.raises(UserError, match=f"{key} = 3: the loss triplet has no head"):
        loop_of(run_of(loss="triplet", per_batch_size=6, **{key: 3}), tmp_path)


def test_stopped_in_the_warm_up_and_resumed_is_bit_for_bit_the_same(run_of, trained, tmp_path):
    changes = {
        "pretrained": trained,
        "head_warmup_steps": 2,
        "margin_warmup_steps": 4,
        "freeze": "stage1_unit1",
        "freeze_bn": True,
        "start_share": 0.5,
        "backbone_lr_mult": 0.5,
        "loss": "arcface",
    }
    whole, parts = run_of(root="whole", **changes), run_of(root="parts", **changes)
    assert face_training.train(whole, device="cpu") == 0
    for last in (1, 3, 4):
        assert face_training.train(parts.replace(max_steps=last), device="cpu", resume=True) == 0
    found = [read_checkpoint(face_training.run_folder(run) / "last.ckpt") for run in (whole, parts)]
    for module in ("network", "classifier", "start"):
        one, other = (each["modules"][module] for each in found)
        assert all(torch.equal(one[name], other[name]) for name in one)
