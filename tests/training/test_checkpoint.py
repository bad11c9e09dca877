"""The resume state: what goes in comes out, a save cut short leaves the one before, and nothing in it is run."""

from __future__ import annotations

import json
import os
import pickle
import threading

import pytest
import torch
from torch.distributed import checkpoint as torch_checkpoint

from lwface.base.errors import UserError
from lwface.training import checkpoint as module
from lwface.training.checkpoint import Checkpoints, SavedRun, check_same_run, read_checkpoint

FACTS = {"config": {}, "best": {"highest": -float("inf"), "sum": 0.1 + 0.2}, "chance": float("nan")}


def write(path, step, **tensors):
    checkpoints = Checkpoints(path)
    checkpoints.save(
        step, {f"modules/network/{name}": value for name, value in tensors.items()}, FACTS | {"step": step}
    )
    checkpoints.wait()


def test_tensors_and_facts_survive(tmp_path):
    weight = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    kept = {
        "w": weight,
        "steps": torch.tensor(3),
        "none": torch.empty(0, 3),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    write(tmp_path / "last.ckpt", 7, **kept)
    found = read_checkpoint(tmp_path / "last.ckpt")
    assert found["modules"]["network"].keys() == kept.keys()
    for name, tensor in kept.items():
        assert found["modules"]["network"][name].dtype == tensor.dtype
        assert torch.equal(found["modules"]["network"][name], tensor)
    assert found["best"] == FACTS["best"]
    assert found["chance"] != found["chance"]
    assert found["step"] == 7


def test_what_was_saved_is_what_was_there_then_and_a_second_save_waits(tmp_path, monkeypatch):
    """The file is written while the weights already change."""
    path, weight, go = tmp_path / "last.ckpt", torch.zeros(3), threading.Event()
    original = module._write

    def later(*arguments):
        go.wait()
        original(*arguments)

    monkeypatch.setattr(module, "_write", later)
    checkpoints = Checkpoints(path)
    checkpoints.save(1, {"modules/network/w": weight}, FACTS)
    weight.fill_(5)
    checkpoints.check()  # not done, nothing went wrong
    assert not path.exists()
    go.set()
    checkpoints.save(2, {"modules/network/v": weight}, FACTS)  # waits for the first
    checkpoints.wait()
    assert read_checkpoint(path)["modules"]["network"]["v"].tolist() == [5, 5, 5]
    assert sorted(os.listdir(tmp_path)) == ["last.ckpt", "last.ckpt.00000002"]


@pytest.mark.parametrize("moment", ["tensors", "list", "rename"])
def test_a_save_cut_short_leaves_the_one_before(tmp_path, monkeypatch, moment):
    path = tmp_path / "last.ckpt"
    write(path, 1, w=torch.ones(3))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    place = {"tensors": (torch_checkpoint, "save"), "list": (module, "write_text"), "rename": (os, "replace")}[moment]
    with monkeypatch.context() as patch:
        patch.setattr(*place, full)
        with pytest.raises(OSError, match="No space"):
            write(path, 2, w=torch.zeros(3))
    assert read_checkpoint(path)["modules"]["network"]["w"].tolist() == [1, 1, 1]
    write(path, 2, w=torch.zeros(3))  # over what that left
    assert read_checkpoint(path)["modules"]["network"]["w"].tolist() == [0, 0, 0]
    assert sorted(os.listdir(tmp_path)) == ["last.ckpt", "last.ckpt.00000002"]


def test_an_error_of_the_disk_is_the_disks_own(tmp_path):
    """PyTorch puts it into an exception that is no Exception, with a traceback as its text."""
    path = tmp_path / "last.ckpt"
    write(path, 1, w=torch.ones(3))
    (tmp_path / "last.ckpt.00000002").write_text("a file where the folder would be")
    with pytest.raises(OSError, match=r"last\.ckpt\.00000002"):
        write(path, 2, w=torch.zeros(3))
    assert read_checkpoint(path)["step"] == 1


def damaged(path, how):
    facts = json.loads(path.read_text())
    (part,) = (path.parent / facts["folder"]).iterdir()
    if how == "shorter":
        os.truncate(part, part.stat().st_size - 1)
    elif how == "lost":
        part.unlink()
    elif how == "header":
        part.write_bytes(b"\xff" * part.stat().st_size)
    elif how == "elsewhere":
        path.write_text(json.dumps(facts | {"folder": "../elsewhere"}))
    else:
        path.write_bytes({"empty": b"", "text": b"text", "list": b"{}", "pickle": pickle.dumps({"format": 2})}[how])


@pytest.mark.parametrize("how", ["shorter", "lost", "header", "elsewhere", "empty", "text", "list", "pickle"])
def test_damaged_and_foreign_files(tmp_path, how):
    path = tmp_path / "last.ckpt"
    write(path, 1, w=torch.ones(300))
    damaged(path, how)
    with pytest.raises(UserError, match=r"last\.ckpt: (damaged|not a checkpoint).*delete it to start afresh") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_part_that_no_file_has_is_missed(tmp_path):
    """PyTorch's reader fills what is there and says nothing of the rest."""
    path = tmp_path / "last.ckpt"
    write(path, 1, w=torch.ones(4))
    facts = json.loads(path.read_text())
    (part,) = (tmp_path / facts["folder"]).iterdir()
    data = part.read_bytes()
    part.write_bytes(data.replace(b'saved_offsets\\": [0]', b'saved_offsets\\": [8]'))
    assert part.read_bytes() != data
    with pytest.raises(UserError, match="a part of modules/network/w is missing"):
        SavedRun(path).tensors()


class Hostile:
    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    hostile = Hostile()
    hostile.path = str(tmp_path / "ran")
    torch.save({"format": 2, "step": hostile}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        read_checkpoint(tmp_path / "last.ckpt")
    (tmp_path / "last.ckpt").unlink()
    write(tmp_path / "last.ckpt", 1, w=torch.ones(4))
    folder = tmp_path / "last.ckpt.00000001"
    (folder / ".metadata").write_bytes(pickle.dumps(hostile))  # where PyTorch's usual reader would unpickle it
    read_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "ran").exists()


def test_which_changes_are_refused(tmp_path):
    saved = {"lr": 0.1, "verbose": 5, "max_steps": 7, "net_name": "a", "ema": 0.0}
    check_same_run(tmp_path, saved, {"lr": 0.1, "verbose": 6, "max_steps": 9, "net_name": "a", "ema": 0.0})
    older = {key: value for key, value in saved.items() if key != "ema"}  # from before there were averages
    check_same_run(tmp_path, older, saved)
    for change in ({"ema": 0.5}, {"lr": 0.2}, {"net_name": "b"}, {"new": 1}):
        with pytest.raises(UserError, match=next(iter(change))):
            check_same_run(tmp_path, saved, saved | change)
