"""The table of losses: the peer's rate is that of its scheduler, its batches are its loader's, a row for each loss."""

from __future__ import annotations

import argparse
from itertools import islice

import loss_table
import numpy as np
import pytest
import torch

from lwface.formats.image import encode_jpeg
from lwface.formats.recordio import Header, RecordWriter, pack

BASE = argparse.Namespace(output=None, network="m025", steps=20, lr=0.1, precision="float32", loss_s=0.0, clip_norm=0.0)


@pytest.fixture
def asked(tmp_path):
    """Arguments for a set of 150 images, each of one grey that is its label."""
    with RecordWriter(tmp_path / "train.rec") as writer:
        for key in range(150):
            image = np.full((112, 112, 3), 80, np.uint8)
            image[:, :56] = key  # the left half tells who it is, and whether it was mirrored
            writer.write(key, pack(Header(0, float(key), key, 0), encode_jpeg(image)))
    (tmp_path / "property").write_text("150,112,112", encoding="ascii")
    return argparse.Namespace(**{**vars(BASE), "dataset": str(tmp_path), "output": tmp_path, "margin_warmup_steps": 0})


def recursive_rates(base, warmup, total):
    """As arcface_torch's scheduler steps: each rate from the one before it."""
    rates = [base]
    for step in range(1, total):
        if step <= warmup:
            rates.append(base * step / warmup)
        else:
            rates.append(
                rates[-1] * (1 - (step - warmup) / (total - warmup)) / (1 - (step - 1 - warmup) / (total - warmup))
            )
    return rates


def test_the_peers_rate(asked):
    run = loss_table.run_of("arcface", 0, asked)
    found = [loss_table.their_rate(run, step) for step in range(run.max_steps)]
    np.testing.assert_allclose(found, recursive_rates(0.1, 2, 20), rtol=1e-12)


def test_the_peers_batches(asked):
    run = loss_table.run_of("arcface", 3, asked)
    seen, mirrored = [], 0
    for pixels, labels in islice(loss_table.batches(run), 4):
        assert pixels.shape == (64, 3, 112, 112)
        left, right = pixels[:, 0, 5, 5], pixels[:, 0, 5, -5]
        turned = (right - labels).abs() < (left - labels).abs()
        mirrored += int(turned.sum())
        np.testing.assert_allclose(torch.where(turned, right, left), labels, atol=3)
        seen.append(labels.tolist())
    assert len({*seen[0], *seen[1]}) == len({*seen[2], *seen[3]}) == 128  # no image twice in an epoch
    assert seen[0] != seen[2]
    assert 90 < mirrored < 166  # of 256: 128, and five deviations


def test_a_scale_for_those_that_have_one(asked):
    asked.loss_s = 16.0
    assert loss_table.run_of("arcface", 0, asked).as_dict()["loss_s"] == 16.0
    assert "loss_s" not in loss_table.run_of("triplet", 0, asked).as_dict()
    assert loss_table.run_of("triplet", 0, asked).per_batch_size == 60


def test_a_row_for_each_loss(held_out, features):
    good, bad = (held_out.scores([features(seed, spread) for seed in range(2)]) for spread in (0.1, 1.0))
    lines = loss_table.table({"arcface": bad, "triplet": good}).splitlines()
    assert len(lines) == 4
    assert all(line.count("|") == 6 for line in lines)
    assert lines[2].endswith("|  |  |")
    assert lines[3].count("**") == 2  # at FAR 1e-2 alone: too few pairs for 1e-3
