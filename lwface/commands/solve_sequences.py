"""Solve the faceless challenge: who is on each video, five guesses, the best first.

    python sequences/solve.py --naive --signatures data/signatures.pkl --output solution
    python sequences/solve.py --naive --signatures data/signatures.pkl --test eval/signatures.pkl --output solution

--naive is the challenge's own: the mean signature of each person, that of each video, cosines, nothing is trained.
Without --test the first half of each person's videos is learnt from and the others judge. --output is a folder:
submission.json as the challenge takes it, submission.csv with a name a line, people.csv, and truth.csv where the paths
tell who it is; sequences/evaluate.py scores them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.base.errors import UserError
from lwface.commands.flags import command_parser


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--naive", action="store_true", required=True, help="mean signatures and cosines; the only solution so far")
    add("--signatures", type=Path, metavar="FILE", required=True, help="signatures.pkl to learn from")
    add(
        "--test", type=Path, metavar="FILE", help="signatures.pkl to judge; not given: the other videos of --signatures"
    )
    add("--ratio", type=float, metavar="SHARE", help="of each person's videos to learn from; 0.5 if not given")
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder to write into")
    arguments = parser.parse_args(argv)
    if arguments.ratio is not None and arguments.test:
        raise UserError("--ratio divides the videos of --signatures: leave it out with --test")
    if arguments.ratio is not None and not 0 <= arguments.ratio < 1:
        raise UserError(f"--ratio {arguments.ratio:g}: expected a share from 0 to less than 1")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UserError(f"--output {arguments.output}: is a file; give the name of a folder")
    existing(arguments.signatures, arguments.test)
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Solve, write, and score where the truth is known."""
    arguments = parse_arguments(argv)
    load("numpy")
    from lwface.base.files import shown
    from lwface.formats.sequence_pickles import read_signatures
    from lwface.formats.sequence_submission import write_guesses, write_people, write_truth
    from lwface.sequences.leaks import find_leaks, leak_lines, read_side
    from lwface.sequences.naive import solve, solve_split
    from lwface.sequences.scoring import as_text, score_guesses

    signatures = read_signatures(arguments.signatures)
    if arguments.test:
        sides = [read_side(path) for path in (arguments.signatures, arguments.test)]
        leaks = find_leaks(*sides)
        if leaks:
            raise UserError(
                f"{arguments.test}: {leak_lines(leaks)[0]} in --signatures, {len(leaks)} in all; what is learnt from "
                "cannot judge (sequences/check_split.py lists them)"
            )
        solution = solve(signatures, read_signatures(arguments.test))
    else:
        solution = solve_split(signatures, 0.5 if arguments.ratio is None else arguments.ratio)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in ("submission.json", "submission.csv"):
        write_guesses(arguments.output / name, solution.samples, solution.guesses)
    write_people(arguments.output / "people.csv", solution.people)
    truth = arguments.output / "truth.csv"
    truth.unlink(missing_ok=True)  # one of another solution would be taken for this one's
    print(f"{arguments.output}: guesses for {len(solution.samples)} samples among {len(solution.people)} people")
    if solution.truth is None:
        return
    write_truth(truth, solution.truth)
    if (solution.truth.indices >= 0).any():
        print(as_text(score_guesses(solution.guesses, solution.truth)))
        submission = shown(arguments.output / "submission.json")
        print(f"more: python sequences/evaluate.py --submission {submission} --truth {shown(truth)}")
