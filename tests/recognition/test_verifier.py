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
        for _ in range(40)
    ]
    write_pack(tmp_path / "lfw.bin", images, [i % 2 == 0 for i in range(20)])
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
    assert tuple(score.figures.values()) == (*verify(plain, mirrored, pack.issame), 10)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "testing verification.."
    assert lines[-3] == f"[lfw][2000]XNorm: {score.figures['xnorm']:.6f}"
    assert lines[-2] == f"[lfw][2000]Accuracy-Flip: {score.figures['accuracy']:.5f}+-{score.figures['std']:.5f}"
    guess = "whoever calls all 20 pairs one person has 0.50000"
    assert lines[-1] == f"[lfw][2000]Remark: no better than guessing: {guess}"  # such pixels tell nobody apart


def test_an_image_of_several_pairs_is_embedded_once(folder):
    images = read_pack(folder / "lfw.bin").images
    drawn = np.random.default_rng(1).integers(0, 30, 40)
    write_pack(folder / "again.bin", [images[i] for i in drawn], [i % 2 == 0 for i in range(20)])
    seen = []

    class Counting(Pixels):
        def forward(self, images):
            seen.append(int((images.flatten(1) > 0).any(dim=1).sum()))  # a batch is filled up with zeros
            return super().forward(images)

    verifier = Verifier(folder, ["again"], (112, 112))
    (score,) = verifier.score(Counting(), torch.device("cpu"), 8, 1)
    pack = read_pack(folder / "again.bin")
    both = Embedder(Pixels(), device=torch.device("cpu"), batch_size=8).embed_both(pack.decode((112, 112)))
    assert tuple(score.figures.values()) == (*verify(*both, pack.issame), 10)
    assert sum(seen) == 2 * len(set(drawn)) == 2 * verifier.images


def test_a_pack_of_three_folds_is_scored_in_three(folder, capfd):
    images = read_pack(folder / "lfw.bin").images
    write_pack(folder / "few.bin", images[:24], ([True] * 2 + [False] * 2) * 3)
    verifier = Verifier(folder, ["few"], (112, 112))
    assert capfd.readouterr().out == "ver few\n[few]Folds: 3, by the order of its pairs\n"
    (score,) = verifier.score(Pixels(), torch.device("cpu"), 5, 1)
    pack = read_pack(folder / "few.bin")
    both = Embedder(Pixels(), device=torch.device("cpu"), batch_size=5).embed_both(pack.decode((112, 112)))
    assert tuple(score.figures.values()) == (*verify(*both, pack.issame, 3), 3)


def test_a_pack_that_cannot_be_used_stops_at_the_start(folder):
    images = read_pack(folder / "lfw.bin").images
    write_pack(folder / "few.bin", images[:6], [True] * 3)
    with pytest.raises(UserError, match=r"few\.bin: 3 pairs cannot be cut into 10 folds"):
        Verifier(folder, ["few"], (112, 112))
    write_pack(folder / "bad.bin", [b"junk", *images[1:]], [i % 2 == 0 for i in range(20)])
    with pytest.raises(UserError, match="image 0"):
        Verifier(folder, ["bad"], (112, 112))


def test_pairs_of_one_kind_make_no_best_model(folder):
    """Every model has an accuracy of 1 on them."""
    images = read_pack(folder / "lfw.bin").images
    for name, same in (("genuine", [True] * 20), ("impostors", [False] * 20), ("sorted", [i < 10 for i in range(20)])):
        write_pack(folder / f"{name}.bin", images, same)
        with pytest.raises(UserError, match=rf"{name}\.bin: .* of (one|two) person"):
            Verifier(folder, [name], (112, 112))


def test_folds_of_one_kind_are_made_larger(folder, capfd):
    images = read_pack(folder / "lfw.bin").images
    same = [i // 4 % 2 == 0 for i in range(20)]  # four of a kind in a row
    write_pack(folder / "rows.bin", images, same)
    verifier = Verifier(folder, ["rows"], (112, 112))
    (_, folds), out = verifier.packs[0], capfd.readouterr().out
    assert folds == 4
    assert "fold 1 of 10 (pairs 1 to 2) has only pairs of one person: it is cut into 4 folds" in out
    (score,) = verifier.score(Pixels(), torch.device("cpu"), 5, 1)
    pack = read_pack(folder / "rows.bin")
    plain, mirrored = Embedder(Pixels(), device=torch.device("cpu"), batch_size=5).embed_both(pack.decode((112, 112)))
    assert score.figures["accuracy"] == verify(plain, mirrored, pack.issame, folds).accuracy


class Constant(nn.Module):
    embedding_size = 3

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, images):
        return torch.full((len(images), 3), self.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3.0, "the features collapsed, those of two persons have a mean cosine of 1.000000; no better than guessing"),
        (4e8, "the features blow up, their mean norm is 6.93e+08; the features collapsed"),
        (0.0, "40 of 40 features are all zeros; no better than guessing"),
    ],
)
def test_collapsed_features_are_remarked_in_one_line(folder, capfd, value, said):
    Verifier(folder, ["lfw"], (112, 112)).score(Constant(value), torch.device("cpu"), 5, 7)
    *_, accuracy, remark = capfd.readouterr().out.splitlines()
    assert accuracy.startswith("[lfw][7]Accuracy-Flip: 0.5")
    assert remark.startswith(f"[lfw][7]Remark: {said}")


def test_features_that_are_not_finite_end_the_run_in_one_line(folder):
    verifier = Verifier(folder, ["lfw"], (112, 112))
    with pytest.raises(UserError, match=r"^lfw at step 9: .*feature 0 is not finite .*: the network diverged"):
        verifier.score(Constant(float("inf")), torch.device("cpu"), 5, 9)
