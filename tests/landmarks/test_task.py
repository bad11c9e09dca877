"""A second task in the same loop: five points on procedural faces, learnt, interrupted and continued."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.base.journal import fingerprint, open_job
from lwface.landmarks.data import PointImages, read_synthetic
from lwface.landmarks.task import PointTask
from lwface.settings.resolve import resolve
from lwface.synthetic import generate
from lwface.training.checkpoint import read_checkpoint
from lwface.training.loop import Loop

SIZE, STEPS = 48, 60


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Frames of 24 people to learn from and of 6 others."""
    folder = tmp_path_factory.mktemp("faces")
    options = generate.Options(
        train_people=20, images_per_person=4, heldout_people=6, heldout_images=4, video_people=0, pack_people=2,
        pack_pairs=2, frames=True,
    )  # fmt: skip
    with open_job(folder, fingerprint({}, []), generate.PRODUCTS) as journal:
        generate.generate(options, folder, journal, 1)
    return folder


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def windows(faces, split):
    """Squares cut from the frames anywhere: where a face is must be seen, it cannot be known beforehand."""
    frames, random = read_synthetic(faces, split, 72), np.random.default_rng(len(split))
    images, points = [], []
    for frame, places in zip(frames.images, frames.points, strict=True):
        for x, y in random.integers(0, 72 - SIZE + 1, (6, 2)):
            images.append(frame[y : y + SIZE, x : x + SIZE])
            points.append(places - [x, y])
    return PointImages(np.stack(images), np.stack(points).astype(np.float32))


def make_loop(faces, folder, **changes):
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.1), nn.Linear(24 * 7 * 7, 10),
    )  # fmt: skip
    settings = {
        "max_steps": STEPS, "per_batch_size": 16, "lr": 0.002, "warmup_steps": 5, "optimizer": "adamw", "verbose": 20,
        "frequent": 10, "num_workers": 0, "lr_policy": "cosine", "models_root": str(folder),
    }  # fmt: skip
    run = resolve("m025", "synthetic", "softmax", **(settings | changes))
    data, held_out = (windows(faces, split) for split in ("train", "image"))
    task = PointTask(Scaled(network), data, held_out, run.replace(precision="float32"), torch.device("cpu"))
    return Loop(task, run.replace(precision="float32"), device=torch.device("cpu"), folder=Path(folder))


class Scaled(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network((images.float() - 127.5) / 128)


@pytest.fixture(scope="module")
def unbroken(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert make_loop(faces, folder).start(resume=False) == 0
    return folder


def log_of(folder):
    objects = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "images_per_s"} for entry in objects]


def test_points_are_those_of_the_frames(faces):
    data = read_synthetic(faces, "image", 192)
    assert data.images.shape == (24, 192, 192, 3)
    assert data.points.shape == (24, 5, 2)
    sample = next(generate.samples(generate.Piece("image", 20, 1), generate.Options()))
    np.testing.assert_allclose(data.points[0], sample.landmarks5, atol=0.01)
    assert np.abs(data.images[0].astype(int) - sample.frame).mean() < 4  # a JPEG's
    np.testing.assert_allclose(read_synthetic(faces, "image", SIZE).points, data.points / 4, atol=1e-5)


def test_it_learns_more_than_where_faces_usually_are(faces, unbroken):
    train, held_out = (windows(faces, split) for split in ("train", "image"))
    distances = np.linalg.norm(held_out.points - train.points.mean(axis=0), axis=2)
    guess = float(distances.mean() / SIZE)
    validations = [entry for entry in log_of(unbroken) if "verification" in entry]
    assert [entry["step"] for entry in validations] == [20, 40, 60]
    assert validations[-1]["nme"] < 0.75 * guess
    losses = [entry["loss"] for entry in log_of(unbroken) if "loss" in entry]
    assert losses[-1] < 0.6 * losses[0]
    assert log_of(unbroken)[0].keys() == {"step", "epoch", "loss", "nme", "lr"}


def test_figures_are_the_definition(faces, tmp_path):
    loop = make_loop(faces, tmp_path)
    batch = loop.task.data[np.arange(5)]
    loop.task.modules["network"].eval()
    outcome = loop.task.outcome(*loop.task.on_device(batch, 0))
    found = loop.task.modules["network"](batch.images.permute(0, 3, 1, 2)).detach().numpy().reshape(5, 5, 2)
    pixels = (found + 1) / 2 * SIZE
    expected = sum(
        np.hypot(*(pixels[i, k] - batch.targets[i, k].numpy())) / 5 / SIZE for i in range(5) for k in range(5)
    )
    assert float(outcome.sums["nme"]) == pytest.approx(expected, rel=1e-5)
    assert outcome.loss.item() == pytest.approx(np.abs(pixels - batch.targets.numpy()).mean() * 2 / SIZE, rel=1e-5)


@pytest.mark.parametrize("step", [7, 40])
def test_stopped_and_resumed_is_the_same_run(faces, unbroken, tmp_path, monkeypatch, capfd, step):
    original = Loop.training_step

    def stopping(self, batch, rate):
        if self.step == step - 1:
            signal.raise_signal(signal.SIGTERM)
        return original(self, batch, rate)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "training_step", stopping)
        assert make_loop(faces, tmp_path).start(resume=False) == 143
    assert make_loop(faces, tmp_path).start(resume=True) == 0
    assert f"resuming after step {step} of {STEPS}" in capfd.readouterr().out
    assert log_of(tmp_path) == log_of(unbroken)
    a, b = (read_checkpoint(folder / "last.ckpt")["modules"]["network"] for folder in (tmp_path, unbroken))
    assert all(torch.equal(a[name], b[name]) for name in b)
    assert (tmp_path / "model-0001.safetensors").is_file()


def test_data_that_does_not_fit(faces, tmp_path):
    with pytest.raises(UserError, match="no picture of the split 'nose'"):
        read_synthetic(faces, "nose", SIZE)
    with pytest.raises(ValueError, match=r"expected images \(N, H, W, 3\) and points \(N, K, 2\)"):
        PointImages(np.zeros((3, 8, 8, 3), np.uint8), np.zeros((2, 5, 2), np.float32))
    (tmp_path / "annotations.csv").write_text((faces / "annotations.csv").read_text())
    with pytest.raises(UserError, match="make the set with --frames"):
        read_synthetic(tmp_path, "train", SIZE)
