"""Score a submission to the faceless challenge, or signatures as person re-identification does.

    python sequences/evaluate.py --submission solution/submission.json --truth solution/truth.csv --public 0.5
    python sequences/evaluate.py --submission submission.json --samples eval/images.tar --people solution/people.csv
    python sequences/evaluate.py --signatures signatures.pkl

The first gives the challenge's score, top-1 and top-5. The second only checks: where the challenge's server answered
-1, the first fault is told with its row (exit status 2). The third searches for each sequence among all others but
those of its own video: CMC and mAP. Intervals are over people.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.commands.flags import PRINT, add_json_flag, check_is_no_folder, check_least, command_parser

PEOPLE = "people.csv"
UNITS = ("sequence", "video", "frame")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--submission", type=Path, metavar="FILE", help="JSON as the challenge takes it, or a csv with a name a line")
    add("--truth", type=Path, metavar="FILE", help="csv sample,index,person")
    add(
        "--samples",
        type=Path,
        metavar="PATH",
        help="in place of --truth: the evaluation's tar, folder or .pkl; check only",
    )
    what = f"csv index,person: who was learnt from; not given: {PEOPLE} beside --truth, if it is there"
    add("--people", type=Path, metavar="FILE", help=what)
    add("--public", type=float, metavar="SHARE", help="share of the samples on the public side, such as 0.5")
    add("--signatures", type=Path, metavar="FILE", help="signatures.pkl to search with: CMC and mAP")
    add("--gallery", type=Path, metavar="FILE", help="signatures.pkl to search in; not given: --signatures")
    add("--unit", choices=UNITS, help="what has one signature, the mean of its frames'; sequence if not given")
    add("--seed", type=int, default=0, metavar="N", help="draws the public side and the intervals")
    add_json_flag(parser)
    arguments = parser.parse_args(argv)
    check_least(arguments, {"seed": 0})
    if (arguments.submission is None) == (arguments.signatures is None):
        raise UserError("give --submission FILE to score guesses, or --signatures FILE to score a search")
    if arguments.submission is not None and (arguments.truth is None) == (arguments.samples is None):
        raise UserError("--submission: give --truth FILE to score it, or --samples PATH to check it")
    _check_fit(arguments)
    if arguments.public is not None and not 0 < arguments.public < 1:
        raise UserError(f"--public {arguments.public:g}: expected a share above 0 and below 1")
    files = ("submission", "truth", "samples", "people", "signatures", "gallery")
    existing(*(getattr(arguments, name) for name in files))
    if arguments.json and arguments.json != PRINT:
        check_is_no_folder("--json", arguments.json, "the file with the figures")
    if arguments.people is None and arguments.truth is not None and (arguments.truth.parent / PEOPLE).is_file():
        arguments.people = arguments.truth.parent / PEOPLE
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Score or check, and print."""
    arguments = parse_arguments(argv)
    load("numpy")
    found, text = _search(arguments) if arguments.submission is None else _score(arguments)
    if arguments.json and arguments.json != PRINT:
        write_json(arguments.json, found)
    print(json.dumps(found, indent=2) if arguments.json == PRINT else text)


def _check_fit(arguments: argparse.Namespace) -> None:
    """:class:`UserError` where flags of one use are given for another."""
    uses = {
        "--submission": {"truth", "samples", "people", "public"},
        "--signatures": {"gallery", "unit"},
    }
    used = "--submission" if arguments.submission is not None else "--signatures"
    for use, names in uses.items():
        given = [name for name in sorted(names) if getattr(arguments, name) is not None]
        if use != used and given:
            raise UserError(f"--{given[0]} goes with {use}, not with {used}")
    if arguments.public is not None and arguments.truth is None:
        raise UserError("--public divides what is scored: give --truth FILE")


def _score(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from lwface.formats.sequence_paths import samples
    from lwface.formats.sequence_submission import read_guesses, read_people_learnt, read_truth
    from lwface.sequences.leaks import read_side
    from lwface.sequences.scoring import as_text, score_guesses

    people = len(read_people_learnt(arguments.people)) if arguments.people else None
    if arguments.truth is None:
        names = sorted(set(samples(read_side(arguments.samples, contents=False).frames)))
        guesses = read_guesses(arguments.submission, names, people)
        among = f"among {people} people" if people else "people are not checked without --people"
        text = f"{arguments.submission}: {guesses.shape[1]} guesses for each of {len(names)} samples, {among}"
        return {"samples": len(names), "guesses": guesses.shape[1], "people": people}, text
    truth = read_truth(arguments.truth)
    if people is not None and truth.indices.max() >= people:
        raise UserError(
            f"{arguments.truth}: place {truth.indices.max()}, but {arguments.people} has people 0 to {people - 1}"
        )
    guesses = read_guesses(arguments.submission, truth.samples, people)
    found = score_guesses(guesses, truth, public=arguments.public, seed=arguments.seed)
    return found, as_text(found)


def _search(arguments: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from lwface.formats.sequence_pickles import read_signatures
    from lwface.sequences.retrieval import search, search_text, searchable

    unit = arguments.unit or UNITS[0]
    queries = searchable(read_signatures(arguments.signatures), unit, arguments.signatures)
    gallery = queries
    if arguments.gallery:
        gallery = searchable(read_signatures(arguments.gallery), unit, arguments.gallery)
    found = {"unit": unit, **search(queries, gallery, seed=arguments.seed)}
    return found, search_text(found)
