"""The resume state: what goes in comes out, and nothing in it is run."""

from __future__ import annotations

import os
import pickle
import random

import numpy as np
import pytest
import torch

from lwface.base.errors import UserError
from lwface.training.checkpoint import (
    check_same_run,
    random_states,
    read_checkpoint,
    restore_random_states,
    write_checkpoint,
)


def draw():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.normal(), torch.rand(3).tolist()  # noqa: NPY002


def test_random_states_survive_the_file(tmp_path):
    draw()  # gauss keeps a second value for the next call: that must survive too
    write_checkpoint(tmp_path / "c", {"random": random_states()})
    expected = draw()
    draw()
    restore_random_states(read_checkpoint(tmp_path / "c")["random"])
    assert draw() == expected


def test_tensors_and_layout_survive(tmp_path):
    weight = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    write_checkpoint(tmp_path / "c", {"w": weight, "nested": {"list": [1, (2.5, None)], "key": "text", 7: True}})
    found = read_checkpoint(tmp_path / "c")
    assert torch.equal(found["w"], weight)
    assert found["nested"] == {"list": [1, (2.5, None)], "key": "text", 7: True}


def test_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, {"step": 1})
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"text", pickle.dumps({"format": 2}, protocol=2)):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"last\.ckpt: (damaged|not a checkpoint)"):
            read_checkpoint(path)
    torch.save({"step": 1}, path)
    with pytest.raises(UserError, match="not a checkpoint of format 2"):
        read_checkpoint(path)


class Hostile:
    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    hostile = Hostile()
    hostile.path = str(tmp_path / "ran")
    torch.save({"format": 2, "step": hostile}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        read_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "ran").exists()


def test_interrupted_write_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, {"step": 1})

    def half(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(path, {"step": 2})
    assert read_checkpoint(path)["step"] == 1
    assert os.listdir(tmp_path) == ["last.ckpt"]


def test_which_changes_are_refused(tmp_path):
    saved = {"lr": 0.1, "verbose": 5, "max_steps": 7, "net_name": "a", "ema": 0.0}
    check_same_run(tmp_path, saved, {"lr": 0.1, "verbose": 6, "max_steps": 9, "net_name": "a", "ema": 0.0})
    older = {key: value for key, value in saved.items() if key != "ema"}  # from before there were averages
    check_same_run(tmp_path, older, saved)
    for change in ({"ema": 0.5}, {"lr": 0.2}, {"net_name": "b"}, {"new": 1}):
        with pytest.raises(UserError, match=next(iter(change))):
            check_same_run(tmp_path, saved, saved | change)
