"""Which model is saved, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.image import encode_jpeg
from lwface.formats.verification_pack import read_pack, write_pack
from lwface.recognition.verifier import BestModel, Verifier
from lwface.scoring.pack_accuracy import verify


def replay(mode, results):
    """The original's callback, as a table of what it did: the numbers it saved under and the accuracy it showed."""
    best_total, best_last, saved, shown = 0.0, 0.0, [], []
    for count, accuracies in enumerate(results, start=1):
        highest = False
        if accuracies[-1] >= best_last:
            if accuracies[-1] > best_last:
                highest = True
            elif sum(accuracies) >= best_total:
                highest, best_total = True, sum(accuracies)
            best_last = accuracies[-1]
        save = {0: False, 1: highest, 2: True, 3: highest}[mode]
        saved.append((1 if mode == 3 else count) if save else None)
        shown.append(best_last)
    return saved, shown


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_ckpt_modes_are_the_originals(mode):
    random = np.random.default_rng(mode)
    for _ in range(50):
        results = random.choice([0.5, 0.6, 0.7], size=(20, 3)).tolist()  # few values: many ties
        best, saved, shown = BestModel(), [], []
        for accuracies in results:
            saved.append(best.number_to_save(mode, accuracies))
            shown.append(best.highest)
            other = BestModel()
            other.restore(best.state())
            best = other  # as after a resume
        assert (saved, shown) == replay(mode, results)


def test_by_hand():
    best = BestModel()
    assert [best.number_to_save(1, a) for a in ([0.9, 0.5], [0.9, 0.4], [0.8, 0.5], [0.9, 0.5], [0.1, 0.6])] == [
        1,
        None,
        3,  # a tie, and the first sum that is noted
        4,
        5,
    ]
    assert [BestModel().number_to_save(mode, []) for mode in range(4)] == [None, 1, 1, 1]


class Pixels(nn.Module):
    embedding_size = 12

    def forward(self, images):
        return images.float()[:, :, :2, :2].flatten(1)


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    images = [
        encode_jpeg(np.kron(random.integers(0, 256, (7, 7, 3)), np.ones((16, 16, 1))).astype(np.uint8))
        for _ in range(24)
    ]
    write_pack(tmp_path / "lfw.bin", images, [i % 2 == 0 for i in range(12)])
    return tmp_path


def test_lines_and_scores(folder, capfd):
    verifier = Verifier(folder, ["lfw", "cfp_fp"], (112, 112))
    out = capfd.readouterr().out
    assert out.startswith("ver lfw\n")
    assert "cfp_fp.bin: not verified on cfp_fp" in out
    network = Pixels().train()
    (score,) = verifier.score(network, torch.device("cpu"), 5, 2000)
    assert network.training
    pack = read_pack(folder / "lfw.bin")
    plain, mirrored = Embedder(network, device=torch.device("cpu"), batch_size=5).embed_both(pack.decode((112, 112)))
    assert tuple(score[1:]) == tuple(verify(plain, mirrored, pack.issame))
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "testing verification.."
    assert lines[-2] == f"[lfw][2000]XNorm: {score.xnorm:.6f}"
    assert lines[-1] == f"[lfw][2000]Accuracy-Flip: {score.accuracy:.5f}+-{score.std:.5f}"


def test_a_pack_that_cannot_be_used_stops_at_the_start(folder):
    images = read_pack(folder / "lfw.bin").images
    write_pack(folder / "few.bin", images[:6], [True] * 3)
    with pytest.raises(UserError, match=r"few\.bin: 3 pairs cannot be cut into 10 folds"):
        Verifier(folder, ["few"], (112, 112))
    write_pack(folder / "bad.bin", [b"junk", *images[1:]], [True] * 12)
    with pytest.raises(UserError, match="image 0"):
        Verifier(folder, ["bad"], (112, 112))
