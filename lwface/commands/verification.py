"""Accuracy, validation rate and XNorm of an LFW-style pack, from the features of its images.

    python eval/verification.py --features lfw_features.bin --pack lfw.bin

The features are those of the pack's images in its order, so that pair ``i`` is rows ``2i`` and ``2i+1``. They are
normalised here. With ``--mirrored`` the features of the mirrored images are added first, as the challenge's trainer
does; then both files must be as the network gives them, and XNorm is the mean norm of all of them. What the figures
mean: ``lwface/scoring/pack_accuracy.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import existing, load
from lwface.commands.flags import command_parser
from lwface.scoring.parameters import FOLDS, VALIDATION_FAR


def main(argv: list[str] | None = None) -> None:
    """Score the features named on the command line and print the figures in the trainer's words."""
    args = parse_arguments(argv)
    load("numpy")
    from lwface.base.errors import UserError
    from lwface.base.files import write_json
    from lwface.formats.feature_file import read_features
    from lwface.formats.pair_lists import read_issame
    from lwface.formats.verification_pack import read_pack
    from lwface.scoring.pack_accuracy import pack_figures

    plain = read_features(args.features)
    same = read_pack(args.pack).issame if args.pack else read_issame(args.issame)
    if len(plain) != 2 * len(same):
        raise UserError(
            f"{args.features}: {len(plain)} rows for the {len(same)} pairs of {args.pack or args.issame}; "
            "pair i is rows 2i and 2i+1, each image has its own"
        )
    mirrored = read_features(args.mirrored) if args.mirrored else None
    found = pack_figures(plain, same, mirrored, far=args.far, folds=args.folds)
    print(found.table(Path(args.features).stem))
    if args.json:
        write_json(args.json, found.as_json())


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments, checked as far as they can be before anything is computed.

    Raises:
        OSError: a file is not there.
    """
    parser = command_parser("Accuracy and validation rate on a pack of face pairs, from its features.")
    add = parser.add_argument
    add("--features", metavar="FILE", required=True, help="features of the pack's images; pair i is rows 2i and 2i+1")
    add("--mirrored", metavar="FILE", help="features of the mirrored images, to be added; neither file normalised")
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument("--pack", metavar="FILE", help="the verification pack, such as lfw.bin, for its labels")
    labels.add_argument(
        "--issame", metavar="FILE", help="the labels as text: a line for each pair, 1 one person, 0 two"
    )
    folds = (
        f"parts that the pairs are cut into, in order; not given: {FOLDS}, or the fewer that a pack of build_pack.py "
        "--folds shows by the order of its pairs"
    )
    add("--folds", type=int, metavar="N", help=folds)
    add(
        "--far",
        type=float,
        default=VALIDATION_FAR,
        help="false accept rate of the validation rate, above 0 and below 1",
    )
    add("--json", metavar="FILE", help="write the figures here, with all digits")
    args = parser.parse_args(argv)
    if not 0 < args.far < 1:
        parser.error(f"--far {args.far:g} is not above 0 and below 1")
    existing(args.features, args.mirrored, args.pack, args.issame)
    return args
