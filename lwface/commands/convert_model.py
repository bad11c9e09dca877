"""Write a trained model as MXNet's files, checked against what it was made from before they get their names.

    python recognition/convert_model.py --model models/y2-arcface-retina/model,1

writes ``models/y2-arcface-retina/model-symbol.json`` and ``model-0001.params``, which MXNet and the official tools
load. Training writes them itself; this is for models trained before it did, and for those of MXNet that should end at
another layer.
"""

from __future__ import annotations

import argparse

from lwface.base.commands import load
from lwface.commands.flags import add_layer_flag, add_model_flag, command_parser
from lwface.models.names import model_file, parse_model


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add_model_flag(parser)
    what = "what to write; the model's own prefix and epoch if not given"
    parser.add_argument("--output", metavar="PREFIX,EPOCH", help=what)
    add_layer_flag(parser)
    arguments = parser.parse_args(argv)
    parse_model(arguments.model)  # not an ONNX model, whose graph is not PyTorch's
    parse_model(arguments.output or arguments.model)
    model_file(arguments.model)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Load, convert, say what was found."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.models.store import load_model
    from lwface.mxnet.export import convert

    prefix, epoch = parse_model(arguments.output or arguments.model)
    network, _ = load_model(arguments.model, arguments.layer)
    print("\n".join(convert(network, prefix, epoch)))
