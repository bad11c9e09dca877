"""The trained road of the faceless challenge as it is typed: make people, train, go on, solve; and typed wrong."""

import json
import shutil

import pytest
import torch

from lwface.base.errors import UserError
from lwface.commands import make_people, solve_sequences, train_sequences
from lwface.formats.sequence_pickles import read_pose, write_signatures
from lwface.models.sources import read_safetensors


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people") / "people"
    flags = ["--people", "4", "--videos", "4", "--sequences", "1", "--frames", "2", "--num-workers", "0"]
    make_people.main(["--output", str(folder), *flags])
    return folder


def train(people, root, *more):
    flags = [
        "--max-steps",
        "6",
        "--per-batch-size",
        "4",
        "--frames",
        "2",
        "--emb-size",
        "8",
        "--verbose",
        "3",
        "--device",
        "cpu",
    ]
    files = ["--input", str(people / "images.tar"), "--pose", str(people / "pose.pkl")]
    return train_sequences.main([*files, *flags, "--device", "cpu", "--models-root", str(root), *more])


@pytest.fixture(scope="module")
def model(people, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    assert train(people, root) == 0
    return root / "parts_s-people" / "model,1"


def solve(*typed):
    solve_sequences.main([str(one) for one in typed])


def test_a_run_that_is_stopped_ends_as_if_it_had_not_been(people, model, tmp_path, monkeypatch):
    """The stop comes at the first save; the model is the same to the bit."""
    from lwface.sequences.clip_task import ClipTask

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ClipTask, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        train(people, tmp_path, "--checkpoint-steps", "2")
    monkeypatch.undo()
    with pytest.raises(UserError, match="there is a run: add --resume"):
        train(people, tmp_path)
    assert train(people, tmp_path, "--resume", "--checkpoint-steps", "2") == 0
    files = [folder / "model-0001.safetensors" for folder in (model.parent, tmp_path / "parts_s-people")]
    (first, config), (second, _) = (read_safetensors(path) for path in files)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert config["sequence_parts"] == ["head", "trunk", "legs", "whole", "pose"]


def test_solved(people, model, tmp_path, capsys):
    tar, pose = people / "images.tar", people / "pose.pkl"
    solve("--model", model, "--input", tar, "--pose", pose, "--output", tmp_path / "s", "--device", "cpu")
    told = capsys.readouterr().out
    assert "guesses for 8 samples among 4 people" in told
    guesses = json.loads((tmp_path / "s" / "submission.json").read_text())
    assert all(sorted(row) == [0, 1, 2, 3] for row in guesses)
    paths = read_pose(pose).paths
    signs = torch.randn(len(paths), 6, generator=torch.Generator().manual_seed(0)).numpy()
    write_signatures(tmp_path / "s.pkl", paths, signs)
    files = ("--model", model, "--input", tar, "--pose", pose, "--device", "cpu")
    solve(*files, "--signatures", tmp_path / "s.pkl", "--output", tmp_path / "fused")
    without = "signatures,quality,share,within,nearest,rerank"
    solve(*files, "--signatures", tmp_path / "s.pkl", "--without", without, "--output", tmp_path / "less")
    assert (tmp_path / "less" / "truth.csv").read_bytes() == (tmp_path / "fused" / "truth.csv").read_bytes()
    with pytest.raises(UserError, match="one video"):
        solve(*files, "--test", tar, "--output", tmp_path / "leak")


def test_evaluation_without_names(people, model, tmp_path, capsys):
    from lwface.sequences.images import Images

    with Images(people / "images.tar") as images:
        for path in images.paths[-4:]:
            target = tmp_path / "eval" / path.split("/", 2)[2].replace("seq_0000", f"seq_{path[12:23][-4:]}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(images.read(path)[:-2] + b"\0\xff\xd9")  # other bytes, the same picture
    tar, pose = people / "images.tar", people / "pose.pkl"
    solve(
        *("--model", model, "--input", tar, "--pose", pose, "--test", tmp_path / "eval"),
        *("--output", tmp_path / "s", "--device", "cpu"),
    )
    told = capsys.readouterr()
    assert "guesses for 2 samples among 4 people" in told.out
    assert "no pose of 4 of 4 frames" in told.err
    assert not (tmp_path / "s" / "truth.csv").exists()


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["--output", "o"], "give --model MODEL, or --naive"),
        (["--naive", "--model", "m,1", "--output", "o"], "give --model MODEL, or --naive"),
        (["--model", "m,1", "--output", "o"], "--model: give --input too"),
        (["--naive", "--output", "o"], "--naive: give --signatures too"),
        (["--naive", "--signatures", "s", "--pose", "p", "--output", "o"], "--pose goes with --model"),
        (["--model", "m,1", "--input", "i", "--test-pose", "p", "--output", "o"], "are of --test: give it"),
        (["--model", "m,1", "--input", "i", "--without", "hed", "--output", "o"], "hed.*head"),
        (["--model", "m,1", "--input", "i", "--ratio", "1", "--output", "o"], "--ratio 1"),
        (
            ["--model", "m,1", "--input", "i", "--test", "t", "--signatures", "s", "--output", "o"],
            "give both, or none",
        ),
    ],
)
def test_solve_typed_wrong(typed, says):
    with pytest.raises(UserError, match=says):
        solve_sequences.parse_arguments(typed)


def test_typed_wrong(people, model, tmp_path):
    tar, pose = people / "images.tar", people / "pose.pkl"
    for flags, says in (
        (["--ratio", "2"], "--ratio 2: expected a share"),
        (["--frames", "0"], "--frames 0: expected 1 or more"),
        (["--lr", "-1"], "--lr -1"),
    ):
        with pytest.raises(UserError, match=says):
            train_sequences.parse_arguments(["--input", str(tar), *flags])
    shutil.copy(model.parent / "model-0001.safetensors", tmp_path / "cut.safetensors")
    data = (tmp_path / "cut.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    common = ("--input", tar, "--pose", pose, "--output", tmp_path / "o")
    with pytest.raises(UserError, match=r"cut\.safetensors: damaged"):
        solve("--model", tmp_path / "cut.safetensors", *common)
    other = tmp_path / "pose.pkl"
    shutil.copy(pose, other)
    from lwface.formats.sequence_pickles import write_pose

    found = read_pose(pose)
    write_pose(other, [f"a/{path}" for path in found.paths], found.keypoints, found.scores)
    with pytest.raises(UserError, match="a pose of no frame that is asked for"):
        train(people, tmp_path, "--pose", str(other))
    assert not (tmp_path / "o").exists()
