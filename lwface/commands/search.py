"""Search for a network: ``python recognition/search.py --track deepglint-light --dataset ytf --trials 20``."""

from __future__ import annotations

import argparse
import keyword
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.base.extras import require
from lwface.commands.flags import add_device_flag, add_place_flags, command_parser, places_of
from lwface.gate.budgets import TRACKS, get_track
from lwface.scoring.parameters import parse_fars
from lwface.search.options import FAMILIES, SearchOptions
from lwface.settings.places import Places, require_dataset
from lwface.settings.sections import load_sections

PROXY_LOSS = "softmax"  # learns fastest: a margin needs longer than a short training to show which network is better
PLAIN = (  # options that are their flags' values
    *("dataset", "loss", "final_loss", "trials", "family", "steps", "images_per_step", "lr", "act", "reports"),
    *("seed", "name", "device"),
)
MODES = (*FAMILIES, "both")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and search."""
    options = parse_arguments(sys.argv[1:] if argv is None else argv)
    require("optuna", extra="search")
    load("torch")
    from lwface.search.study import search

    return search(options)


def parse_arguments(argv: Sequence[str]) -> SearchOptions:
    """Parse the command line.

    Raises:
        UserError: an unknown name, or a value that cannot be.
    """
    first = command_parser(None, add_help=False)
    add_place_flags(first)
    sections = load_sections(places_of(first.parse_known_args(argv)[0]))
    default = sections.default
    parser = command_parser(
        "Search for a network under a track's budget: short trainings of proposed networks, all within it. "
        "The same command continues a search that was interrupted.",
        parents=[first],
    )
    add = parser.add_argument
    add("--track", required=True, help=f"budget that every network keeps: {', '.join(TRACKS)}")
    add(
        "--dataset",
        required=True,
        help="data set to train and judge on, by its name in the configuration, or its folder",
    )
    add("--trials", type=int, default=20, help="networks to train in all, those of an interrupted search included")
    add("--family", choices=MODES, default="mobile", help="networks to search among")
    add("--loss", default=PROXY_LOSS, help="loss of the short trainings, by its name in the configuration")
    add("--final-loss", default=default["loss"], help="loss in the printed command that trains the winner")
    add("--steps", type=int, default=300, help="length of each training")
    add("--images-per-step", type=int, default=64, help="images a step of each training")
    add("--lr", type=float, help="learning rate at its highest; not given: the configuration's, below --root")
    add("--act", default="prelu", help="activation of the networks (net_act); relu is faster on a CPU")
    add(
        "--reports",
        type=int,
        default=3,
        help="times a network is judged in its training, the end included; 1: no pruning",
    )
    add("--far", help="FAR whose TAR judges; not given: the lowest power of ten that lets 100 impostor pairs in")
    add("--min-flops", type=float, default=0.25, help="share of the track's FLOPs that every network spends at least")
    add("--max-flops", type=float, default=1.0, help="share of the track's FLOPs that every network spends at most")
    add(
        "--baseline", default="", help="networks of the configuration to train likewise and show beside, such as y1,m05"
    )
    add("--seed", type=int, default=0, help="fixes the networks proposed, their first weights and the order of images")
    add("--name", default="found", help="name of the winner's entry in the configuration")
    add("--models-root", help="where the search gets a folder of its own; not given: the configuration's, below --root")
    add_device_flag(parser)
    parsed = parser.parse_args(argv)
    _check(parsed)
    places = places_of(parsed)
    require_dataset(places.dataset_folder(sections.entry("dataset", parsed.dataset)["dataset_path"]), parsed.dataset)
    return SearchOptions(
        track=get_track(parsed.track),
        shares=(parsed.min_flops, parsed.max_flops),
        far=_far(parsed.far),
        baselines=tuple(name.strip() for name in parsed.baseline.split(",") if name.strip()),
        models_root=_models_root(parsed.models_root, default["models_root"], places),
        places=places,
        **{key: getattr(parsed, key) for key in PLAIN},
    )


def _check(parsed: argparse.Namespace) -> None:
    for flag, least in (("trials", 1), ("steps", 1), ("images_per_step", 2), ("reports", 1), ("seed", 0)):
        value = getattr(parsed, flag)
        if value < least:
            raise UserError(f"--{flag.replace('_', '-')} {value}: at least {least} is needed")
    if parsed.reports > parsed.steps:
        raise UserError(f"--reports {parsed.reports}: at most one a step, and there are --steps {parsed.steps}")
    if not 0 <= parsed.min_flops <= parsed.max_flops <= 1 or parsed.max_flops == 0:
        raise UserError(
            f"--min-flops {parsed.min_flops:g} and --max-flops {parsed.max_flops:g}: expected shares of the track's "
            "FLOPs from 0 to 1, the first not above the second"
        )
    if not parsed.name.isidentifier() or keyword.iskeyword(parsed.name):
        raise UserError(f"--name {parsed.name!r}: expected a name that Python takes after 'network.', such as found")


def _far(text: str | None) -> Fraction | None:
    if text is None:
        return None
    fars = parse_fars(text)
    if len(fars) > 1:
        raise UserError(f"--far {text}: one is needed, networks are ranked by it")
    return fars[0]


def _models_root(given: str | None, configured: str, places: Places) -> Path:
    """What the user typed starts at the current folder, what the configuration says at the project's root."""
    base = Path.cwd() if given else places.root
    return (base / Path(given or configured).expanduser()).resolve()
