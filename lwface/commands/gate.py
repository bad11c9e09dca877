"""The gate: what a network costs by the official count, and whether a track admits it.

Exit status 0: counted, and within the budget of ``--track`` if one is given; 1: over it; 2: bad usage.
"""

from __future__ import annotations

import argparse
import json

from lwface.base.commands import EXIT_OK, load
from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.commands.flags import (
    PRINT,
    add_json_flag,
    add_layer_flag,
    add_model_flag,
    add_place_flags,
    check_is_no_folder,
    command_parser,
    places_of,
)
from lwface.formats.keypoint_tables import POINTS
from lwface.gate.budgets import BUDGETS, LANDMARKS, get_budget
from lwface.landmarks.keypoint_choices import INPUT_SHAPE, NETWORKS
from lwface.landmarks.options import DEFAULT_HEAD, LOSS_OF_HEAD
from lwface.models.names import model_file
from lwface.settings.sections import load_sections

EXIT_OVER_BUDGET = 1
# What a network of the configuration bears on the track of landmarks, where landmarks/train.py is told no other.
POINT_HEAD = {"point_head": DEFAULT_HEAD, "points": LANDMARKS.embedding // 2, "point_loss": LOSS_OF_HEAD[DEFAULT_HEAD]}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    what = (
        "network to count, by its name in the configuration (with --track landmarks-68 with the usual head of points), "
        f"or of the keypoint challenge: {', '.join(NETWORKS)}"
    )
    which.add_argument("--network", metavar="NAME", help=what)
    add_model_flag(which, required=False)
    add_layer_flag(parser)
    parser.add_argument("--track", help=f"track whose budget decides the exit status: {', '.join(BUDGETS)}")
    add_place_flags(parser)
    add_json_flag(parser)
    parser.add_argument("--output", metavar="FILE", help=argparse.SUPPRESS)  # --json FILE, as it was called
    parser.add_argument("--per-layer", action="store_true", help="add a table of every layer that was executed")
    arguments = parser.parse_args(argv)
    if arguments.track:
        get_budget(arguments.track)
    if arguments.layer and not arguments.model:
        raise UserError(
            f"--layer {arguments.layer}: a network of the configuration has one output; it goes with --model"
        )
    if arguments.model:
        model_file(arguments.model)
    elif arguments.network not in NETWORKS:
        load_sections(places_of(arguments)).entry("network", arguments.network)
    for flag, path in (("--json", arguments.json), ("--output", arguments.output)):
        if path and path != PRINT:
            check_is_no_folder(flag, path, "the file with the figures")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Count, print, and decide."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.gate.flops import count_flops
    from lwface.gate.report import as_json, as_text, layer_table
    from lwface.landmarks.keypoint_models import is_keypoint_model, load_keypoint_model
    from lwface.landmarks.keypoint_networks import create_keypoint_network
    from lwface.models.store import load_model
    from lwface.networks import create_network
    from lwface.settings.resolve import network_settings

    track = get_budget(arguments.track) if arguments.track else None
    head = POINT_HEAD if track is LANDMARKS and arguments.network not in NETWORKS else {}
    if arguments.model:
        if is_keypoint_model(arguments.model):
            report = count_flops(load_keypoint_model(arguments.model), INPUT_SHAPE)
        else:
            report = count_flops(load_model(arguments.model, arguments.layer)[0])
        file_bytes = model_file(arguments.model).stat().st_size
        subject, size = {"model": arguments.model}, max(report.model_bytes, file_bytes)
    else:
        if arguments.network in NETWORKS:
            report = count_flops(create_keypoint_network(arguments.network, POINTS), INPUT_SHAPE)
        else:
            settings = {**network_settings(arguments.network, places_of(arguments)), **head}
            report = count_flops(create_network(settings))
        subject, size = {"network": arguments.network}, report.model_bytes
        if head:
            subject["head"] = head["point_head"]
    figures = as_json(subject, report, size, track)
    full = {**figures, "layers": [vars(layer) for layer in report.layers]} if arguments.per_layer else figures
    for path in {arguments.json, arguments.output} - {None, PRINT}:
        write_json(path, full)
    if arguments.json == PRINT:
        print(json.dumps(full, indent=2))
    else:
        if arguments.per_layer:
            print(layer_table(report.layers))
        print(as_text(figures, track))
    return EXIT_OK if track is None or figures["fits"] else EXIT_OVER_BUDGET
