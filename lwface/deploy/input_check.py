"""Which input a model was trained with: colour order and pixel range, told by the accuracy each gives on a pack.

A model fed the wrong input does not fail, it recognises a little or a lot worse. So the same pairs are embedded under
every usual input and the accuracies compared, pair by pair: McNemar's exact test (McNemar 1947, Psychometrika 12)
says whether two inputs differ by more than chance on the pairs they disagree about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lwface.base.progress import progress
from lwface.deploy.choices import COLOURS, RANGES
from lwface.features.embedder import Embedder
from lwface.formats.verification_pack import VerificationPack
from lwface.scoring.pack_accuracy import evaluate, normalise_rows
from lwface.scoring.parameters import FOLDS

SIGNIFICANCE = 0.05


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

    def __init__(self, network: nn.Module, colour: str, pixel_range: str) -> None:
        super().__init__()
        self.network, self.swap = network, colour == "BGR"
        self.embedding_size = network.embedding_size
        mean, scale = RANGES[pixel_range]
        self.register_buffer("mean", torch.tensor(mean).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(scale).reshape(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) of ``images`` (N, 3, H, W) RGB 0..255."""
        pixels = (images.float() - self.mean) * self.scale
        return self.network(pixels.flip(1) if self.swap else pixels)


def choose_pairs(pack: VerificationPack, pairs: int) -> VerificationPack:
    """About ``pairs`` pairs of ``pack``, evenly from its whole length, so from every fold; 0: all."""
    if not 0 < pairs < len(pack):
        return pack
    chosen = np.linspace(0, len(pack) - 1, max(pairs, FOLDS)).round().astype(int)
    images = [pack.images[2 * pair + side] for pair in chosen for side in (0, 1)]
    return VerificationPack(pack.name, images, pack.issame[chosen])


def score_inputs(
    network: nn.Module, images: NDArray[np.uint8], issame: NDArray[np.bool_], device: torch.device, batch_size: int
) -> list[InputScore]:
    """The accuracy of ``network`` with every colour order and range, the best first.

    Args:
        network: takes (N, 3, H, W) float and does with it whatever it was trained to do.
        images: (2P, H, W, 3) RGB; rows ``2i`` and ``2i+1`` are pair ``i``.
        issame: (P,).
    """
    scores = []
    inputs = [(colour, pixel_range) for pixel_range in RANGES for colour in COLOURS]
    with progress(total=len(inputs) * len(images), label="embedding", unit="image") as bar:
        for colour, pixel_range in inputs:
            embedder = Embedder(WithInput(network, colour, pixel_range), device=device, batch_size=batch_size)
            features = np.empty((len(images), embedder.embedding_size))
            for start in range(0, len(images), batch_size):
                part = images[start : start + batch_size]
                features[start : start + batch_size] = embedder.embed(part, flip=False)
                bar.update(len(part))
            scores.append(score_features(colour, pixel_range, features, issame))
    return sorted(scores, key=lambda score: -score.accuracy)  # stable: of equals the usual one first


def score_features(
    colour: str, pixel_range: str, features: NDArray[np.float64], issame: NDArray[np.bool_]
) -> InputScore:
    """Score the un-normalised ``features`` (2P, D); an input that overflows the network is right about no pair."""
    if not np.isfinite(features).all():
        return InputScore(colour, pixel_range, 0.0, 0.0, math.nan, np.zeros(len(issame), bool))
    rows = normalise_rows(features)
    result = evaluate(rows, issame)
    sizes = np.full(FOLDS, len(issame) // FOLDS)
    sizes[: len(issame) % FOLDS] += 1
    distances = np.sum(np.square(rows[0::2] - rows[1::2]), axis=1)
    correct = (distances < np.repeat(result.fold_thresholds, sizes)) == issame
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


def score_table(scores: Sequence[InputScore]) -> str:
    """Ranges down, colour orders across."""
    by_input = {(score.range, score.colour): score for score in scores}
    lines = ["".join([f"{'input':22}", *(f"{colour + ' accuracy':>20}{'XNorm':>10}" for colour in COLOURS)])]
    for pixel_range in RANGES:
        cells = [by_input[pixel_range, colour] for colour in COLOURS]
        figures = (f"{score.accuracy:>12.5f}+-{score.std:.4f}{score.xnorm:>10.4g}" for score in cells)
        lines.append("".join([f"{pixel_range:22}", *figures]))
    return "\n".join(lines)
