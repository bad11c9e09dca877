"""Make procedural people in sequences, in the format of the faceless challenge: images.tar and pose.pkl.

    python sequences/make_people.py
    python sequences/make_people.py --face masked --output datasets/people-masked

Each person has a build, hair, skin and gait, and in every video other clothes, light and place. Of the second half of
the videos, by which is judged, every second shows clothes of the first half again; outings.csv says which. The same
seed with the face masked gives the same frames but for the face. The same options give the same bytes on one machine,
whatever the number of workers; an interrupted run goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields
from pathlib import Path

from lwface.base.commands import load
from lwface.base.journal import fingerprint, open_job, read_manifest
from lwface.commands.flags import add_num_workers_flag, command_parser
from lwface.synthetic.people_options import FACES, PeopleOptions

HELP = {
    "seed": "another seed, other people",
    "people": "how many",
    "videos": "of each; the first half, rounded up, is to learn from",
    "sequences": "of each video: other motion and point of view",
    "frames": "of each sequence",
    "fps": "frames a second",
}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked; its ``options`` are what to make."""
    parser = command_parser(__doc__)
    usual = PeopleOptions()
    output = Path("datasets/people")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=output, help="folder to write")
    for name, what in HELP.items():
        value = getattr(usual, name)
        parser.add_argument(f"--{name}", type=type(value), metavar="N", default=value, help=what)
    parser.add_argument("--face", choices=FACES, default=usual.face, help="masked: a grey disc in place of the face")
    add_num_workers_flag(parser)
    arguments = parser.parse_args(argv)
    arguments.options = PeopleOptions(**{field.name: getattr(arguments, field.name) for field in fields(PeopleOptions)})
    arguments.options.check()
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Make the set, or say that it is there."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.synthetic.people_set import PRODUCTS, VERSION, generate_people

    options: PeopleOptions = arguments.options
    output: Path = arguments.output
    job = fingerprint({"command": "make_people", "version": VERSION, **asdict(options)}, [])
    journal = open_job(output, job, PRODUCTS)
    if journal is None:
        print(f"{output} is already complete")
    else:
        with journal:
            generate_people(options, output, journal, arguments.num_workers)
    made = read_manifest(output)
    print(f"{made['frames']} frames in {made['videos']} videos of {options.people} people in {output}")
