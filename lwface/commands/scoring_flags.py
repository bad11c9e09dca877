"""Flags that several of the scoring commands have."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def add_label_flags(add: Callable[..., object]) -> None:
    """The flags ``--label-column`` and ``--label-folders``: what the files of labels are.

    Args:
        add: ``add_argument`` of the parser.
    """
    add("--label-column", metavar="NAME", help="labels are a csv: the column that names the people")
    add(
        "--label-folders",
        metavar="DEPTH",
        type=int,
        nargs="?",
        const=1,
        default=0,
        help="labels are a file list: the folder DEPTH above the last part of a line names the person (1 if not given: "
        "PERSON/IMAGE or PERSON/VIDEO)",
    )


def check_label_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with the parser's error where these flags do not go together."""
    if args.label_folders < 0 or (args.label_column and args.label_folders):
        parser.error("give --label-column, or --label-folders with a depth of at least 1, not both")
