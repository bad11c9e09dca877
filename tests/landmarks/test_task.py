"""A second task in the same loop: points on procedural faces, learnt, interrupted and continued."""

from __future__ import annotations

import dataclasses
import json
import signal

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.gate.budgets import BudgetError
from lwface.landmarks.cropping import box_of
from lwface.landmarks.dataset import PointDataset
from lwface.landmarks.options import PointSource, PointWish
from lwface.landmarks.point_sets import read_point_set
from lwface.landmarks.predictor import PointPredictor
from lwface.landmarks.task import nme_by_box
from lwface.landmarks.train import open_data, point_run, prepare, run_folder, scaled, train
from lwface.models.store import load_model
from lwface.training.checkpoint import read_checkpoint
from lwface.training.loop import Loop
from lwface.training.step import Made

STEPS = 40


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """For all runs alike, those of the module's fixtures too: other threads add up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def wish(faces, **changes):
    return PointWish("m025", "coordinates", "wing", [PointSource(faces)], val=faces, augmentation=0.2, **changes)


def settings(folder, **changes):
    usual = {
        "max_steps": STEPS, "per_batch_size": 16, "lr": 0.005, "warmup_steps": 5, "verbose": 20, "frequent": 10,
        "num_workers": 0, "models_root": str(folder), "precision": "float32", "ema": 0.9,
    }  # fmt: skip
    return usual | changes


@pytest.fixture(scope="module")
def unbroken(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert train(wish(faces), **settings(folder)) == 0
    return folder / f"m025-coordinates-{faces.stem}"


def log_of(folder):
    objects = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "images_per_s"} for entry in objects]


def test_it_learns_faces_by_heart(faces, tmp_path):
    """Sixteen faces, no augmentation: far better than the mean face, which is all that boxes tell."""
    pictures = read_point_set(faces).pictures[:16]
    header = ["image"] + [f"{axis}{i}" for i in range(68) for axis in "xy"]
    rows = [",".join([str(one.path), *map(repr, one.points.ravel().tolist())]) for one in pictures]
    (tmp_path / "few.csv").write_text("\n".join([",".join(header), *rows]) + "\n")
    few = PointWish(
        "m025", "coordinates", "wing", [PointSource(tmp_path / "few.csv")], tmp_path / "few.csv", augmentation=0
    )
    assert train(few, **settings(tmp_path, max_steps=100, verbose=100)) == 0
    log = log_of(tmp_path / "m025-coordinates-few")
    true = PointDataset(pictures).batch(np.arange(16), 0).targets
    guess = float(nme_by_box(true.mean(0).expand_as(true), true).mean())
    assert next(entry["nme"] for entry in log if "verification" in entry) < 0.6 * guess


def test_the_log_has_loss_figure_and_rate(unbroken):
    log = log_of(unbroken)
    assert log[0].keys() == {"step", "epoch", "loss", "nme", "lr"}
    validations = [entry for entry in log if "verification" in entry]
    assert [entry["step"] for entry in validations] == [20, 40]
    assert all(0 < entry["nme"] < 0.2 for entry in validations)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0]


def test_the_saved_model_gives_the_figure_that_was_logged(faces, unbroken):
    """Whole pictures through the predictor, against crops in the loop."""
    predictor = PointPredictor.load(str(unbroken / "model-0001.safetensors"))
    pictures = read_point_set(faces, "val").pictures
    from lwface.formats.image import read_rgb

    errors = []
    for picture in pictures:
        box = box_of(picture.points)
        found = predictor(read_rgb(picture.path), box[None])[0]
        length = np.sqrt(np.prod(box[2:] - box[:2]))
        errors.append(np.linalg.norm(found - picture.points, axis=1).mean() / length)
    best = min(entry["nme"] for entry in log_of(unbroken) if "verification" in entry)
    assert np.mean(errors) == pytest.approx(best, rel=2e-2)  # the loop's pictures are made smaller once more


def test_the_end_says_what_to_type_next(faces, tmp_path, capfd):
    assert train(wish(faces), **settings(tmp_path, max_steps=6, verbose=6)) == 0
    lines = capfd.readouterr().out.splitlines()
    gate, predict = (line.partition("next: ")[2] for line in lines if "next: " in line)
    assert gate.endswith("model,1 --track landmarks-68")
    assert "predict" in predict


def test_the_model_says_what_it_learnt_from(faces, unbroken):
    network, config = load_model(str(unbroken / "model-0001.safetensors"))
    assert config["points"] == 68
    assert config["point_head"] == "coordinates"
    (data,) = config["data"]
    assert (data["kind"], data["pictures"], data["times"]) == ("procedural", 60, 1)
    assert data["name"] == faces.name
    assert len(data["sha256"]) == 64
    assert config["started_from"] == ""
    assert network.embedding_size == 136


@pytest.mark.parametrize("step", [7, 30])
def test_stopped_and_resumed_is_the_same_run(faces, unbroken, tmp_path, monkeypatch, capfd, step):
    original = Loop.training_step

    def stopping(self, batch, rate):
        if self.step == step - 1:
            signal.raise_signal(signal.SIGTERM)
        return original(self, batch, rate)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "training_step", stopping)
        assert train(wish(faces), **settings(tmp_path)) == 143
    assert train(wish(faces), **settings(tmp_path), resume=True) == 0
    assert f"resuming after step {step} of {STEPS}" in capfd.readouterr().out
    folder = tmp_path / unbroken.name
    assert log_of(folder) == log_of(unbroken)
    a, b = (read_checkpoint(one / "last.ckpt")["modules"]["network"] for one in (folder, unbroken))
    assert all(torch.equal(a[name], b[name]) for name in b)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_who_makes_them(faces, tmp_path, workers):
    run = point_run(wish(faces), **settings(tmp_path, num_workers=workers))
    loop = prepare(wish(faces), run, folder=run_folder(run))
    seen = []
    made = Made(("nme",), lambda: torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0]))
    loop.training_step = lambda batch, rate: (seen.append(batch), made)[1]
    for _ in zip(range(3), loop.updates(), strict=False):
        pass
    data = PointDataset(open_data(wish(faces))[0], seed=run.seed, strength=scaled(0.2))
    data.keep()
    from lwface.training.sampler import BatchSampler

    for step, positions in enumerate(BatchSampler(len(data), 16, seed=run.seed, stop=3)):
        expected = data.batch(positions, step)
        assert torch.equal(expected.images, seen[step].images)
        assert torch.equal(expected.targets, seen[step].targets)


def test_from_a_step_on_the_boxes_are_exact(faces):
    pictures = open_data(wish(faces))[0]
    moving, settling = (PointDataset(pictures, strength=scaled(1.0), settle_from=step) for step in (float("inf"), 2))
    positions = np.arange(6)
    for step in (0, 1):
        assert torch.equal(moving.batch(positions, step).targets, settling.batch(positions, step).targets)

    def sides(data):
        targets = data.batch(positions, 2).targets
        return (targets.amax(1) - targets.amin(1)).amax(1)

    torch.testing.assert_close(sides(settling), torch.full((6,), 112 / 1.25), atol=1e-3, rtol=0)
    assert (sides(moving) - 112 / 1.25).abs().min() > 0.1


def test_without_an_end_nothing_settles(faces, tmp_path, capsys):
    endless = dataclasses.replace(wish(faces), settle=1.0)
    loop = prepare(endless, point_run(endless, **settings(tmp_path, max_steps=0)), folder=tmp_path / "x")
    assert loop.task.data.settle_from == float("inf")
    assert "--settle does nothing" in capsys.readouterr().err


def test_a_run_continues_from_a_model_of_points(faces, tmp_path):
    """All of it where the head is the same one; the body alone under another."""
    run = point_run(wish(faces), **settings(tmp_path))
    model = tmp_path / "first"
    loop = prepare(wish(faces), run, folder=run_folder(run))
    first = loop.task
    model.mkdir()
    own = {"name": "others", "kind": "csv", "pictures": 7, "times": 1, "sha256": "0"}
    first.save(model, 1, {**loop.run.as_dict(), "data": [own]})
    again = dataclasses.replace(wish(faces), pretrained=f"{model / 'model'},1")
    next_loop = prepare(again, point_run(again, **settings(tmp_path / "b")), folder=tmp_path / "b")
    assert next_loop.run.declared["data"] == [*loop.run.declared["data"], own]  # what it learnt from stays known
    second = next_loop.task
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, second.network.state_dict()[name]), name
    other = dataclasses.replace(again, head="simcc", loss="l1")
    third = prepare(other, point_run(other, **settings(tmp_path / "c")), folder=tmp_path / "c").task
    for name, tensor in first.network.body.state_dict().items():
        assert torch.equal(tensor, third.network.body.state_dict()[name]), name


def test_people_are_held_out_whole(faces):
    learnt, held_out, _ = open_data(PointWish("m025", "pip", "l1", [PointSource(faces)], held_out=0.25, split_seed=3))
    assert len(held_out) == 15
    assert not {picture.person for picture in learnt} & {picture.person for picture in held_out}
    assert len(learnt) + len(held_out) == 60


def test_pictures_are_taken_several_times(faces):
    learnt, _, described = open_data(PointWish("m025", "pip", "l1", [PointSource(faces, 3)], held_out=0))
    assert len(learnt) == 180
    assert described[0]["pictures"] == 60
    assert described[0]["times"] == 3


def test_kept_pictures_give_the_crops_of_those_that_are_read(faces):
    pictures = read_point_set(faces).pictures[:8]
    for view in ("box", "image", "both"):
        read, kept = (PointDataset(pictures, view=view) for _ in range(2))
        kept.keep()
        assert len(kept._kept) == 8
        twice = PointDataset(pictures * 2, view=view)
        twice.keep()
        assert len(twice._kept) == 8  # a picture that is taken again is not decoded again
        assert torch.equal(twice.batch(np.arange(8, 16), 0).images, kept.batch(np.arange(8), 0).images)
        a, b = (data.batch(np.arange(8), 0) for data in (read, kept))
        torch.testing.assert_close(a.targets, b.targets, atol=1e-2, rtol=0)
        assert (a.images.int() - b.images.int()).abs().float().mean() < 3


def test_what_is_refused(faces, tmp_path):
    with pytest.raises(BudgetError, match=r"model size .* exceeds the limit 15000000 of landmarks-68"):
        train(PointWish("r18", "coordinates", "wing", [PointSource(faces)]), track="landmarks-68", **settings(tmp_path))
    with pytest.raises(UserError, match="does not learn by the loss l2"):
        train(PointWish("m025", "coordinates", "l2", [PointSource(faces)]), **settings(tmp_path))
    with pytest.raises(UserError, match="lr = -1"):
        train(wish(faces), **settings(tmp_path, lr=-1.0))
    assert not list(tmp_path.iterdir())
