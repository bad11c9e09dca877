"""What the scores of a model's inputs mean: whether this toolbox feeds it right, and what to type if not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from lwface.deploy.input_check import InputScore, by_chance, fed_input, likely_inputs, ranges_for
from lwface.models.names import STATE_DICT_SUFFIXES
from lwface.onnx.choices import Pixels
from lwface.onnx.model import OnnxNetwork
from lwface.onnx.pixels import pixels_flag

ALIKE = 0.01  # by which two factors may differ and still be the same input: 127.5 and 128 do
CHANCE = (
    "nothing is better than chance: no such input is what the model takes, or it cannot tell these people apart. "
    "Is the output the embedding (--layer)? Are the faces aligned as in training (datasets/align_faces.py)? Does it "
    "need a mean for each channel or another range? Then export it again with that inside its graph, or write "
    "MEAN/DIVISOR[,BGR] into it with recognition/export.py --pixels, and check again"
)


class Verdict(NamedTuple):
    """Whether the model is fed right, and what to print."""

    right: bool
    lines: list[str]


def judge(
    network: nn.Module, scores: Sequence[InputScore], issame: NDArray[np.bool_], model: str, pairs_left: int = 0
) -> Verdict:
    """What ``scores`` (the best first) say of what ``network`` is fed.

    A statement (a network of this project or MXNet, an ONNX model's metadata) stands unless another input is told to be
    better. A guess does not: where another seems better, or the other order of channels as good (of which a graph tells
    least), it is not shown to be right.

    Args:
        issame: (P,).
        model: its name as it was typed.
        pairs_left: pairs of the pack that were not used.
    """
    fed, best = fed_input(network), scores[0]
    if by_chance(scores, issame):
        return Verdict(False, [f"this toolbox feeds {fed}: {CHANCE}"])
    likely = [score.name for score in likely_inputs(scores)]
    lines = [f"trained with: {best.name}, by accuracy"]
    if len(likely) > 1:
        lines.append(f"{len(issame)} pairs cannot tell it from: {', '.join(likely[1:])}")
    if fed not in likely:
        remedy = remedy_for(network, best, model)
        return Verdict(False, [*lines, f"this toolbox feeds {fed}, which is worse: {remedy}"])
    guessed = isinstance(network, OnnxNetwork) and bool(network.told.assumed)
    exchanged = next(score for score in scores if score.range == _range(fed) and score.name != fed)
    if not guessed or (_alike(network, fed, best) and exchanged.name not in likely):
        return Verdict(True, [*lines, f"this toolbox feeds {fed}: nothing to do"])
    more = f"--pairs 0 uses {pairs_left} pairs more" if pairs_left else "a larger pack may tell"
    other = exchanged if _alike(network, fed, best) else best
    own = next(score for score in scores if score.name == fed)
    guess = f"this toolbox feeds {fed}, a guess that these pairs do not confirm: {more}"
    steps = [f"if you know that {one.name} is right, {remedy_for(network, one, model)}" for one in (own, other)]
    return Verdict(False, [*lines, "; ".join([guess, *steps])])


def remedy_for(network: nn.Module, best: InputScore, model: str) -> str:
    """What to type so that ``network``, called ``model``, is fed as ``best`` says."""
    means, scales = ranges_for(network)[best.range]
    if len(set(means)) > 1 or len(set(scales)) > 1:
        numbers = "(x - 255 * mean) / (255 * std), mean 0.485 0.456 0.406, std 0.229 0.224 0.225"
        return f"--pixels has one mean for all channels; export the model again with {numbers} inside its graph"
    pixels = Pixels(means[0], scales[0], best.colour)
    if isinstance(network, OnnxNetwork):
        if network.integers:
            pixels = network.pixels._replace(color_order=best.colour)
        flag = pixels_flag(pixels)
        return f"recognition/export.py --model {model} --pixels {flag} --output FILE.onnx writes it into a file"
    then = f"recognition/export.py --model F.onnx --pixels {pixels_flag(pixels)} --output FILE.onnx"
    if Path(model).suffix in STATE_DICT_SUFFIXES:
        said = f"--pixels {pixels_flag(pixels)} here and --pretrained-pixels in training say so of an iresnet"
        return f"{said}; anything else: write it as F.onnx with the program that it is from, then {then}"
    return f"recognition/export.py --model {model} --output F.onnx, then {then}"


def _alike(network: nn.Module, fed: str, best: InputScore) -> bool:
    """Whether ``fed`` is ``best`` but for what no network notices."""
    (means, scales), (best_means, best_scales) = (ranges_for(network)[one] for one in (_range(fed), best.range))
    same = all(math.isclose(one, other, rel_tol=ALIKE) for one, other in zip(scales, best_scales, strict=True))
    return fed.startswith(best.colour) and means == best_means and same


def _range(name: str) -> str:
    """The range in the name of an input."""
    return name.partition(" ")[2]
