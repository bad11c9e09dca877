"""Which input a model was trained with: its accuracy on a pack under every colour order and usual pixel range.

A wrong one is no error anywhere, only a worse score. Exit status 0: the model is fed right by this toolbox (RGB 0..255
and what the model says of itself), or no other input is told to be better; 1: another input is better; 2: bad usage.
"""

from __future__ import annotations

import argparse
import sys

from lwface.base.commands import EXIT_OK, existing, load
from lwface.commands.flags import (
    add_batch_size_flag,
    add_device_flag,
    add_layer_flag,
    add_model_flag,
    add_pack_flag,
    add_place_flags,
    add_state_dict_flags,
    check_least,
    command_parser,
    places_of,
)
from lwface.deploy.choices import COLOURS, RANGES
from lwface.models.names import is_state_dict, model_file
from lwface.models.pixels import Said
from lwface.settings.sections import load_sections

EXIT_OTHER_INPUT = 1
FED = f"{COLOURS[0]} {next(iter(RANGES))}"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    model = parser.add_mutually_exclusive_group(required=True)
    add_model_flag(model, required=False)
    model.add_argument("first", metavar="MODEL", nargs="?", help="in place of --model")
    add_pack_flag(parser, required=True)
    add_state_dict_flags(parser)
    add_layer_flag(parser)
    pairs = "pairs of the pack to use, evenly spread; 0: all"
    parser.add_argument("--pairs", type=int, default=600, metavar="N", help=pairs)
    add_batch_size_flag(parser)
    add_device_flag(parser)
    add_place_flags(parser)
    arguments = parser.parse_args(argv)
    arguments.model = arguments.model or arguments.first
    check_least(arguments, {"batch_size": 1, "pairs": 0})
    arguments.said = Said.of(arguments.pixels, arguments.epsilon)
    model_file(arguments.model)
    existing(arguments.pack)
    if arguments.network is not None:
        load_sections(places_of(arguments)).entry("network", arguments.network)
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Score, print, and decide."""
    arguments = parse_arguments(argv)
    load("torch", "cv2")
    from lwface.base.device import select_device
    from lwface.deploy.input_check import choose_pairs, likely_inputs, score_inputs, score_table
    from lwface.formats.verification_pack import read_pack
    from lwface.models.pretrained import open_model

    device = select_device(arguments.device)
    network = open_model(
        arguments.model,
        network=arguments.network,
        layer=arguments.layer,
        places=places_of(arguments),
        said=arguments.said,
        say=lambda line: print(line, file=sys.stderr),
    )
    pack = choose_pairs(read_pack(arguments.pack), arguments.pairs)
    scores = score_inputs(network, pack.decode((112, 112)), pack.issame, device, arguments.batch_size)
    likely = [score.name for score in likely_inputs(scores)]
    print(f"{arguments.model} on {len(pack)} pairs of {pack.name}, without mirror images")
    print(score_table(scores))
    print(f"trained with: {scores[0].name}, by accuracy")
    if len(likely) > 1:
        print(f"{len(pack)} pairs cannot tell it from: {', '.join(likely[1:])}")
    if FED in likely:
        print(f"this toolbox feeds {FED}: nothing to do")
        return EXIT_OK
    remedy = "recognition/export.py --pixels writes the right input into an ONNX file; see docs/deployment.md"
    if is_state_dict(arguments.model):
        remedy = "for an iresnet, --pixels MEAN/DIVISOR[,BGR] says what it takes"
    print(f"this toolbox feeds {FED}, which is worse: {remedy}")
    return EXIT_OTHER_INPUT
