"""Write a trained model as MXNet's files, checked against what it was made from before they get their names.

    python recognition/convert_model.py --model models/y2-arcface-retina/model,1

writes ``models/y2-arcface-retina/model-symbol.json`` and ``model-0001.params``, which MXNet and the official tools
load. Training writes them itself; this is for models trained before it did, for those of MXNet that should end at
another layer, and for state dicts of PyTorch (``--output`` names the files), which then are a model for every command.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import (
    add_layer_flag,
    add_model_flag,
    add_place_flags,
    add_state_dict_flags,
    command_parser,
    places_of,
)
from lwface.models.names import TORCH_SUFFIXES, is_onnx, model_file, parse_model
from lwface.models.pixels import Said


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add_model_flag(parser)
    what = "what to write; the model's own prefix and epoch if not given"
    parser.add_argument("--output", metavar="PREFIX,EPOCH", help=what)
    add_layer_flag(parser)
    add_state_dict_flags(parser)
    add_place_flags(parser)
    arguments = parser.parse_args(argv)
    if is_onnx(arguments.model):
        raise UserError(f"--model {arguments.model}: an ONNX model's graph is not PyTorch's; convert what it is from")
    if not arguments.output and Path(arguments.model).suffix.lower() in TORCH_SUFFIXES:
        raise UserError(f"--model {arguments.model}: say what to write, --output PREFIX,EPOCH")
    arguments.said = Said.of(arguments.pixels, arguments.epsilon)
    parse_model(arguments.output or arguments.model)
    model_file(arguments.model)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Load, convert, say what was found."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.models.pretrained import open_model
    from lwface.mxnet.export import convert

    prefix, epoch = parse_model(arguments.output or arguments.model)
    network = open_model(
        arguments.model,
        network=arguments.network,
        layer=arguments.layer,
        places=places_of(arguments),
        said=arguments.said,
        say=lambda line: print(line, file=sys.stderr),
    )
    print("\n".join(convert(network, prefix, epoch)))
