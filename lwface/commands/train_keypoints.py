"""Train for Kaggle's "Facial Keypoints Detection": fifteen points on 96x96 greys.

    python landmarks/train_keypoints.py --data datasets/keypoints --approach masked --network mobileface

--data is the folder with the challenge's training.csv (or one that datasets/make_keypoints.py made). Most of its rows
know four of the points only. --approach drop learns from complete rows alone; ffill fills a gap with the last known
point above it; two-models is drop and a second model for the four points; masked learns from every row and leaves what
is missing out of the loss. The model that is the best by RMSE on the rows held out is kept:
MODELS_ROOT/NETWORK-APPROACH-DATA/model,1, of two-models the second one in the folder four/ there. Interrupted, the same
command with --resume continues.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

from lwface.base.commands import load
from lwface.base.errors import UserError
from lwface.commands.flags import add_device_flag, add_setting_flag, command_parser
from lwface.formats.keypoint_tables import TRAINING, challenge_file
from lwface.landmarks.keypoint_choices import (
    APPROACHES,
    NETWORKS,
    NO_AUGMENTATION,
    RUN_FLAGS,
    Augmentation,
    KeypointSettings,
)
from lwface.settings.places import Places
from lwface.settings.run import RUN_SETTINGS

HELP = {
    "shift": "move a training image by up to so many pixels",
    "scale": "scale it by up to this share",
    "rotation": "turn it by up to so many degrees",
    "brightness": "change its contrast by up to this share, and its greys by up to this share of half of their range",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; its ``settings`` are what to train."""
    usual, changed = KeypointSettings(), Augmentation()
    usual = replace(usual, models_root=str(Places.of().root / usual.models_root))
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--data", type=Path, metavar="FOLDER", required=True, help=f"folder with {TRAINING}")
    add("--approach", choices=APPROACHES, default=usual.approach, help="what becomes of points that are missing")
    add("--network", choices=NETWORKS, default=usual.network, help="network")
    for key in RUN_FLAGS:
        add_setting_flag(parser, key, RUN_SETTINGS[key], getattr(usual, key))
    add("--held-out", type=float, default=usual.held_out, metavar="X", help="share of the rows that judge")
    mirror = "mirror a training image with probability one half; the points of left and right change their names"
    add("--mirror", action=argparse.BooleanOptionalAction, default=changed.mirror, help=mirror)
    for name, what in HELP.items():
        add(f"--{name}", type=float, default=getattr(changed, name), metavar="X", help=what)
    add("--no-augmentation", action="store_true", help="leave the training images as they are")
    add_device_flag(parser)
    add("--resume", action="store_true", help="continue the run; from the beginning if there is none")
    arguments = parser.parse_args(argv)
    given = Augmentation(**{field.name: getattr(arguments, field.name) for field in fields(Augmentation)})
    if arguments.no_augmentation and given != changed:
        raise UserError("--no-augmentation leaves the images as they are: leave out the flags that say how they change")
    given.check()
    for key in RUN_FLAGS:
        if problem := RUN_SETTINGS[key].problem(getattr(arguments, key)):
            flag = f"--{key.replace('_', '-')} {getattr(arguments, key)}"
            raise UserError(f"{flag}: {problem} ({RUN_SETTINGS[key].meaning})")
    if arguments.max_steps < 1:
        raise UserError(f"--max-steps {arguments.max_steps}: expected 1 or more")
    if not 0 < arguments.held_out < 1:
        raise UserError(f"--held-out {arguments.held_out:g}: expected more than 0 and less than 1")
    challenge_file(arguments.data, TRAINING)
    own = {key: getattr(arguments, key) for key in (*RUN_FLAGS, "approach", "network", "held_out")}
    arguments.settings = KeypointSettings(
        **own,
        dataset=arguments.data.resolve().name,
        augmentation=NO_AUGMENTATION if arguments.no_augmentation else given,
    )
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Train; the exit status."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.formats.keypoint_images import read_training
    from lwface.landmarks.keypoint_training import check_new_keypoints, train_keypoints

    check_new_keypoints(arguments.settings, resume=arguments.resume)
    faces = read_training(challenge_file(arguments.data, TRAINING))
    return train_keypoints(
        arguments.settings, faces, str(arguments.data), device=arguments.device, resume=arguments.resume
    )
