"""Score a submission to a challenge on one's own machine, by the same program as its server.

    python challenge/score.py my-course landmarks solution.zip

All figures of the public half, the private half and of all. A malformed file ends with status 1 and one line: its row
and field.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.files import write_json
from lwface.challenge.definition import read_challenge
from lwface.challenge.kinds import SIDES, ChallengeTrack
from lwface.commands.flags import PRINT, add_json_flag, check_is_no_folder, command_parser


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of the challenge: challenge/new.py makes one")
    add("track", metavar="TRACK", help="name of the track in its challenge.toml")
    add("submission", type=Path, metavar="FILE", help="what is handed in")
    add_json_flag(parser)
    arguments = parser.parse_args(argv)
    existing(arguments.folder, arguments.submission)
    arguments.challenge = read_challenge(arguments.folder)
    arguments.track = arguments.challenge.track(arguments.track)
    if arguments.json and arguments.json != PRINT:
        check_is_no_folder("--json", arguments.json, "the file with the figures")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Score, print."""
    arguments = parse_arguments(argv)
    load("numpy")
    from lwface.challenge.scorers import score

    track: ChallengeTrack = arguments.track
    found = score(track, arguments.submission, arguments.challenge.reference(track)).as_json()
    if arguments.json == PRINT:
        print(json.dumps(found, indent=2, allow_nan=False))
        return
    if arguments.json:
        write_json(arguments.json, found)
    print(f"{track.title}: {arguments.submission}")
    width = max(len(figure.title) for figure in track.figures)
    print(f"  {'':{width}}" + "".join(f"  {side:>12}" for side in SIDES))
    for figure in track.figures:
        told = [figure.text(found[side][figure.name]) for side in SIDES]
        mark = "  <- ranks" if figure.name == track.ranks_by else ""
        print(f"  {figure.title:{width}}" + "".join(f"  {text:>12}" for text in told) + mark)
