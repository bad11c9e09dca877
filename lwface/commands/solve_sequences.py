"""Solve the faceless challenge: who is on each video, five guesses, the best first.

    python sequences/solve.py --model models/parts_s-people/model,1 --input data/images.tar --pose data/pose.pkl \
        --output solution
    python sequences/solve.py --model M --input data/images.tar --pose data/pose.pkl --signatures data/signatures.pkl \
        --test eval/images.tar --test-pose eval/pose.pkl --test-signatures eval/signatures.pkl --output solution
    python sequences/solve.py --naive --signatures data/signatures.pkl --output solution

--model is a network of sequences/train.py. --naive is the challenge's own: the mean signature of each person, that of
each video, cosines, nothing is trained; its --test is a signatures.pkl. Without --test the first half of each person's
videos is learnt from and the others judge. --output is a folder: submission.json as the challenge takes it,
submission.csv with a name a line, people.csv, and truth.csv where the paths tell who it is; sequences/evaluate.py
scores them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lwface.base.commands import existing, load
from lwface.base.errors import UserError, unknown_name
from lwface.commands.flags import add_device_flag, add_model_flag, command_parser
from lwface.models.names import model_file
from lwface.sequences.clip_options import STEPS

if TYPE_CHECKING:
    from lwface.sequences.naive import Solution

OF_A_MODEL = ("input", "pose", "test_pose", "test_signatures", "without")


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line, checked."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("--naive", action="store_true", help="mean signatures and cosines")
    add_model_flag(parser, required=False)
    add("--input", type=Path, metavar="PATH", help="frames to learn from: the challenge's tar, or a folder")
    add("--pose", type=Path, metavar="FILE", help="pose.pkl of --input")
    add("--signatures", type=Path, metavar="FILE", help="signatures.pkl to learn from; with --model they are fused")
    what = "what to judge: frames as --input, with --naive a signatures.pkl; not given: the other videos"
    add("--test", type=Path, metavar="PATH", help=what)
    add("--test-pose", type=Path, metavar="FILE", help="pose.pkl of --test")
    add("--test-signatures", type=Path, metavar="FILE", help="signatures.pkl of --test, to be fused")
    add("--ratio", type=float, metavar="SHARE", help="of each person's videos to learn from; 0.5 if not given")
    what = f"steps to leave out, with commas between: {', '.join(STEPS)}"
    add("--without", metavar="STEP,...", help=what)
    add("--output", type=Path, metavar="FOLDER", required=True, help="folder to write into")
    add_device_flag(parser)
    arguments = parser.parse_args(argv)
    if arguments.naive == (arguments.model is not None):
        raise UserError("give --model MODEL, or --naive")
    _check_fit(arguments)
    if arguments.ratio is not None and arguments.test:
        raise UserError("--ratio divides the videos of --input or --signatures: leave it out with --test")
    if arguments.ratio is not None and not 0 <= arguments.ratio < 1:
        raise UserError(f"--ratio {arguments.ratio:g}: expected a share from 0 to less than 1")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise UserError(f"--output {arguments.output}: is a file; give the name of a folder")
    arguments.without = frozenset(filter(None, (arguments.without or "").split(",")))
    for step in sorted(arguments.without - set(STEPS)):
        raise unknown_name("step", step, STEPS)
    files = ("input", "pose", "signatures", "test", "test_pose", "test_signatures")
    existing(*(getattr(arguments, name) for name in files))
    if arguments.model:
        existing(model_file(arguments.model))
    return arguments


def _check_fit(arguments: argparse.Namespace) -> None:
    """:class:`UserError` where flags do not go together, or one is missing."""
    needed = "signatures" if arguments.naive else "input"
    if getattr(arguments, needed) is None:
        raise UserError(f"{'--naive' if arguments.naive else '--model'}: give --{needed} too")
    given = [name for name in OF_A_MODEL if getattr(arguments, name) is not None] if arguments.naive else []
    if given:
        raise UserError(f"--{given[0].replace('_', '-')} goes with --model, not with --naive")
    if arguments.test is None and (arguments.test_pose or arguments.test_signatures):
        raise UserError("--test-pose and --test-signatures are of --test: give it")
    if arguments.model and arguments.test and bool(arguments.signatures) != bool(arguments.test_signatures):
        raise UserError("--signatures and --test-signatures: give both, or none")


def main(argv: list[str] | None = None) -> None:
    """Solve, write, and score where the truth is known."""
    arguments = parse_arguments(argv)
    load("numpy" if arguments.naive else "torch")
    from lwface.base.files import shown
    from lwface.formats.sequence_submission import write_guesses, write_people, write_truth
    from lwface.sequences.scoring import as_text, score_guesses

    _check_leaks(arguments)
    solution = _naive(arguments) if arguments.naive else _with_model(arguments)
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


def _check_leaks(arguments: argparse.Namespace) -> None:
    """:class:`UserError` where what is learnt from is judged by."""
    if arguments.test is None:
        return
    from lwface.sequences.leaks import find_leaks, leak_lines, read_side

    first, name = (arguments.signatures, "--signatures") if arguments.naive else (arguments.input, "--input")
    leaks = find_leaks(*(read_side(path) for path in (first, arguments.test)))
    if leaks:
        raise UserError(
            f"{arguments.test}: {leak_lines(leaks)[0]} in {name}, {len(leaks)} in all; what is learnt from "
            "cannot judge (sequences/check_split.py lists them)"
        )


def _naive(arguments: argparse.Namespace) -> Solution:
    from lwface.formats.sequence_pickles import read_signatures
    from lwface.sequences.naive import solve, solve_split

    signatures = read_signatures(arguments.signatures)
    if arguments.test:
        return solve(signatures, read_signatures(arguments.test))
    return solve_split(signatures, 0.5 if arguments.ratio is None else arguments.ratio)


def _with_model(arguments: argparse.Namespace) -> Solution:
    from lwface.sequences.solving import SequenceFiles, solve_with_model

    train = SequenceFiles(arguments.input, arguments.pose, arguments.signatures)
    test = None
    if arguments.test:
        test = SequenceFiles(arguments.test, arguments.test_pose, arguments.test_signatures)
    ratio = 0.5 if arguments.ratio is None else arguments.ratio
    options = {"ratio": ratio, "without": arguments.without, "device": arguments.device}
    return solve_with_model(arguments.model, train, test, **options).solution
