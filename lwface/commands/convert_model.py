"""Write a trained model as MXNet's files, checked against what it was made from before they get their names.

    python recognition/convert_model.py --model models/y2-arcface-retina/model,1

writes ``models/y2-arcface-retina/model-symbol.json`` and ``model-0001.params``, which MXNet and the official tools
load. Training writes them itself; this is for models trained before it did, and for those of MXNet that should end at
another layer.
"""

from __future__ import annotations

import argparse

from lwface.base.commands import HelpFormatter
from lwface.models.store import load_model, parse_model
from lwface.mxnet.export import convert


def parse_arguments() -> argparse.Namespace:
    """Command-line flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter, allow_abbrev=False)
    add = parser.add_argument
    add("--model", required=True, metavar="PREFIX,EPOCH", help="model of this project or of MXNet")
    add("--output", metavar="PREFIX,EPOCH", help="what to write; the model's own prefix and epoch if not given")
    add("--layer", help="output that is the embedding, for a model of MXNet that has several")
    return parser.parse_args()


def main() -> None:
    """Load, convert, say what was found."""
    args = parse_arguments()
    parse_model(args.model)  # not an ONNX model, whose graph is not PyTorch's
    prefix, epoch = parse_model(args.output or args.model)
    network, _ = load_model(args.model, args.layer)
    print("\n".join(convert(network, prefix, epoch)))
