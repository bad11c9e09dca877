"""Which input a model was trained with."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lwface.deploy.choices import RANGES
from lwface.deploy.input_check import choose_pairs, likely_inputs, same_by_chance, score_inputs
from lwface.formats.image import encode_jpeg
from lwface.formats.verification_pack import VerificationPack
from lwface.scoring.drawn_folds import drawn_folds


class Model(nn.Module):
    """Knows people by their redness, as long as pixels come as ``colour`` and ``pixel_range``; noise otherwise."""

    def __init__(self, colour, pixel_range):
        super().__init__()
        self.embedding_size, self.red = 2, 0 if colour == "RGB" else 2
        mean, scale = RANGES[pixel_range]
        self.mean, self.scale = mean[0], scale[0]

    def forward(self, pixels):
        red = (
            pixels[:, self.red].mean((1, 2)) / self.scale + self.mean
        )  # back to 0..255 if the range is right; else some faces leave it
        red = red.clamp(0, 255)
        angle = red / 255 * math.pi
        return torch.stack([angle.cos(), angle.sin()], 1)


@pytest.fixture(scope="module")
def faces():
    rng = np.random.default_rng(0)
    issame = rng.random(60) < 0.5
    red = rng.integers(20, 90, (60, 2))
    red[issame, 1] = red[issame, 0]
    red[~issame, 1] = red[~issame, 0] + rng.integers(60, 150, (~issame).sum())
    images = rng.integers(0, 256, (120, 8, 8, 3), dtype=np.uint8)
    images[..., 0] = red.reshape(-1, 1, 1)
    return images, issame


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("pixel_range", ["0..255", "x / 255", "(x - 127.5) / 128", "ImageNet's"])
def test_the_input_a_model_was_made_for_is_found(colour, pixel_range, faces):
    scores = score_inputs(Model(colour, pixel_range), *faces, torch.device("cpu"), 32)
    assert len(scores) == 10
    assert scores[0].accuracy > 0.9
    likely = [score.name for score in likely_inputs(scores)]
    assert f"{colour} {pixel_range}" in likely
    assert not any(name.endswith({"0..255": "x / 255"}.get(pixel_range, "0..255")) for name in likely)
    assert not any(name.startswith({"RGB": "BGR", "BGR": "RGB"}[colour]) for name in likely)


def test_chance_of_disagreement_is_the_binomial_one():
    from scipy.stats import binomtest

    rng = np.random.default_rng(1)
    for _ in range(30):
        one, other = rng.random(200) < rng.random(), rng.random(200) < rng.random()
        more = int((one & ~other).sum())
        total = more + int((other & ~one).sum())
        expected = binomtest(more, total).pvalue if total else 1.0
        assert same_by_chance(one, other) == pytest.approx(expected)


def test_pairs_come_from_the_whole_pack():
    images = [encode_jpeg(np.full((8, 8, 3), i, np.uint8)) for i in range(80)]
    pack = VerificationPack("p", images, np.arange(40) % 2 == 0)
    some = choose_pairs(pack, 14)
    assert len(some) == 14
    assert some.images[:2] == images[:2]
    assert some.images[-2:] == images[-2:]
    assert choose_pairs(pack, 0) is pack
    assert choose_pairs(pack, 99) is pack
    places = [images.index(image) for image in some.images[::2]]
    assert [some.issame[i] for i in range(14)] == [pack.issame[place // 2] for place in places]
    assert max(np.diff(places)) <= 8


def test_an_input_that_overflows_is_the_worst(faces):
    class Overflows(Model):
        def forward(self, pixels):
            return super().forward(pixels) * (1.0 if pixels.max() < 100 else float("inf"))

    scores = score_inputs(Overflows("RGB", "x / 255"), *faces, torch.device("cpu"), 32)
    assert scores[-1].range == "0..255"
    assert math.isnan(scores[-1].xnorm)
    assert scores[0].colour == "RGB"
    assert "0..255" not in {score.range for score in likely_inputs(scores)}


def test_a_pack_of_few_folds_still_shows_them():
    images = [encode_jpeg(np.full((8, 8, 3), i, np.uint8)) for i in range(96)]
    pack = VerificationPack("p", images, np.array(([True] * 6 + [False] * 6) * 4))
    for pairs in (10, 17, 30):
        some = choose_pairs(pack, pairs)
        assert 8 <= len(some) <= pairs
        assert drawn_folds(some.issame) == 4
        places = [images.index(image) // 2 for image in some.images[::2]]
        assert places == sorted(set(places))
        assert {place // 12 for place in places} == {0, 1, 2, 3}
