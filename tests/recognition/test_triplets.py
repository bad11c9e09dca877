"""Runs on triplets: what their batches are made of; these and other losses with a state go on where they stopped."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.networks import NETWORKS, FaceNetwork
from lwface.recognition.train import prepare
from lwface.settings.resolve import resolve
from lwface.training.checkpoint import read_checkpoint
from lwface.training.loop import Loop

IMAGES = [6, 5, 1, 4, 3, 7]  # of each person


def tiny(emb_size: int = 8) -> FaceNetwork:
    body = nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), nn.BatchNorm2d(4), nn.PReLU(4), nn.Dropout(0.2))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, emb_size)), emb_size)


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "tiny", tiny)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    base = random.integers(60, 195, (len(IMAGES), 7, 7, 3))
    people = random.permutation(np.repeat(np.arange(len(IMAGES)), IMAGES))
    with RecordWriter(folder / "train.rec") as writer:
        for key, person in enumerate(people):
            noisy = np.clip(base[person] + random.integers(-60, 61, (7, 7, 3)), 0, 255).astype(np.uint8)
            image = encode_jpeg(np.kron(noisy, np.ones((16, 16, 1), np.uint8)))
            writer.write(key, pack(Header(0, float(person), key, 0), image))
    (folder / "property").write_text(f"{len(IMAGES)},112,112")
    return folder


@pytest.fixture
def loop_of(data, tmp_path):
    def make(root="models", loss="triplet", **changes):
        settings = {"per_batch_size": 6, "max_steps": 12, "frequent": 1, "verbose": 50, "lr": 0.02, "num_workers": 0}
        settings |= {"images_per_identity": 3, "triplet_bag_size": 12, "dataset_path": str(data)}
        settings |= {"models_root": str(tmp_path), "val_targets": [], "lr_policy": "step", "warmup_steps": 0}
        run = resolve("tiny", "synthetic", loss, **(settings | changes))
        return prepare(run, device="cpu", folder=tmp_path / root)

    return make


def losses_of(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["acc"]) for line in lines if "loss" in line]


@pytest.mark.parametrize("loss", ["triplet", "atriplet"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_batches_are_thirds_of_triplets(loop_of, monkeypatch, loss, accumulate):
    seen = []
    original = Loop.training_step

    def noting(self, batch, rate):
        seen.extend(batch.targets.view(accumulate, 3, -1).tolist())
        return original(self, batch, rate)

    monkeypatch.setattr(Loop, "training_step", noting)
    loop = loop_of(loss=loss, accumulate=accumulate, max_steps=8)
    assert loop.start(resume=False) == 0
    assert len(seen) == 8 * accumulate
    assert all(a == p != n for part in seen for a, p, n in zip(*part, strict=True))
    assert loop.task.chosen.bags > 1
    assert all(np.isfinite(loss) for _, loss, _ in losses_of(loop.folder))


def test_the_sequence_is_a_few_images_of_each_person_in_random_order(loop_of):
    task = loop_of().task
    turns = [task._sequence(turn) for turn in (0, 0, 1)]
    for positions in turns:
        people = task.labels[positions]
        assert len(set(positions.tolist())) == len(positions) == sum(min(3, images) for images in IMAGES)
        starts = np.flatnonzero(np.diff(people, prepend=-1))
        assert sorted(people[starts]) == list(range(len(IMAGES)))  # each person in one run
        assert all((people == person).sum() == min(3, images) for person, images in enumerate(IMAGES))
    assert turns[0].tolist() == turns[1].tolist() != turns[2].tolist()


def test_the_network_looks_at_them_as_it_is(loop_of):
    task = loop_of().task
    task.train_mode()
    positions = np.array([5, 0, 9, 3, 1, 2, 20])
    found, read = task._embed(positions)
    with torch.no_grad():
        raw = task.network.eval()(task.data[positions].images.permute(0, 3, 1, 2))
    torch.testing.assert_close(found, nn.functional.normalize(raw))
    assert read.all()


STATES = [("triplet", 1), ("triplet", 4), ("atriplet", 7), ("adaface", 5), ("curricular", 5), ("elastic", 5)]


@pytest.mark.parametrize(("loss", "step"), STATES)
def test_stopped_and_resumed_it_is_the_same_run(loop_of, tmp_path, monkeypatch, loss, step):
    whole = loop_of("whole", loss=loss)
    assert whole.start(resume=False) == 0
    if loss.endswith("triplet"):
        assert whole.task.chosen.bags > 3  # it chose more than once
    original = Loop.training_step

    def stopping(self, batch, rate):
        if self.step == step - 1:
            signal.raise_signal(signal.SIGTERM)
        return original(self, batch, rate)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "training_step", stopping)
        assert loop_of(loss=loss).start(resume=False) == 143
    torch.manual_seed(99)
    assert loop_of(loss=loss, num_workers=1).start(resume=True) == 0
    assert losses_of(tmp_path / "models") == losses_of(tmp_path / "whole")
    one, other = (read_checkpoint(tmp_path / root / "last.ckpt")["modules"] for root in ("models", "whole"))
    assert one.keys() == other.keys()
    for module in one:
        assert one[module].keys() == other[module].keys()
        assert all(torch.equal(tensor, other[module][name]) for name, tensor in one[module].items())


def test_a_batch_of_whole_triplets_is_taken(loop_of, capsys):
    assert loop_of(per_batch_size=8).run.per_batch_size == 6
    assert "6 images a step, not 8: the loss triplet takes triplets" in capsys.readouterr().out
    with pytest.raises(UserError, match="per_batch_size = 2: the loss triplet needs at least 3"):
        loop_of(per_batch_size=2)
    with pytest.raises(UserError, match=r"sample_rate = 0.5: the loss triplet has no identities to sample, leave it"):
        loop_of(sample_rate=0.5)


def test_what_is_said_of_the_bags(loop_of, capsys):
    loop_of().task.announce()
    assert "triplets are chosen from bags of 12 of 16 images\n" in capsys.readouterr().out
    loop_of(triplet_bag_size=7200).task.announce()
    assert "bags of 16 of 16 images" in capsys.readouterr().out


def test_where_everything_is_told_apart_the_nearest_are_taken(loop_of, capsys):
    """A tiny alpha leaves no semi-hard triplet; the run goes on."""
    loop = loop_of(triplet_alpha=0.0, max_steps=3)
    assert loop.start(resume=False) == 0
    assert "0 semi-hard triplets in 10 bags up to here, too few for 2 steps" in "".join(capsys.readouterr())


def test_a_collapsed_network_and_one_person_are_refused(loop_of, data):
    loop = loop_of()
    nn.init.zeros_(loop.task.network.head[1].weight)
    nn.init.zeros_(loop.task.network.head[1].bias)
    with pytest.raises(UserError, match="no image of another person is farther than one of the same"):
        loop.start(resume=False)
    with pytest.raises(UserError, match="needs images of at least 2 people"):
        loop_of(data_images_filter=7)
