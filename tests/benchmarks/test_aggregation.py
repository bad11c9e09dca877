"""How the benchmark spoils videos, and its table on videos where the answer is known."""

import re
import sys

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import aggregation as benchmark
from lwface.features.aggregation import MEAN
from lwface.formats.image import encode_jpeg
from lwface.scoring.parameters import parse_fars

FRAMES = np.array([3, 4, 1, 6])
PEOPLE = np.array([0, 0, 1, 2])


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(14, 3)).astype(np.float32)


def test_half_of_the_frames_of_each_video_are_replaced(features):
    draw = benchmark.half_replaced(features, -features, FRAMES)
    found, frames = draw(np.random.default_rng(0))
    np.testing.assert_array_equal(frames, FRAMES)
    changed = (found == -features).all(axis=1)
    np.testing.assert_array_equal(found[~changed], features[~changed])
    assert np.add.reduceat(changed, [0, 3, 7, 8]).tolist() == [1, 2, 0, 3]
    other = draw(np.random.default_rng(1))[0]
    assert (other != found).any()
    np.testing.assert_array_equal(draw(np.random.default_rng(0))[0], found)


def test_mixed_videos_hold_frames_of_one_other_person(features):
    owner = np.repeat(PEOPLE, FRAMES)
    for seed in range(20):
        found, frames = benchmark.mixed(features, FRAMES, PEOPLE)(np.random.default_rng(seed))
        people = [int(owner[(features == row).all(axis=1)][0]) for row in found]
        starts = np.cumsum(frames) - frames
        for video, (start, count) in enumerate(zip(starts, frames, strict=True)):
            own, added = people[start : start + FRAMES[video]], people[start + FRAMES[video] : start + count]
            assert set(own) == {PEOPLE[video]}
            assert PEOPLE[video] not in added
            assert len(set(added)) <= 1
            assert len(added) <= FRAMES[video] // 2
        assert frames[0] == 4 or people[3] == 1  # of video 0 one is added


def test_the_mean_tar_is_that_of_all_pairs():
    generator = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 3)
    frames = np.full(60, 2)
    centres = np.repeat(generator.normal(size=(20, 4)), 6, axis=0)
    features = centres + generator.normal(size=centres.shape)

    def draw(drawn):
        return features + drawn.normal(size=features.shape), frames

    expected = []
    for seed in range(3):
        noisy = draw(np.random.default_rng(seed))[0]
        units = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
        rows = units[::2] + units[1::2]
        rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32).astype(float)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        pairs = np.triu_indices(60, 1)
        scores, same = (rows @ rows.T)[pairs], (people[:, None] == people)[pairs]
        impostors = np.sort(scores[~same])[::-1]
        expected.append((scores[same] > impostors[int(0.1 * len(impostors))]).mean())
    found = benchmark.mean_tars(draw, 3, {"mean": MEAN}, people, parse_fars("0.1,1e-9"))
    assert found["mean"][0] == pytest.approx(np.mean(expected), abs=1e-12)
    assert np.isnan(found["mean"][1])


def test_the_threshold_table():
    features = np.array([[1.0, 0], [0.8, 0.6], [0.0, 1], [0.3, 1]])
    table = benchmark.threshold_table(features, np.array([2, 2]), np.array([0, 1]))
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()[1:]}
    assert rows["0.50"] == ["0.0000%", "50.0000%"]  # cosines of the two with those of the other: 0, 0.29, 0.6, 0.8
    assert rows["0.25"] == ["0.0000%", "75.0000%"]


class Tiny(nn.Module):
    embedding_size = 48

    def forward(self, images):
        return nn.functional.adaptive_avg_pool2d(images.float() / 128 - 1, 4).flatten(1)


def test_the_command(tmp_path, monkeypatch, capsys):
    names = [f"{person}_{video}" for person in range(6) for video in range(2)]
    for row, name in enumerate(names):
        (tmp_path / name).mkdir()
        for frame in range(4):
            coarse = np.random.default_rng(row // 2).integers(0, 256, (4, 4, 3))
            image = np.kron(coarse, np.ones((28, 28, 1))) * (0.8 + 0.05 * frame)
            (tmp_path / name / f"{frame}.jpg").write_bytes(encode_jpeg(image.astype(np.uint8)))
    (tmp_path / "filelist.txt").write_text("".join(f"{name}\n" for name in names))
    (tmp_path / "labels.txt").write_text("".join(f"{row // 2}\n" for row in range(12)))
    monkeypatch.setattr(benchmark, "load_model", lambda text, layer: (Tiny(), {}))
    flags = ["--model", "m,1", "--input", str(tmp_path), "--draws", "2", "--far", "0.1", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["aggregation.py", *flags])
    torch.manual_seed(0)
    benchmark.main()
    out = capsys.readouterr().out
    assert out.startswith("12 videos of 6 people, 48 frames")
    found = re.findall(r"^(as they are|mixed with another) +(\w+) +([\d.]+)", out, re.MULTILINE)
    tars = {(title, name): float(tar) for title, name, tar in found}
    assert {name for _, name in tars} == {"mean", "norm", "cluster"}
    assert tars["as they are", "mean"] == tars["mixed with another", "cluster"] == 1
