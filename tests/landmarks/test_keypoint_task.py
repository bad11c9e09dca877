"""The keypoint task in the loop: its loss by hand, what is missing, learning, and stopping."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.formats.keypoint_images import KeypointFaces
from lwface.formats.keypoint_lookup import Lookup
from lwface.formats.keypoint_tables import FOUR, POINTS
from lwface.landmarks.keypoint_choices import NO_AUGMENTATION, KeypointSettings
from lwface.landmarks.keypoint_data import parts_of
from lwface.landmarks.keypoint_models import is_keypoint_model, load_keypoint_model, locations_of, predict_all
from lwface.landmarks.keypoint_task import predict
from lwface.landmarks.keypoint_training import check_new_keypoints, prepare_keypoints, train_keypoints
from lwface.training.checkpoint import read_checkpoint
from lwface.training.loop import Loop

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def faces():
    """A dark square with bright spots, somewhere; two thirds of the rows know four points."""
    random = np.random.default_rng(0)
    shape = random.uniform(-25, 25, (15, 2))
    points = shape + random.uniform(38, 58, (96, 1, 2))
    y, x = np.mgrid[:96, :96]
    images = np.full((96, 96, 96), 20.0)
    for image, places in zip(images, points, strict=True):
        for spot_x, spot_y in places:
            image += 180 * np.exp(-((x - spot_x) ** 2 + (y - spot_y) ** 2) / 8)
    gaps = [number for number, point in enumerate(POINTS) if point not in FOUR]
    points[32:, gaps] = np.nan
    return KeypointFaces(images.clip(0, 255).astype(np.uint8), points)


def settings(folder, **changes):
    usual = {
        "network": "lenet5", "approach": "masked", "models_root": str(folder), "max_steps": 10, "per_batch_size": 8,
        "lr": 0.002, "verbose": 5, "frequent": 5, "augmentation": NO_AUGMENTATION,
    }  # fmt: skip
    return KeypointSettings(**(usual | changes))


def loop_of(faces, folder, **changes):
    chosen = settings(folder, **changes)
    return prepare_keypoints(chosen, parts_of(chosen.approach, faces, held_out=0.2, seed=0)[0], CPU)


def test_the_loss_is_a_mean_over_what_is_known(faces, tmp_path):
    task = loop_of(faces, tmp_path).task
    network = task.network.eval()
    batch = task.data.batch(np.array([0, 40, 60]), 0)
    inputs, targets = task.on_device(batch, 0)
    inputs = inputs + 40 * torch.randn(inputs.shape, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.layers[-1].weight, std=0.05)
    found = network(inputs).detach().double().numpy()
    expected, distances, count = 0.0, np.zeros(3), 0
    for row in range(3):
        own = []
        for point in range(15):
            place = targets[row, 2 * point : 2 * point + 2].double().numpy()
            if np.isnan(place).any():
                continue
            error = found[row, 2 * point : 2 * point + 2] - place
            own.append(math.hypot(*error))
            for one in np.abs(error):
                expected += one**2 / 2 if one < 1 else one - 0.5
                count += 1
        distances[row] = np.mean(own)
    outcome = task.outcome(inputs, targets)
    assert outcome.loss.item() == pytest.approx(expected / count, rel=1e-5)
    assert outcome.sums["pixels"].item() == pytest.approx(distances.sum(), rel=1e-5)


def test_what_is_missing_teaches_nothing(faces, tmp_path):
    task = loop_of(faces, tmp_path).task
    rows = np.flatnonzero(np.isnan(task.part.train.points[:, 2, 0]))[:8]  # rows with four points
    inputs, targets = task.on_device(task.data.batch(rows, 0), 0)
    task.outcome(inputs, targets).loss.backward()
    gradient = task.network.layers[-1].bias.grad.reshape(15, 2)
    four = [POINTS.index(point) for point in FOUR]
    assert (gradient[four] != 0).all()
    others = [number for number in range(15) if number not in four]
    assert (gradient[others] == 0).all()
    nothing = task.outcome(inputs, torch.full_like(targets, math.nan))
    assert nothing.loss.item() == nothing.sums["pixels"].item() == 0
    nothing.loss.backward()  # and no NaN comes of it
    assert all(parameter.grad.isfinite().all() for parameter in task.network.parameters())


def test_it_learns_more_than_the_mean_face(faces, tmp_path, capsys):
    loop = loop_of(faces, tmp_path, max_steps=60, per_batch_size=16, lr=0.003)
    held_out = loop.task.part.held_out
    mean = np.nanmean(loop.task.part.train.points, axis=0)
    guess = math.sqrt(np.nanmean((held_out.points - mean) ** 2))
    assert -loop.task.validate(0).merits[0] == pytest.approx(guess, rel=1e-4)  # it starts there
    for _ in loop.updates():
        pass
    found = -loop.task.validate(loop.step).merits[0]
    assert found < 0.7 * guess
    points = predict(loop.task.network, held_out.images, CPU)
    assert found == pytest.approx(math.sqrt(np.nanmean((held_out.points - points) ** 2)), rel=1e-6)
    assert f"[heldout][60]RMSE: {found:.4f}" in capsys.readouterr().out


def test_stopped_and_resumed_is_the_same_run(faces, tmp_path, monkeypatch, capfd):
    one, other = tmp_path / "one", tmp_path / "other"
    changes = {"augmentation": KeypointSettings().augmentation, "approach": "two-models"}
    whole, broken = settings(one, **changes), settings(other, **changes)
    assert train_keypoints(whole, faces, "DATA", device="cpu") == 0
    said = capfd.readouterr().out
    assert "15 points: learning from" in said
    assert "4 points: learning from" in said
    assert "--four-model" in said.splitlines()[-1]
    original, stop = Loop.training_step, {"at": 7}

    def stopping(self, batch, rate):
        if self.step == stop["at"]:
            stop["at"] = -1
            signal.raise_signal(signal.SIGTERM)
        return original(self, batch, rate)

    monkeypatch.setattr(Loop, "training_step", stopping)
    assert train_keypoints(broken, faces, "DATA", device="cpu") == 143
    with pytest.raises(UserError, match="there is a run: add --resume"):
        check_new_keypoints(broken, resume=False)
    assert train_keypoints(broken, faces, "DATA", device="cpu", resume=True) == 0
    for part in ("", "four"):
        a, b = (read_checkpoint(run.folder / part / "last.ckpt")["modules"]["network"] for run in (whole, broken))
        assert all(torch.equal(a[name], b[name]) for name in b)
    again = settings(one, **changes | {"lr": 0.1})
    with pytest.raises(UserError, match="the run was started with lr"):
        train_keypoints(again, faces, "DATA", device="cpu", resume=True)
    check_models(whole, faces)


def check_models(run, faces):
    """What two saved models put, together."""
    names = [f"{run.folder / part / 'model'},1" for part in ("", "four")]
    assert all(map(is_keypoint_model, names))
    fifteen, four = map(load_keypoint_model, names)
    assert (fifteen.points, four.points) == (POINTS, FOUR)
    both = predict_all([fifteen, four], faces.images, CPU)
    columns = [POINTS.index(point) for point in FOUR]
    np.testing.assert_array_equal(both[:, columns], predict(four, faces.images, CPU))
    np.testing.assert_array_equal(both[:, 2], predict(fifteen, faces.images, CPU)[:, 2])
    ids = np.arange(len(faces.images))[::-1] + 10
    lookup = Lookup(np.array([1, 2]), np.array([10, 105]), np.array([5, 28]), np.full(2, np.nan))
    np.testing.assert_array_equal(locations_of(lookup, ids, both), [both[-1, 2, 1], both[0, 14, 0]])
    with pytest.raises(
        UserError, match="RowId 1 asks for left_eye_inner_corner_y of image 10, which the model does not"
    ):
        locations_of(lookup, ids, predict_all([four], faces.images, CPU))
    with pytest.raises(UserError, match="RowId 2 asks for image 106, which the test images lack"):
        locations_of(lookup._replace(images=np.array([10, 106])), ids, both)
    log = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    assert {"rmse", "verification"} <= log[-1].keys()


def test_models_that_are_none(tmp_path):
    (tmp_path / "a-0001.safetensors").write_bytes(b"nonsense")
    assert not is_keypoint_model(str(tmp_path / "a,1"))
    with pytest.raises(UserError, match="damaged or not a model"):
        load_keypoint_model(str(tmp_path / "a,1"))
    with pytest.raises(UserError, match="no such model"):
        load_keypoint_model(str(tmp_path / "b,1"))


def test_settings_that_shape_a_run_are_kept(faces, tmp_path):
    loop = loop_of(faces, tmp_path)
    kept = loop.run.as_dict()
    assert kept["keypoints"] == list(POINTS)
    assert kept["augmentation"] == vars(NO_AUGMENTATION)
    assert replace(settings(tmp_path), dataset="x").folder == tmp_path / "lenet5-masked-x"
