"""Which input a model was trained with: its accuracy on a pack under every colour order and usual pixel range.

A wrong one is no error anywhere, only a worse score. Exit status 0: the model is fed right by this toolbox (RGB 0..255,
or what an ONNX model says or seems to take); 1: another input is better, or nothing is better than chance, or it cannot
be told on these pairs whether a guess is right; 2: bad usage.
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
from lwface.models.names import model_file
from lwface.models.pixels import Said
from lwface.settings.sections import load_sections

EXIT_OTHER_INPUT = 1


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
    from lwface.deploy.input_check import choose_pairs, score_inputs, score_table
    from lwface.deploy.input_verdict import judge
    from lwface.features.trust import require_own_features
    from lwface.formats.pack_folds import require_both_kinds
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
    require_own_features(network.to(device), device=device)
    whole = read_pack(arguments.pack)
    require_both_kinds(whole.issame, arguments.pack)
    pack = choose_pairs(whole, arguments.pairs)
    scores = score_inputs(network, pack.decode((112, 112)), pack.issame, device, arguments.batch_size)
    print(f"{arguments.model} on {len(pack)} pairs of {pack.name}, without mirror images")
    print(score_table(scores))
    verdict = judge(network, scores, pack.issame, arguments.model, pairs_left=len(whole) - len(pack))
    print("\n".join(verdict.lines))
    return EXIT_OK if verdict.right else EXIT_OTHER_INPUT
