"""Train a face-recognition network: ``python recognition/train.py --network y2 --loss arcface --dataset retina``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import (
    add_device_flag,
    add_place_flags,
    add_setting_flag,
    add_track_flag,
    command_parser,
    places_of,
)
from lwface.gate.budgets import get_track
from lwface.models.names import teacher_file
from lwface.settings.dataset_folder import several
from lwface.settings.places import Places, require_dataset
from lwface.settings.run import RUN_DEFAULTS, RUN_SETTINGS, step_list
from lwface.settings.sections import NAMED, load_sections

# Settings with a flag, in the order of --help. Underscores become dashes.
FLAGS = (
    *("models_root", "pretrained", "pretrained_epoch", "pretrained_pixels", "pretrained_epsilon"),
    *("ckpt", "verbose", "lr", "lr_steps", "wd", "mom", "frequent"),
    *("per_batch_size", "kvstore"),  # up to here the original's
    *("seed", "max_steps", "num_workers", "precision", "skip_bad", "lr_policy", "warmup_steps", "accumulate"),
    *("leave_out", "data_licence", "in_memory"),
    *("end_epoch", "checkpoint_steps", "optimizer", "clip_norm", "ema", "augment"),
    *("deterministic", "nonfinite_limit"),
    *("sample_rate", "sample_policy", "sample_full", "fc7_chunk", "fc7_products"),
    *("teacher", "teacher_cache", "distill", "distill_weight", "identity_weight", "distill_rounds"),
    *("head_start", "head_warmup_steps", "backbone_lr_mult", "freeze", "freeze_bn", "start_share"),
    *("margin_warmup_steps", "join", "verify_also", "fc7_lr_mult"),
)
FINETUNED = "; without this flag a tenth of it where --pretrained gives the network"  # of the rate, in its help


class Training(NamedTuple):
    """What the command line asks for."""

    names: dict[str, str]  # of network, data set and loss
    overrides: dict[str, Any]  # settings that were given
    places: Places
    device: str
    resume: bool
    track: str | None


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the command line and train."""
    wish = parse_arguments(sys.argv[1:] if argv is None else argv)
    load("torch")
    from lwface.recognition.rounds import train_in_rounds
    from lwface.settings.resolve import resolve
    from lwface.training.processes import joined

    with joined(wish.device):
        run = resolve(**wish.names, places=wish.places, **wish.overrides)
        return train_in_rounds(run, device=wish.device, resume=wish.resume, track=wish.track)


def parse_arguments(argv: Sequence[str]) -> Training:
    """Parse the command line.

    The names of network, data set and loss are read first: they decide the other flags' defaults, which ``--help``
    shows. ``--network y2 --help`` therefore shows those of y2.

    Raises:
        UserError: an unknown name, or an impossible value.
    """
    first = command_parser(None, add_help=False)
    add_place_flags(first)
    places = places_of(first.parse_known_args(argv)[0])
    sections = load_sections(places)
    names = command_parser(None, add_help=False, parents=[first])
    for section in NAMED:
        names.add_argument(f"--{section}", default=sections.default[section], help=RUN_SETTINGS[section].meaning)
    chosen = {section: getattr(names.parse_known_args(argv)[0], section) for section in NAMED}
    usual = {**RUN_DEFAULTS, **sections.merged(**chosen)}

    usual["models_root"] = str((places.root / Path(usual["models_root"]).expanduser()).resolve())
    entries = ", ".join(f"--{section} {name}" for section, name in chosen.items())
    parser = command_parser(
        "Train a face-recognition network; verifies and saves while it trains, continues with --resume. The defaults "
        f"shown are those of {entries}: the entries of others in the configuration may say otherwise.",
        parents=[names],
    )
    for key in FLAGS:
        setting = RUN_SETTINGS[key]
        if key == "lr":
            setting = replace(setting, meaning=f"{setting.meaning}{FINETUNED}")
        add_setting_flag(parser, key, setting, usual[key])
    add_device_flag(parser)
    parser.add_argument("--resume", action="store_true", help="continue the run; from the beginning if there is none")
    add_track_flag(parser, "refuse a network over the budget of this track")
    parsed = vars(parser.parse_args(argv))
    if parsed["track"] is not None:
        get_track(parsed["track"])
    given = {key: parsed[key] for key in FLAGS if parsed[key] != usual[key]}
    if any(word.partition("=")[0] == "--lr" for word in argv):  # the usual rate, but wanted: finetuning has another
        given["lr"] = parsed["lr"]
    for key, value in given.items():
        if problem := RUN_SETTINGS[key].problem(value):
            flag = f"--{key.replace('_', '-')} {value}"
            raise UserError(f"{flag}: {key} = {value!r}: {problem} ({RUN_SETTINGS[key].meaning})")
    step_list(parsed["lr_steps"])
    existing(parsed["leave_out"] or None)
    for teacher in parsed["teacher"] or ():
        teacher_file(teacher)
    existing(*filter(None, (path.strip() for path in parsed["verify_also"].split(","))))
    for path, name in zip([usual["dataset_path"], *usual["more_paths"]], several(chosen["dataset"]), strict=True):
        require_dataset(places.dataset_folder(path), name)
    return Training(chosen, given, places, parsed["device"], parsed["resume"], parsed["track"])
