"""Which input a model was trained with: colour order and pixel range, told by the accuracy each gives on a pack.

A model fed the wrong input does not fail, it recognises a little or a lot worse. So the same pairs are embedded under
every usual input and the accuracies compared, pair by pair: McNemar's exact test (McNemar 1947, Psychometrika 12)
says whether two inputs differ by more than chance on the pairs they disagree about, and the binomial tail whether any
of them is better than guessing.

Inputs are tried on the model itself: what this toolbox would do to the pixels of an ONNX model, by its word or by a
guess, is put aside, and is one of the inputs tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lwface.base.progress import progress
from lwface.deploy.choices import COLOURS, RANGES
from lwface.features.embedder import Embedder
from lwface.formats.pack_folds import fold_of_pair
from lwface.formats.verification_pack import VerificationPack
from lwface.onnx.choices import Pixels
from lwface.onnx.model import OnnxNetwork
from lwface.onnx.pixels import pixels_words
from lwface.scoring.drawn_folds import drawn_folds
from lwface.scoring.pack_accuracy import evaluate, normalise_rows
from lwface.scoring.parameters import FOLDS

SIGNIFICANCE = 0.05

Ranges = Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]  # as lwface.deploy.choices.RANGES


@dataclass(frozen=True)
class InputScore:
    """What a model reaches with one input."""

    colour: str
    range: str
    accuracy: float  # mean over the folds, without the mirror image
    std: float
    xnorm: float  # mean norm of the features
    correct: NDArray[np.bool_]  # (P,): the pair is called right, by the threshold of the other folds

    @property
    def name(self) -> str:
        """Colour and range, as they are printed."""
        return f"{self.colour} {self.range}"


class WithInput(nn.Module):
    """``network`` behind another treatment of the pixels: RGB 0..255 in, ``colour`` and ``range`` to the network."""

    mean: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, colour: str, pixel_range: str, ranges: Ranges = RANGES) -> None:
        super().__init__()
        self.network, self.swap = network, colour == "BGR"
        self.embedding_size = network.embedding_size
        mean, scale = ranges[pixel_range]
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(scale).reshape(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) of ``images`` (N, 3, H, W) RGB 0..255."""
        pixels = (images.float() - self.mean) * self.scale
        return self.network(pixels.flip(1) if self.swap else pixels)


