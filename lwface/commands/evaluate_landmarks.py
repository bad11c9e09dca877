"""Score a solution.txt, or the zip of one, against true points: NME, public, private and total.

    python landmarks/evaluate.py --solution solution.zip --truth aflw_val/annot.pkl --public 0.6 --report report

The challenge divides by 384 whatever the size of a picture; NME by the box and between the eyes stand beside it, with
regions, poses, failures, and for videos the jitter. Intervals are over people, or pictures where people are not known.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.commands.flags import PRINT, add_json_flag, check_least, command_parser


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--solution", metavar="FILE", type=Path, required=True, help="solution.txt, or the zip with it")
    add("--truth", metavar="PATH", type=Path, required=True, help="annot.pkl, or another folder or csv of true points")
    what = "of videos and people that --truth shows, score only those held out: the share of people, as in training"
    add("--held-out", metavar="SHARE", type=float, help=what)
    add("--split-seed", metavar="N", type=int, default=0, help="draws the people held out, as in training")
    add("--public", metavar="SHARE", type=float, help="share of the faces on the public side, as 0.6 in the challenge")
    add("--seed", metavar="N", type=int, default=0, help="draws the public side")
    add("--report", metavar="DIR", type=Path, help="write report.html here: curves, regions, poses, worst faces")
    add_json_flag(parser)
    arguments = parser.parse_args(argv)
    existing(arguments.solution, arguments.truth)
    for flag, share in (("--public", arguments.public), ("--held-out", arguments.held_out)):
        if share is not None and not 0 < share < 1:
            raise UserError(f"{flag} {share:g}: expected a share above 0 and below 1")
    check_least(arguments, {"seed": 0})
    if arguments.report and arguments.report.exists() and not arguments.report.is_dir():
        raise UserError(f"--report {arguments.report}: is a file; give the name of a folder")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Score, print, and write what was asked for."""
    arguments = parse_arguments(argv)
    load("numpy")
    from lwface.landmarks.evaluation import summary
    from lwface.landmarks.figures import as_text
    from lwface.landmarks.solutions import read_faces

    faces, pictures = read_faces(arguments.solution, arguments.truth, arguments.held_out, arguments.split_seed)
    found = summary(faces, public=arguments.public, seed=arguments.seed)
    if arguments.json == PRINT:
        print(json.dumps(found, indent=2))
    else:
        print(as_text(found))
    if arguments.json and arguments.json != PRINT:
        write_json(arguments.json, found)
    if arguments.report:
        from lwface.landmarks.report import write_point_report
        from lwface.reporting.provenance import provenance

        files = {"solution": arguments.solution}
        if arguments.truth.is_file():
            files["truth"] = arguments.truth
        path = write_point_report(arguments.report, faces, found, pictures, provenance(files))
        print(f"report: {path}")
