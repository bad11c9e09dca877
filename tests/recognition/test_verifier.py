"""What a verification says, and packs that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.image import encode_jpeg
from lwface.formats.verification_pack import read_pack, write_pack
from lwface.recognition.verifier import Verifier
from lwface.scoring.pack_accuracy import verify


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
    assert tuple(score.figures.values()) == tuple(verify(plain, mirrored, pack.issame))
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "testing verification.."
    assert lines[-2] == f"[lfw][2000]XNorm: {score.figures['xnorm']:.6f}"
    assert lines[-1] == f"[lfw][2000]Accuracy-Flip: {score.figures['accuracy']:.5f}+-{score.figures['std']:.5f}"


def test_a_pack_of_three_folds_is_scored_in_three(folder, capfd):
    images = read_pack(folder / "lfw.bin").images
    write_pack(folder / "few.bin", images[:24], ([True] * 2 + [False] * 2) * 3)
    verifier = Verifier(folder, ["few"], (112, 112))
    assert capfd.readouterr().out == "ver few\n[few]Folds: 3, by the order of its pairs\n"
    (score,) = verifier.score(Pixels(), torch.device("cpu"), 5, 1)
    pack = read_pack(folder / "few.bin")
    both = Embedder(Pixels(), device=torch.device("cpu"), batch_size=5).embed_both(pack.decode((112, 112)))
    assert tuple(score.figures.values()) == tuple(verify(*both, pack.issame, 3))


def test_a_pack_that_cannot_be_used_stops_at_the_start(folder):
    images = read_pack(folder / "lfw.bin").images
    write_pack(folder / "few.bin", images[:6], [True] * 3)
    with pytest.raises(UserError, match=r"few\.bin: 3 pairs cannot be cut into 10 folds"):
        Verifier(folder, ["few"], (112, 112))
    write_pack(folder / "bad.bin", [b"junk", *images[1:]], [True] * 12)
    with pytest.raises(UserError, match="image 0"):
        Verifier(folder, ["bad"], (112, 112))
