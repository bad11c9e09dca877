"""Train the face detector on scenes of rendered people; verifies and saves while it trains, continues with --resume.

    python datasets/make_heads.py --output datasets/heads
    python landmarks/train_detector.py --heads datasets/heads

Scenes are put together anew at each step: several heads, one or none before a generated backdrop, and things that look
like faces and are none. The people of the scenes that judge are not learnt from. Nothing real is needed or used.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import add_device_flag, add_setting_flag, check_least, command_parser
from lwface.detection_training.options import RUN_FLAGS, DetectorSettings
from lwface.settings.places import Places
from lwface.settings.run import RUN_SETTINGS

HELP = {
    "held_out": "share of the bank's people, the last ones, in the scenes that judge",
    "judged": "how many scenes judge",
    "side": "pixels of the largest scenes learnt from; smaller ones come between",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; its ``settings`` are what to train."""
    usual = DetectorSettings()
    usual = replace(usual, models_root=str(Places.of().root / usual.models_root))
    parser = command_parser(__doc__)
    heads = Path("datasets/heads")
    parser.add_argument("--heads", type=Path, metavar="FOLDER", default=heads, help="bank of heads of make_heads.py")
    for name, what in HELP.items():
        value = getattr(usual, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), metavar="N", default=value, help=what)
    what = "a detector to start from, FILE.safetensors of an earlier training"
    parser.add_argument("--pretrained", metavar="FILE", default="", help=what)
    for key in RUN_FLAGS:
        add_setting_flag(parser, key, RUN_SETTINGS[key], getattr(usual, key))
    add_device_flag(parser)
    parser.add_argument("--resume", action="store_true", help="continue the run; from the beginning if there is none")
    arguments = parser.parse_args(argv)
    for key in RUN_FLAGS:
        if problem := RUN_SETTINGS[key].problem(getattr(arguments, key)):
            flag = f"--{key.replace('_', '-')} {getattr(arguments, key)}"
            raise UserError(f"{flag}: {problem} ({RUN_SETTINGS[key].meaning})")
    check_least(arguments, {"max_steps": 1, "judged": 1, "per_batch_size": 2, "side": 64})
    if not 0 < arguments.held_out < 1:
        raise UserError(f"--held-out {arguments.held_out:g}: expected a share above 0 and below 1")
    existing(arguments.heads, arguments.pretrained or None)
    arguments.settings = DetectorSettings(**{key: getattr(arguments, key) for key in (*RUN_FLAGS, *HELP, "pretrained")})
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Train; the exit status."""
    arguments = parse_arguments(argv)
    load("torch")
    from lwface.detection_training.train import train_detector

    return train_detector(arguments.settings, arguments.heads, device=arguments.device, resume=arguments.resume)
