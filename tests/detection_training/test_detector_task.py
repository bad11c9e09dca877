"""The detector task in the loop: scenes that nothing but the step decides, learning, stopping and continuing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lwface.base.errors import UserError
from lwface.detection_training.options import DetectorSettings
from lwface.detection_training.scenes import SceneDataset, split_bank
from lwface.detection_training.targets import FACE, UNCLEAR
from lwface.detection_training.train import train_detector
from lwface.synthetic.head_bank import HeadBank

STEPS = 4
SIDES = DetectorSettings(side=160).sides


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(folder: Path, **changes: object) -> DetectorSettings:
    usual = DetectorSettings(
        models_root=str(folder), max_steps=STEPS, per_batch_size=2, verbose=4, frequent=2, checkpoint_steps=2,
        num_workers=0, precision="float32", held_out=0.25, judged=2, side=64,
    )  # fmt: skip
    return dataclasses.replace(usual, **changes)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(max((folder / "face_detector").glob("model-*.safetensors")))


def test_scenes_depend_on_seed_step_and_place_alone(bank: HeadBank) -> None:
    learnt, held = split_bank(bank, 0.25)
    assert held.tolist() == [3]
    positions = np.array([2, 0, 1, 1])
    data = SceneDataset(bank, learnt, 5, SIDES)
    assert len(data) == 3
    assert len(data.backs) == 3
    whole = data.batch(positions, 7)
    again = SceneDataset(bank, learnt, 5, SIDES)
    again.batch(positions, 3)
    parts = [again.batch(positions[2:], 7, 2), again.batch(positions[:2], 7, 0)]
    assert torch.equal(torch.cat((parts[1].images, parts[0].images)), whole.images)
    assert torch.equal(torch.cat((parts[1].targets, parts[0].targets)), whole.targets)
    assert whole.images.shape[1:] == (SIDES[3], SIDES[3], 3)
    assert not torch.equal(SceneDataset(bank, learnt, 6, SIDES).batch(positions, 7).images, whole.images)
    rows = data.batch(np.arange(12) % 3, 11).targets
    clear = rows[rows[..., 0] == FACE]
    assert len(clear)
    for row in clear:  # the five points are in the box of the 68
        assert (row[5:].view(5, 2) >= row[1:3] - 1).all()
        assert (row[5:].view(5, 2) <= row[3:5] + 1).all()
    assert set(rows[..., 0].unique().tolist()) <= {0, FACE, UNCLEAR}


def test_a_stopped_run_goes_on_to_the_same_weights(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lwface.detection_training.scenes.JUDGED_SIDE", 64)
    assert train_detector(settings(tmp_path / "whole"), heads) == 0
    original = SceneDataset.batch

    def dying(self: SceneDataset, positions: np.ndarray, step: int, first: int = 0) -> object:
        if step == 3:
            raise UserError("the power is gone")
        return original(self, positions, step, first)

    with monkeypatch.context() as patch:
        patch.setattr(SceneDataset, "batch", dying)
        with pytest.raises(UserError, match="the power is gone"):
            train_detector(settings(tmp_path / "parts"), heads)
    with pytest.raises(UserError, match="add --resume"):
        train_detector(settings(tmp_path / "parts"), heads)
    assert train_detector(settings(tmp_path / "parts"), heads, resume=True) == 0
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert set(one) == set(other)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_bank_without_people_to_judge_is_told(bank: HeadBank) -> None:
    for share in (0.01, 0.99):
        with pytest.raises(UserError, match="expected some on both sides"):
            split_bank(bank, share)
