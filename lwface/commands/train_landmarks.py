"""Train a network that puts 68 points on a face; verifies and saves while it trains, continues with --resume.

    python landmarks/train.py --data data --network r12_p --head integral --track landmarks-68
    python landmarks/train.py --data ytf-keypoints --data datasets/synthetic:2 --held-out 0.2

``--data`` takes the challenge's folder (``synthetics_train/annot.pkl``, judged on ``aflw_val``), the YouTube Faces
teaching set, procedural faces made with ``--frames``, or a csv of image,x0,y0,...,x67,y67; several are mixed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import add_device_flag, add_place_flags, command_parser, places_of
from lwface.gate.budgets import LANDMARKS, get_budget
from lwface.landmarks.options import BOX, DEFAULT_HEAD, DEFAULTS, LOSS_OF_HEAD, VIEWS, PointSource, PointWish
from lwface.settings.run import RUN_SETTINGS
from lwface.settings.sections import load_sections

# Settings of every run that have a flag here, in the order of --help.
FLAGS = (
    *(
        "models_root",
        "lr",
        "wd",
        "per_batch_size",
        "max_steps",
        "warmup_steps",
        "lr_policy",
        "optimizer",
        "ema",
        "accumulate",
    ),
    *("seed", "verbose", "frequent", "checkpoint_steps", "ckpt", "num_workers", "precision"),
)
LOSSES = ("wing", "l1", "smooth_l1", "nll", "adaptive_wing", "l2", "cross_entropy")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; ``wish`` and ``settings`` are what it asks for."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    what = "folder or csv of pictures with points; may be given again; :TIMES behind it takes each so often an epoch"
    add("--data", metavar="PATH[:TIMES]", action="append", required=True, help=what)
    add("--val", metavar="PATH", type=Path, help="what judges; not given: aflw_val of --data, or people of it held out")
    add(
        "--held-out", metavar="SHARE", type=float, default=0.1, help="share of the people of --data that judge; 0: none"
    )
    add("--split-seed", metavar="N", type=int, default=0, help="draws the people held out")
    add("--network", metavar="NAME", default="r12_p", help="network of the configuration whose body it is")
    add("--head", choices=sorted(LOSS_OF_HEAD), default=DEFAULT_HEAD, help="how the points are read off the body's map")
    add("--loss", choices=LOSSES, help="what the head learns by; not given: the head's usual one")
    what = (
        "what the network sees: a square around the face's box, the whole picture of one face, or both in turn, to "
        "find the box by itself"
    )
    add("--view", choices=VIEWS, default=BOX, help=what)
    add("--augmentation", metavar="X", type=float, default=1.0, help="factor on the strength of the augmentation")
    what = "share of the steps, the last ones, in which crops are around the true boxes (usual: 0.5)"
    add("--settle", metavar="SHARE", type=float, default=0.5, help=what)
    what = "a model of points to start from, or a face-recognition model of this network, for the body alone"
    add("--pretrained", metavar="MODEL", default="", help=what)
    for key in FLAGS:
        setting, choices = RUN_SETTINGS[key], RUN_SETTINGS[key].choices or None
        flag = f"--{key.replace('_', '-')}"
        add(flag, type=setting.kind, choices=choices, help=f"{setting.meaning} (usual: {_usual(key)})")
    add("--track", metavar="NAME", help=f"refuse a network over the budget of this track, such as {LANDMARKS.name}")
    add("--resume", action="store_true", help="continue the run; from the beginning if there is none")
    add_device_flag(parser)
    add_place_flags(parser)
    arguments = parser.parse_args(argv)
    if arguments.track:
        get_budget(arguments.track)
    if not 0 <= arguments.held_out < 1:
        raise UserError(f"--held-out {arguments.held_out:g}: expected a share from 0 to below 1")
    if not 0 <= arguments.augmentation <= 3:
        raise UserError(f"--augmentation {arguments.augmentation:g}: expected 0 to 3")
    if not 0 <= arguments.settle <= 1:
        raise UserError(f"--settle {arguments.settle:g}: expected a share from 0 to 1")
    arguments.places = places_of(arguments)
    load_sections(arguments.places).entry("network", arguments.network)
    sources = [PointSource.of(text) for text in arguments.data]
    for source in sources:
        if not source.path.exists():
            raise UserError(f"--data {source.path}: no such folder or csv")
    if arguments.val is not None and not arguments.val.exists():
        raise UserError(f"--val {arguments.val}: no such folder or csv")
    arguments.wish = PointWish(
        arguments.network,
        arguments.head,
        arguments.loss or LOSS_OF_HEAD[arguments.head],
        sources,
        arguments.val,
        arguments.held_out,
        arguments.split_seed,
        arguments.view,
        arguments.augmentation,
        arguments.settle,
        arguments.pretrained,
    )
    arguments.settings = {key: getattr(arguments, key) for key in FLAGS}
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and train."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.landmarks.train import train

    return train(
        arguments.wish,
        places=arguments.places,
        device=arguments.device,
        resume=arguments.resume,
        track=arguments.track,
        **arguments.settings,
    )


def _usual(key: str) -> Any:
    if key == "models_root":
        return f"{DEFAULTS[key]}, below --root"
    if key in DEFAULTS:
        return DEFAULTS[key]
    import dataclasses

    from lwface.settings.run import Run

    return next(one.default for one in dataclasses.fields(Run) if one.name == key)
