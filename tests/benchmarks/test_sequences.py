"""The table of the faceless challenge: its naive rows are those of the command, its groups those of the set."""

import csv
import sys

import numpy as np
import pytest
import sequences_faces
import torch

import sequences
from lwface.commands import make_people
from lwface.formats.sequence_pickles import read_pose, read_signatures, write_signatures
from lwface.formats.sequence_submission import SequenceTruth
from lwface.models.store import save_model
from lwface.sequences.clip_options import PARTS, SEQUENCE_KEY
from lwface.sequences.naive import solve_split
from lwface.sequences.network import SequenceNetwork
from lwface.sequences.scoring import score_guesses


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    flags = ["--people", "7", "--videos", "4", "--sequences", "1", "--frames", "2", "--num-workers", "0"]
    for face in ("shown", "masked"):
        make_people.main(["--output", str(root / face), "--face", face, *flags])
        paths = read_pose(root / face / "pose.pkl").paths
        write_signatures(root / face / "signatures.pkl", paths, np.random.default_rng(0).normal(size=(len(paths), 5)))
    torch.manual_seed(0)
    config = {SEQUENCE_KEY: list(PARTS), "net_name": "parts_s", "emb_size": 4}
    save_model(str(root / "model"), 1, SequenceNetwork("parts_s", 4), config)
    return [str(root / "shown"), str(root / "masked"), f"{root / 'model'},1"]


def test_the_table(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sequences.py", "--run", *run, "--run", *run, "--steps"])
    sequences.main()
    told = capsys.readouterr().out
    first, second = told.strip().split("\n\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines()[2:]]
    assert [row[:3] for row in rows[::3]] == [
        [face, clothes, "naive"] for face in ("shown", "masked") for clothes in ("same", "changed")
    ]
    solution = solve_split(read_signatures(f"{run[0]}/signatures.pkl"))
    with open(f"{run[0]}/outings.csv", newline="") as file:
        clothes = {row["video"]: row["clothes"] for row in csv.DictReader(file)}
    mask = np.array([clothes[name] == "same" for name in solution.samples])
    truth = solution.truth
    some = SequenceTruth(
        [name for name, chosen in zip(truth.samples, mask, strict=True) if chosen],
        truth.indices[mask],
        [name for name, chosen in zip(truth.people, mask, strict=True) if chosen],
    )
    expected = score_guesses(solution.guesses[mask], some)
    for cell, name, times in zip(rows[0][3:6], ("top1", "top5", "score"), (100, 100, 1), strict=True):
        assert cell.split()[0] == f"{times * expected[name]['value']:.1f}"
    gone = (float(rows[1][5].split()[0]) - float(rows[0][5].split()[0])) / (100 - float(rows[0][5].split()[0]))
    assert abs(float(rows[1][7].split()[0]) - 100 * gone) < 0.7
    assert "all but the parts" in second


def test_faces_in_the_challenges_form(tmp_path):
    landmarks = np.stack(np.meshgrid(np.linspace(20, 80, 17), np.linspace(10, 90, 4)), axis=2).reshape(68, 2)
    pose = sequences_faces.pose_of(landmarks, 100, 100)
    assert pose[0] == pytest.approx(landmarks[30] / 100)
    assert pose[2] == pytest.approx(landmarks[36:42].mean(axis=0) / 100)  # the right eye is at the picture's left
    assert (pose[5:] == 0.5).all()
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.full((100, 100, 3), 255, np.uint8))
    from lwface.formats.image import decode_rgb

    data, _ = sequences_faces.frame_of(tmp_path / "a.png", landmarks, masked=True)
    image = decode_rgb(data)
    assert image.shape == (64, 64, 3)
    assert abs(int(image[32, 32, 0]) - 127) < 4
    assert image[2, 32, 0] > 250
