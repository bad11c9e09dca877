"""Make a Codabench bundle of a track of a challenge.

    python challenge/make_bundle.py my-course --output bundle.zip

competition.yaml of version 2, pages, a public and a private phase with migration, a scoring program that needs NumPy
alone, reference data, the starting kit. Upload it on Codabench under Benchmarks, Upload. docs/challenge.md says what
that platform cannot hold.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.challenge.definition import read_challenge
from lwface.commands.flags import check_is_no_folder, command_parser


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of the challenge: challenge/new.py makes one")
    add("--track", metavar="NAME", help="which of its tracks, where it has several: a bundle each")
    add("--output", type=Path, metavar="FILE.zip", required=True, help="the bundle")
    what = "of a recognition track, take the rows of N people: a sub-set protocol of its own, which its pages say"
    add("--people", type=int, metavar="N", help=what)
    arguments = parser.parse_args(argv)
    existing(arguments.folder)
    challenge = read_challenge(arguments.folder)
    names = [track.name for track in challenge.tracks]
    if arguments.track is None and len(names) > 1:
        raise UserError(f"{arguments.folder}: has {len(names)} tracks: give --track, one of {', '.join(names)}")
    arguments.challenge = challenge
    arguments.track = challenge.track(arguments.track or names[0])
    if arguments.people is not None and not arguments.track.kind.startswith("recognition"):
        raise UserError(f"--people: is for recognition; track {arguments.track.name} is of kind {arguments.track.kind}")
    if arguments.output.suffix.lower() != ".zip":
        raise UserError(f"--output {arguments.output}: the bundle is a zip; give a name that ends in .zip")
    check_is_no_folder("--output", arguments.output, "the bundle")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Make it."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.challenge.bundle import write_bundle

    with tempfile.TemporaryDirectory() as name:
        challenge = arguments.challenge
        if arguments.people is not None:
            from lwface.challenge.subset import fewer_people

            challenge = fewer_people(challenge, arguments.track, arguments.people, Path(name))
        made = write_bundle(challenge, arguments.track, arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes, track {arguments.track.name}")
    for name, data in made.files.items():
        print(f"  {name:24} {len(data):>12,}")
    for note in made.notes:
        print(f"note: {note}")
