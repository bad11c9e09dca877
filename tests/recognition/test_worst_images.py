"""The worst images of a run, beside the classifier asked of one image at a time."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.commands import report as command
from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack
from lwface.losses import create_classifier
from lwface.networks import NETWORKS, FaceNetwork, create_network
from lwface.recognition.dataset import FaceDataset, FaceRecords, to_network_input
from lwface.recognition.worst_images import worst_images
from lwface.reporting.training_log import read_run
from lwface.reporting.training_page import write_training_report
from lwface.settings.resolve import resolve
from lwface.training.checkpoint import Checkpoints
from lwface.training.state import RunState

IMAGES, PEOPLE, BAD = 40, 5, 7


def glimpse(emb_size: int = 6) -> FaceNetwork:
    body = nn.Sequential(nn.Conv2d(3, 4, 16, stride=16), nn.BatchNorm2d(4), nn.Dropout(0.5))
    return FaceNetwork(body, nn.Sequential(nn.Flatten(), nn.Linear(4 * 7 * 7, emb_size)), emb_size)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run after 12 steps: data, settings, log, checkpoint."""
    monkeypatch.setitem(NETWORKS._entries, "glimpse", glimpse)
    data, random = tmp_path / "data", np.random.default_rng(0)
    data.mkdir()
    with RecordWriter(data / "train.rec") as writer:
        for key in range(IMAGES):
            noise = np.kron(random.integers(0, 256, (7, 7, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
            image = b"damaged" if key == BAD else encode_jpeg(noise)
            writer.write(key, pack(Header(0, float(key % PEOPLE), key, 0), image))
    (data / "property").write_text(f"{PEOPLE},112,112")
    run = resolve("glimpse", "synthetic", "arcface", dataset_path=str(data), num_classes=PEOPLE, loss_s=8.0)
    torch.manual_seed(0)
    network = create_network(run.as_dict())
    modules = {"network": network, "classifier": create_classifier(run.as_dict(), PEOPLE, network.embedding_size)}
    modules["classifier"].weight.data.normal_()
    path = tmp_path / "run"
    path.mkdir()
    checkpoints = Checkpoints(path / "last.ckpt")
    checkpoints.save(12, RunState(modules).tensors(), {"step": 12})
    checkpoints.wait()
    (path / "config.json").write_text(json.dumps(run.as_dict()))
    (path / "log.jsonl").write_text('{"step": 12, "epoch": 0, "loss": 3.5, "lr": 0.1}\n')
    return path, modules, FaceDataset(FaceRecords(data), image_size=(112, 112))


def test_they_are_those_of_one_image_at_a_time(folder, tmp_path):
    path, modules, data = folder
    losses = {}
    network, classifier = (modules[name].eval() for name in ("network", "classifier"))
    with torch.no_grad():
        for key in set(range(IMAGES)) - {BAD}:
            batch = data[np.array([key])]
            losses[key] = float(classifier(network(to_network_input(batch.images)), batch.targets).loss)
    found = worst_images(read_run(path), shown=6, sample=1000, device=torch.device("cpu"))
    expected = sorted(losses, key=losses.get, reverse=True)
    assert [image.key for image in found.images] == expected[:6]
    assert [image.loss for image in found.images] == pytest.approx([losses[key] for key in expected[:6]], rel=1e-4)
    assert [image.label for image in found.images] == [key % PEOPLE for key in expected[:6]]
    assert (found.of, found.step) == (IMAGES - 1, 12)
    assert found.mean == pytest.approx(np.mean(list(losses.values())), rel=1e-4)
    page = write_training_report(tmp_path / "o", [read_run(path)], worst=found).read_text(encoding="utf-8")
    assert page.count('<li class="pair"><img src="data:image/jpeg;base64,') == 6
    assert f"<b>loss {found.images[0].loss:.2f}</b>" in page


def test_a_part_of_the_set_is_evenly_spread(folder):
    path, _, _ = folder
    found = worst_images(read_run(path), shown=100, sample=5, device=torch.device("cpu"))
    assert sorted(image.key for image in found.images) == [0, 10, 20, 29, 39]


def change(path, **settings):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **settings}))


def test_what_cannot_be_asked_is_one_line(folder, tmp_path):
    path, _, _ = folder
    change(path, dataset_path=str(tmp_path / "none"))
    arguments = ["--run", str(path), "--worst", "3", "--output", str(tmp_path / "o"), "--device", "cpu"]
    with pytest.raises(UserError, match=r"--worst: .*none, of which the run learnt: no such folder"):
        command.main(arguments)
    change(path, loss="triplet", loss_name="triplet")
    with pytest.raises(UserError, match="the loss triplet has no classes"):
        command.main(arguments)
    (path / "last.ckpt").unlink()
    with pytest.raises(UserError, match=r"last\.ckpt: no such file"):
        command.main(arguments)
    (path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is not the run of a face network"):
        command.main(arguments)
    with pytest.raises(UserError, match="goes with one run"):
        command.parse_arguments(["--run", str(path), str(tmp_path), "--worst", "3"])
    assert not (tmp_path / "o").exists()
