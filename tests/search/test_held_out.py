"""The judge's TAR is that of the definition, over all pairs of labelled images or over the pairs of packs."""

import itertools
import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.formats.image import decode_rgb, encode_jpeg, read_rgb
from lwface.formats.verification_pack import read_pack
from lwface.search.held_out import HeldOut

CPU = torch.device("cpu")
SIZE = (112, 112)


class Means(nn.Module):
    """Embeds an image by the mean colours of its 49 fields."""

    embedding_size = 147

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(127.5))

    def forward(self, images):
        pooled = nn.functional.avg_pool2d(images.float(), 16)
        return pooled.flatten(1) - self.shift


class Constant(Means):
    """Gives every image the same feature."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, images):
        return torch.full((len(images), 147), self.value)


def naive_tar(pairs, far):
    """By the definition: the largest share of genuine pairs above a threshold that keeps to the FAR."""
    genuine = [score for score, same in pairs if same]
    impostor = [score for score, same in pairs if not same]
    best = 0.0
    for threshold in [*genuine, *impostor]:
        if sum(score >= threshold for score in impostor) <= far * len(impostor):
            best = max(best, sum(score >= threshold for score in genuine) / len(genuine))
    return best


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def features_of(images):
    with torch.no_grad():
        return Means()(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)).double().numpy()


@pytest.fixture
def packs_only(face_folder, tmp_path):
    shutil.copy(face_folder / "heldout.bin", tmp_path / "heldout.bin")
    shutil.copy(face_folder / "heldout.bin", tmp_path / "second.bin")
    return tmp_path


@pytest.mark.parametrize("far", ["1e-1", "3e-2", "1e-2"])
def test_labelled_images_are_all_compared(face_folder, far):
    held_out = HeldOut(face_folder, ["heldout"], SIZE)
    rows = features_of([read_rgb(face_folder / "images" / f"{row}.jpg") for row in range(24)])
    pairs = [(cosine(rows[i], rows[j]), i % 6 == j % 6) for i, j in itertools.combinations(range(24), 2)]
    assert (held_out.genuine_pairs, held_out.impostor_pairs) == (36, 240)
    expected = naive_tar(pairs, Fraction(far))
    assert held_out.tar(Means(), Fraction(far), device=CPU, batch_size=5) == expected
    assert expected > 0


def test_without_labelled_images_the_pairs_of_all_packs_are(packs_only):
    held_out = HeldOut(packs_only, ["heldout", "absent", "second"], SIZE)
    pack = read_pack(packs_only / "heldout.bin")
    rows = features_of([decode_rgb(image) for image in pack.images])
    pairs = [(cosine(rows[2 * i], rows[2 * i + 1]), bool(same)) for i, same in enumerate(pack.issame)] * 2
    assert (held_out.genuine_pairs, held_out.impostor_pairs) == (40, 40)
    assert held_out.words == "the pairs of heldout, second"
    assert held_out.tar(Means(), Fraction("1e-1"), device=CPU, batch_size=8) == naive_tar(pairs, 0.1)


@pytest.mark.parametrize(
    ("impostors", "far"), [(233_111, 1e-3), (3000, 1e-1), (300, 1e-1), (10**9, 1e-7), (10**15, 1e-8)]
)
def test_usual_far_lets_a_hundred_impostor_pairs_in(face_folder, impostors, far):
    held_out = HeldOut(face_folder, ["heldout"], SIZE)
    held_out.impostor_pairs = impostors
    assert held_out.usual_far() == Fraction(str(far))


def test_a_far_below_one_pair_is_refused(face_folder):
    held_out = HeldOut(face_folder, ["heldout"], SIZE)
    held_out.check(Fraction(1, 240))
    with pytest.raises(UserError, match=r"--far 0.001 needs at least 1000 impostor pairs, .* 240: give .* 0.1"):
        held_out.check(Fraction("1e-3"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1e30])
def test_features_without_a_direction_score_nothing(face_folder, value):
    held_out = HeldOut(face_folder, ["heldout"], SIZE)
    assert held_out.tar(Constant(value), Fraction("1e-1"), device=CPU, batch_size=8) == 0.0


def test_nothing_to_judge_by(tmp_path):
    with pytest.raises(UserError, match=r"nothing to judge networks by: .*images/filelist.txt .* packs lfw"):
        HeldOut(tmp_path, ["lfw"], SIZE)


def test_one_kind_of_pair_is_not_enough(face_folder, tmp_path):
    shutil.copytree(face_folder / "images", tmp_path / "images")
    (tmp_path / "images" / "labels.txt").write_text("".join(f"{row}\n" for row in range(24)))
    with pytest.raises(UserError, match="0 genuine and 276 impostor pairs: both kinds"):
        HeldOut(tmp_path, [], SIZE)


def test_an_image_of_another_size_is_named(face_folder, tmp_path):
    shutil.copytree(face_folder / "images", tmp_path / "images")
    (tmp_path / "images" / "7.jpg").write_bytes(encode_jpeg(np.zeros((64, 64, 3), np.uint8)))
    with pytest.raises(UserError, match=r"7.jpg is 64x64: expected an aligned face"):
        HeldOut(tmp_path, [], SIZE).tar(Means(), Fraction("1e-1"), device=CPU, batch_size=8)
