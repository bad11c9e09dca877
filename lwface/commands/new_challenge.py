"""Make a challenge from a template: definition, pages, and a generated test set with a starting kit.

    python challenge/new.py --template landmarks my-course
    python challenge/score.py my-course landmarks my-course/kit/landmarks/sample_submission.txt

It runs at once. Then put your own truth into reference/, your data into kit/, and change challenge.toml and pages/:
docs/challenge.md.
"""

from __future__ import annotations

import argparse
import shlex
from datetime import datetime, timezone
from pathlib import Path

from lwface.base.commands import load
from lwface.base.files import shown
from lwface.challenge.templates import TEMPLATES, NewChallenge, check_new
from lwface.commands.flags import command_parser
from lwface.settings.places import typed


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of the challenge, new or empty")
    add("--template", choices=sorted(TEMPLATES), required=True, help="what to start from")
    add("--samples", type=int, default=60, metavar="N", help="about how many samples each generated test has")
    add("--days", type=int, default=14, metavar="N", help="how long submissions are taken, from today on")
    add("--seed", type=int, default=0, metavar="N", help="of the data, and of what is public")
    arguments = parser.parse_args(argv)
    check_new(_job(arguments))
    return arguments


def _job(arguments: argparse.Namespace) -> NewChallenge:
    today = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return NewChallenge(arguments.folder, arguments.template, arguments.samples, arguments.seed, today, arguments.days)


def main(argv: list[str] | None = None) -> None:
    """Make it."""
    arguments = parse_arguments(argv)
    load("cv2")
    from lwface.challenge.definition import read_challenge
    from lwface.challenge.templates import make_challenge, sample_of

    make_challenge(_job(arguments))
    challenge = read_challenge(arguments.folder)
    print(f"{arguments.folder}: {challenge.title}, open until {challenge.closes:%Y-%m-%d %H:%M %Z}")
    for track in challenge.tracks:
        sample = sample_of(challenge, track)
        assert sample is not None, "every template has one"
        words = map(shlex.quote, (shown(arguments.folder), track.name, shown(sample)))
        print(f"try: {typed('score-challenge', 'challenge/score.py')} {' '.join(words)}")
