"""Flags of train.py: the original's and those of this project, on top of the configuration."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from easydict import EasyDict

from lwface.base.commands import HelpFormatter
from lwface.gate.budgets import TRACKS, get_track
from lwface.settings.configuration import SECTIONS, SETTINGS, load_sections, resolve

# Settings with a flag, in the order of --help. Underscores become dashes.
FLAGS = (
    *("models_root", "pretrained", "pretrained_epoch", "ckpt", "verbose", "lr", "lr_steps", "wd", "mom", "frequent"),
    *("per_batch_size", "kvstore"),  # up to here the original's
    *("seed", "max_steps", "num_workers", "precision", "skip_bad", "lr_policy", "warmup_steps", "accumulate"),
    *("end_epoch", "checkpoint_steps", "optimizer"),
)


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked to do."""

    config: EasyDict  # resolved, flags included
    device: str = "auto"
    resume: bool = False
    track: str | None = None


def parse_options(arguments: Sequence[str]) -> RunOptions:
    """Parse the command line.

    The names of network, data set and loss are read first: they decide the other flags' defaults, which ``--help``
    shows. ``--network y2 --help`` therefore shows those of y2.

    Raises:
        UserError: an unknown name, or a setting with an impossible value.
    """
    default = load_sections().default
    names = argparse.ArgumentParser(add_help=False)
    for section in SECTIONS:
        names.add_argument(f"--{section}", default=default[section], help=SETTINGS[section].meaning)
    chosen, _ = names.parse_known_args(arguments)
    config = resolve(chosen.network, chosen.dataset, chosen.loss)

    parser = argparse.ArgumentParser(
        prog="train.py",
        parents=[names],
        description="Train a face-recognition network; verifies and saves while it trains, continues with --resume.",
        formatter_class=HelpFormatter,
    )
    for key in FLAGS:
        _add_flag(parser, key, config[key])
    parser.add_argument("--device", default="auto", help="auto (CUDA where there is one), cpu, cuda or cuda:N")
    parser.add_argument("--resume", action="store_true", help="continue the run; from the beginning if there is none")
    parser.add_argument("--track", help=f"refuse a network over the budget of this track: {', '.join(TRACKS)}")
    parsed = vars(parser.parse_args(arguments))
    if parsed["track"] is not None:
        get_track(parsed["track"])
    given = {key: parsed[key] for key in FLAGS if parsed[key] != config[key]}
    run = {key: parsed[key] for key in ("device", "resume", "track")}
    return RunOptions(resolve(chosen.network, chosen.dataset, chosen.loss, **given), **run)


def _add_flag(parser: argparse.ArgumentParser, key: str, value: Any) -> None:
    flag, setting = f"--{key.replace('_', '-')}", SETTINGS[key]
    if setting.kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=value, help=setting.meaning)
    else:
        choices = setting.choices or None
        parser.add_argument(flag, type=setting.kind, default=value, choices=choices, help=setting.meaning)
