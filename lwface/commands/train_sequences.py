"""Train a network for the faceless challenge: who is on a sequence, by head, trunk, legs, the whole crop and the pose.

    python sequences/train.py --input datasets/people/images.tar --pose datasets/people/pose.pkl
    python sequences/train.py --input data/images.tar --pose data/pose.pkl --ratio 1

--ratio is the share of each person's videos, the first ones, that are learnt from; the others are not opened, and
sequences/solve.py judges by them. Without --pose the whole crop is all there is. Nothing is verified on the way, so the
model of the last step is kept: MODELS_ROOT/NETWORK-DATA/model,1. Interrupted, the same command with --resume continues.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import add_device_flag, add_setting_flag, check_least, command_parser
from lwface.sequences.clip_options import NETWORK_WIDTHS, RUN_FLAGS, ClipSettings
from lwface.settings.places import Places
from lwface.settings.run import RUN_SETTINGS
from lwface.synthetic.people_options import IMAGES, POSE

HELP = {
    "emb_size": "numbers of each part's embedding",
    "frames": "of a sequence that a step takes, in a row",
    "ratio": "of each person's videos that are learnt from",
    "cover": "share of the sequences whose faces are covered by grey, found by the pose, while learning",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; its ``settings`` are what to train."""
    usual = ClipSettings()
    usual = replace(usual, models_root=str(Places.of().root / usual.models_root))
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--input", type=Path, metavar="PATH", required=True, help="frames: the challenge's tar, or a folder")
    add("--pose", type=Path, metavar="FILE", help="pose.pkl of the frames; not given: nothing is known of poses")
    what = f"folder with {IMAGES} and {POSE} of other people, whose videos are all learnt from; may be given again"
    add("--also", type=Path, metavar="FOLDER", action="append", default=[], help=what)
    add("--network", choices=NETWORK_WIDTHS, default=usual.network, help="network")
    for name, what in HELP.items():
        value = getattr(usual, name)
        add(f"--{name.replace('_', '-')}", type=type(value), metavar="N", default=value, help=what)
    for key in RUN_FLAGS:
        add_setting_flag(parser, key, RUN_SETTINGS[key], getattr(usual, key))
    add_device_flag(parser)
    add("--resume", action="store_true", help="continue the run; from the beginning if there is none")
    arguments = parser.parse_args(argv)
    for key in RUN_FLAGS:
        if problem := RUN_SETTINGS[key].problem(getattr(arguments, key)):
            flag = f"--{key.replace('_', '-')} {getattr(arguments, key)}"
            raise UserError(f"{flag}: {problem} ({RUN_SETTINGS[key].meaning})")
    check_least(arguments, {"max_steps": 1, "emb_size": 1, "frames": 1, "per_batch_size": 2})
    for name in ("ratio", "cover"):
        if not 0 <= getattr(arguments, name) <= 1:
            raise UserError(f"--{name} {getattr(arguments, name):g}: expected a share from 0 to 1")
    more = [folder / name for folder in arguments.also for name in (IMAGES, POSE)]
    existing(arguments.input, arguments.pose, *more)
    own = {key: getattr(arguments, key) for key in (*RUN_FLAGS, *HELP, "network")}
    arguments.settings = ClipSettings(**own, dataset=_name(arguments.input))
    return arguments


def _name(frames: Path) -> str:
    """What the data set is called: a tar's folder, as all of them are called images.tar."""
    return (frames if frames.is_dir() else frames.parent).resolve().name or "people"


def main(argv: list[str] | None = None) -> int:
    """Train; the exit status."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.sequences.clip_training import train_clips

    options = {"device": arguments.device, "resume": arguments.resume}
    return train_clips(arguments.settings, arguments.input, arguments.pose, arguments.also, **options)