def choose_pairs(pack: VerificationPack, pairs: int) -> VerificationPack:
    """About ``pairs`` pairs of ``pack``, evenly from its whole length, so from every fold; 0: all.

    Of a pack of fewer folds than ten as many from each part of one kind, so that its order still shows its folds.
    """
    if not 0 < pairs < len(pack):
        return pack
    folds = drawn_folds(pack.issame)
    parts = 1 if folds == FOLDS else 2 * folds
    each = max(1, max(pairs, FOLDS) // parts)
    length = len(pack) // parts
    places = [part * length + np.linspace(0, length - 1, min(each, length)) for part in range(parts)]
    chosen = np.concatenate(places).round().astype(int)
    images = [pack.images[2 * pair + side] for pair in chosen for side in (0, 1)]
    return VerificationPack(pack.name, images, pack.issame[chosen])


def bare(network: nn.Module) -> nn.Module:
    """``network`` without what this toolbox does to the pixels first; one that takes whole numbers still gets those."""
    if not isinstance(network, OnnxNetwork):
        return network
    return network.taking(network.pixels._replace(color_order=COLOURS[0]) if network.integers else Pixels())


def ranges_for(network: nn.Module) -> Ranges:
    """The ranges to try on the bare ``network``: the usual ones, and the one that it is fed if that is another."""
    if not isinstance(network, OnnxNetwork):
        return RANGES
    if network.integers:  # converted to whole numbers every other range would be noise
        return {next(iter(RANGES)): next(iter(RANGES.values()))}
    mean, scale, _ = network.pixels
    return RANGES if fed_range(network) in RANGES else {**RANGES, fed_range(network): ((mean,) * 3, (scale,) * 3)}


def fed_range(network: nn.Module) -> str:
    """The range that this toolbox feeds ``network``, by its name in :func:`ranges_for`."""
    usual = next(iter(RANGES))
    if not isinstance(network, OnnxNetwork) or network.integers:
        return usual
    mean, scale, _ = network.pixels
    same = (name for name, (means, scales) in RANGES.items() if set(means) == {mean} and set(scales) == {scale})
    return next(same, pixels_words(network.pixels).partition(" ")[2])


def fed_input(network: nn.Module) -> str:
    """What this toolbox feeds ``network``, as :attr:`InputScore.name` has it."""
    colour = network.pixels.color_order if isinstance(network, OnnxNetwork) else COLOURS[0]
    return f"{colour} {fed_range(network)}"


def score_inputs(
    network: nn.Module, images: NDArray[np.uint8], issame: NDArray[np.bool_], device: torch.device, batch_size: int
) -> list[InputScore]:
    """The accuracy of ``network`` with every colour order and range, the best first.

    Args:
        network: takes (N, 3, H, W) float and does with it whatever it was trained to do; what this toolbox would do
            to the pixels of an ONNX model before is left out.
        images: (2P, H, W, 3) RGB; rows ``2i`` and ``2i+1`` are pair ``i``.
        issame: (P,).
    """
    scores = []
    model, ranges = bare(network), ranges_for(network)
    inputs = [(colour, pixel_range) for pixel_range in ranges for colour in COLOURS]
    with progress(total=len(inputs) * len(images), label="embedding", unit="image") as bar:
        for colour, pixel_range in inputs:
            embedder = Embedder(WithInput(model, colour, pixel_range, ranges), device=device, batch_size=batch_size)
            features = np.empty((len(images), embedder.embedding_size))
            for start in range(0, len(images), batch_size):
                part = images[start : start + batch_size]
                features[start : start + batch_size] = embedder.embed(part, flip=False)
                bar.update(len(part))
            scores.append(score_features(colour, pixel_range, features, issame))
    fed = fed_input(network)
    return sorted(scores, key=lambda score: (-score.accuracy, score.name != fed))  # of equals first what is fed


def score_features(
    colour: str, pixel_range: str, features: NDArray[np.float64], issame: NDArray[np.bool_]
) -> InputScore:
    """Score the un-normalised ``features`` (2P, D); an input that overflows the network is right about no pair."""
    if not np.isfinite(features).all():
        return InputScore(colour, pixel_range, 0.0, 0.0, math.nan, np.zeros(len(issame), bool))
    rows = normalise_rows(features)
    result = evaluate(rows, issame)
    folds = len(result.fold_thresholds)
    distances = np.sum(np.square(rows[0::2] - rows[1::2]), axis=1)
    correct = (distances < result.fold_thresholds[fold_of_pair(len(issame), folds)]) == issame
    return InputScore(
        colour, pixel_range, result.accuracy, result.std, float(np.linalg.norm(features, axis=1).mean()), correct
    )


def same_by_chance(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Probability that two inputs equally good differ at least as much as ``one`` and ``other`` (P,), two-sided."""
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    disagreements, fewer = only_one + only_other, min(only_one, only_other)
    tail = sum(math.comb(disagreements, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**disagreements)


def likely_inputs(scores: Sequence[InputScore]) -> list[InputScore]:
    """The best of ``scores`` and all that the pairs cannot tell from it."""
    return [score for score in scores if same_by_chance(scores[0].correct, score.correct) >= SIGNIFICANCE]


def by_chance(scores: Sequence[InputScore], issame: NDArray[np.bool_]) -> bool:
    """Whether the best of ``scores`` calls no more pairs right than guessing might, as often as it was tried.

    Guessing is always giving the more frequent answer; the probability is the binomial tail, times the inputs tried.
    """
    pairs, right = len(issame), max(int(score.correct.sum()) for score in scores)
    same = int(issame.sum())
    share = max(same, pairs - same) / pairs
    if share == 1:
        return True
    logs = [
        math.lgamma(pairs + 1) - math.lgamma(k + 1) - math.lgamma(pairs - k + 1)
        + k * math.log(share) + (pairs - k) * math.log(1 - share)
        for k in range(right, pairs + 1)
    ]  # fmt: skip
    return len(scores) * math.fsum(map(math.exp, logs)) >= SIGNIFICANCE


def score_table(scores: Sequence[InputScore]) -> str:
    """Ranges down, colour orders across."""
    by_input = {(score.range, score.colour): score for score in scores}
    ranges = [name for name in RANGES if (name, COLOURS[0]) in by_input]
    ranges += sorted({score.range for score in scores} - set(ranges))
    lines = ["".join([f"{'input':22}", *(f"{colour + ' accuracy':>20}{'XNorm':>10}" for colour in COLOURS)])]
    for pixel_range in ranges:
        cells = [by_input[pixel_range, colour] for colour in COLOURS]
        figures = (f"{score.accuracy:>12.5f}+-{score.std:.4f}{score.xnorm:>10.4g}" for score in cells)
        lines.append("".join([f"{pixel_range:22}", *figures]))
    return "\n".join(lines)
