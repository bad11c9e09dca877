"""Render the bank of heads that the face detector is trained on: people who do not exist, cut out of the background.

    python datasets/make_heads.py --output datasets/heads

The same options give the same bytes, whatever the number of workers; an interrupted run goes on where it stopped when
the same command is given again. landmarks/train_detector.py puts the heads into pictures of several people.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path

from lwface.base.commands import load
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.commands.flags import add_num_workers_flag, command_parser
from lwface.synthetic.head_options import HEADS, HeadOptions

HELP = {
    "seed": "another seed, other people",
    "people": "how many",
    "shots": "heads of each, seen from in front",
    "backs": "heads of each, seen from behind: what looks like a face and is none",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; its ``options`` are what to make."""
    parser = command_parser(__doc__)
    usual, output = HeadOptions(), Path("datasets/heads")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=output, help="folder to write")
    for name, what in HELP.items():
        parser.add_argument(f"--{name}", type=int, metavar="N", default=getattr(usual, name), help=what)
    add_num_workers_flag(parser)
    arguments = parser.parse_args(argv)
    arguments.options = HeadOptions(**{field.name: getattr(arguments, field.name) for field in fields(HeadOptions)})
    arguments.options.check()
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Make the bank, or say that it is there."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.synthetic.head_bank import PRODUCTS, VERSION, generate_heads

    options: HeadOptions = arguments.options
    output: Path = arguments.output
    job = fingerprint({"command": "make_heads", "version": VERSION, **asdict(options)}, [])
    journal = open_job(output, job, PRODUCTS)
    if journal is None:
        print(f"{output} is already complete")
    else:
        with journal:
            generate_heads(options, output, journal, arguments.num_workers)
    print(f"{read_manifest(output)['heads']} heads of {options.people} people in {output / HEADS}")
