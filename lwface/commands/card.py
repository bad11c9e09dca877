"""What a model is: its data sets and their licences, settings, commit, figures, and the same of what it started from.

    python recognition/card.py --model models/y2-arcface-retina/model,1

prints Markdown, to be read or to become a model's README; ``--json`` gives what the file beside the model holds.
"""

from __future__ import annotations

import argparse
import json

from lwface.base.commands import load
from lwface.base.files import write_json
from lwface.commands.flags import PRINT, add_json_flag, add_model_flag, check_is_no_folder, command_parser
from lwface.models.card import card_text, read_card


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; ``card`` is what it asks for."""
    parser = command_parser(__doc__)
    add_model_flag(parser)
    add_json_flag(parser)
    arguments = parser.parse_args(argv)
    if arguments.json and arguments.json != PRINT:
        check_is_no_folder("--json", arguments.json, "the file with the card")
    arguments.card = read_card(arguments.model)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Print it."""
    arguments = parse_arguments(argv)
    load()  # nothing: a card is text
    if arguments.json and arguments.json != PRINT:
        write_json(arguments.json, arguments.card)
    print(json.dumps(arguments.card, indent=2) if arguments.json == PRINT else card_text(arguments.card))
