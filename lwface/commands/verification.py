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

import numpy as np
from numpy.typing import NDArray

from lwface.base.commands import HelpFormatter
from lwface.base.errors import UserError
from lwface.base.files import PathLike, write_json
from lwface.formats.feature_file import NORM_TOLERANCE, read_features
from lwface.formats.verification_pack import read_pack
from lwface.scoring.pack_accuracy import FAR, FOLDS, ValidationRate, evaluate, normalise_rows, validation_rate, verify


def main(argv: list[str] | None = None) -> None:
    """Score the features named on the command line and print the figures in the trainer's words."""
    args = _parse(argv)
    name = Path(args.features).stem
    plain = read_features(args.features)
    same = read_pack(args.pack).issame if args.pack else _read_issame(args.issame)
    if len(plain) != 2 * len(same):
        raise UserError(
            f"{args.features}: {len(plain)} rows for the {len(same)} pairs of {args.pack or args.issame}; "
            "pair i is rows 2i and 2i+1, each image has its own"
        )
    if args.mirrored:
        mirrored = read_features(args.mirrored)
        accuracy, std, xnorm = verify(plain, mirrored, same, args.folds)
        rows = normalise_rows(plain.astype(np.float64) + mirrored)
    else:
        rows = normalise_rows(plain.astype(np.float64))
        accuracy, std = evaluate(rows, same, args.folds)[:2]
        xnorm = float(np.mean(np.linalg.norm(plain.astype(np.float64), axis=1)))
    if args.mirrored or abs(xnorm - 1) > NORM_TOLERANCE:  # of unit rows it says nothing
        print(f"[{name}]XNorm: {xnorm:f}")
    print(f"[{name}]Accuracy{'-Flip' if args.mirrored else ''}: {accuracy:1.5f}+-{std:1.5f}")
    validation: ValidationRate | None = None
    try:
        validation = validation_rate(rows, same, args.far, args.folds)
        print(f"[{name}]Validation rate: {validation.rate:2.5f}+-{validation.std:2.5f} @ FAR={validation.far:2.5f}")
    except UserError as error:  # the accuracy stands without it
        print(f"[{name}]Validation rate: none, {error}")
    if args.json:
        found = {"pairs": len(same), "folds": args.folds, "accuracy": accuracy, "std": std, "xnorm": xnorm}
        write_json(args.json, {**found, "validation": validation and {"target_far": args.far, **validation._asdict()}})


def _read_issame(path: PathLike) -> NDArray[np.bool_]:
    lines = Path(path).read_text(encoding="utf-8", errors="replace").split()
    for number, text in enumerate(lines, start=1):
        if text not in ("0", "1"):
            raise UserError(f"{path}, line {number}: {text!r} is not 1 (one person) or 0 (two persons)")
    return np.array(lines) == "1"


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Accuracy and validation rate on a pack of face pairs, from its features.",
        formatter_class=HelpFormatter,
    )
    add = parser.add_argument
    add("--features", metavar="FILE", required=True, help="features of the pack's images; pair i is rows 2i and 2i+1")
    add("--mirrored", metavar="FILE", help="features of the mirrored images, to be added; neither file normalised")
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument("--pack", metavar="FILE", help="the verification pack, such as lfw.bin, for its labels")
    labels.add_argument(
        "--issame", metavar="FILE", help="the labels as text: a line for each pair, 1 one person, 0 two"
    )
    add("--folds", type=int, default=FOLDS, help="parts that the pairs are cut into, in order")
    add("--far", type=float, default=FAR, help="false accept rate of the validation rate, above 0 and below 1")
    add("--json", metavar="FILE", help="write the figures here, with all digits")
    args = parser.parse_args(argv)
    if not 0 < args.far < 1:
        parser.error(f"--far {args.far:g} is not above 0 and below 1")
    return args
