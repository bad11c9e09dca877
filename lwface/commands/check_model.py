"""Which input a model was trained with: its accuracy on a pack under every colour order and usual pixel range.

A wrong one is no error anywhere, only a worse score. Exit status 0: the model is fed right by this toolbox (RGB 0..255
and what the model says of itself), or no other input is told to be better; 1: another input is better; 2: bad usage.
"""

from __future__ import annotations

import argparse

from lwface.base.commands import EXIT_OK, HelpFormatter
from lwface.deploy.input_check import COLOURS, RANGES, InputScore, choose_pairs, likely_inputs, score_inputs
from lwface.features.embedder import select_device
from lwface.formats.verification_pack import read_pack
from lwface.models.pretrained import open_model

EXIT_OTHER_INPUT = 1
FED = f"{COLOURS[0]} {next(iter(RANGES))}"


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="PREFIX,EPOCH of this project or MXNet, F.onnx, or a state dict")
    parser.add_argument("--pack", required=True, help="verification pack, such as lfw.bin")
    parser.add_argument("--network", help="the network a state dict (.pth, .pt, .safetensors) belongs to, such as r50")
    parser.add_argument("--layer", help="output of an MXNet model that is the embedding")
    parser.add_argument("--pairs", type=int, default=600, help="pairs of the pack to use, evenly spread; 0: all")
    parser.add_argument("--batch_size", type=int, default=32, help="images a batch")
    parser.add_argument("--device", default="auto", help="auto (CUDA where there is one), cpu, cuda or cuda:N")
    return parser.parse_args()


def table(scores: list[InputScore]) -> str:
    """Ranges down, colour orders across."""
    by_input = {(score.range, score.colour): score for score in scores}
    lines = ["".join([f"{'input':22}", *(f"{colour + ' accuracy':>20}{'XNorm':>10}" for colour in COLOURS)])]
    for pixel_range in RANGES:
        cells = [by_input[pixel_range, colour] for colour in COLOURS]
        figures = (f"{score.accuracy:>12.5f}+-{score.std:.4f}{score.xnorm:>10.4g}" for score in cells)
        lines.append("".join([f"{pixel_range:22}", *figures]))
    return "\n".join(lines)


def main() -> int:
    """Score, print, and decide."""
    arguments = parse_arguments()
    device = select_device(arguments.device)
    network = open_model(arguments.model, network=arguments.network, layer=arguments.layer)
    pack = choose_pairs(read_pack(arguments.pack), arguments.pairs)
    scores = score_inputs(network, pack.decode((112, 112)), pack.issame, device, arguments.batch_size)
    likely = [score.name for score in likely_inputs(scores)]
    print(f"{arguments.model} on {len(pack)} pairs of {pack.name}, without mirror images")
    print(table(scores))
    print(f"trained with: {scores[0].name}, by accuracy")
    if len(likely) > 1:
        print(f"{len(pack)} pairs cannot tell it from: {', '.join(likely[1:])}")
    if FED in likely:
        print(f"this toolbox feeds {FED}: nothing to do")
        return EXIT_OK
    remedy = "recognition/export.py --pixels writes the right input into an ONNX file; see docs/deployment.md"
    print(f"this toolbox feeds {FED}, which is worse: {remedy}")
    return EXIT_OTHER_INPUT
