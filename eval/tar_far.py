"""Exact 1:1 scores from feature files: TAR at the FARs asked for.

    python eval/tar_far.py --features features.bin --labels labels.txt --far 1e-3,1e-4 --report report

The score of a pair is the cosine of its two features (float32 as stored, normalised and multiplied in float64). A pair
is accepted when its score is at least the threshold; the threshold is the smallest float64 at which the impostor pairs
accepted are at most FAR times all impostor pairs: of impostors that tie there, all are refused. Counts are exact
integers and do not depend on block size or the order of rows. A FAR of less than one impostor pair is reported as not
resolvable.

Pairs: all unordered pairs of rows (default); the list of ``--pairs``; or every ``--probe`` row with every ``--gallery``
row. Labels are one integer a line in the order of the rows, -1 marks a distractor, a person of its own. A score found
here is a local score, not an official one.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: the project's root comes first, not this file's folder
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse

import numpy as np

from common.commands import HelpFormatter, run_command
from common.errors import UserError
from common.feature_file import read_features
from common.files import write_json
from eval.comparisons import Comparisons, Grid, PairList
from eval.faces import Faces
from eval.feature_set import FeatureSet
from eval.labels import read_labels, read_pairs
from eval.operating_points import operating_points, parse_fars
from eval.results import Results, table
from eval.survey import survey


def main(argv: list[str] | None = None) -> None:
    """Read, compare, print the table; write JSON and report where asked."""
    args = _parse(argv)
    fars = parse_fars(args.far)
    comparisons, rows, dim, protocol = _comparisons(args)
    faces = Faces(args.images, rows) if args.images else None
    seen = survey(comparisons) if args.report else None
    points = operating_points(comparisons, fars, impostors=seen.impostors if seen else None)
    results = Results(rows, dim, comparisons.genuine_pairs, comparisons.impostor_pairs, protocol, points)
    print(table(results))
    if args.json:
        write_json(args.json, results.as_json())
    if seen is not None:
        from eval.report import write_report  # draws with Matplotlib, which takes a second to load

        print(f"report: {write_report(args.report, results, seen, faces)}")


def _comparisons(args: argparse.Namespace) -> tuple[Comparisons, int, int, str]:
    """The pairs asked for, the rows and width of their features, and what they are in words."""
    include = args.distractor_pairs == "include"
    without = "" if include else ", without pairs of two distractors"
    if args.probe:
        probe = _features(args.probe, args.probe_labels, side=0)
        gallery = _features(args.gallery, args.gallery_labels, side=1)
        grid = Grid(probe, gallery, block_size=args.block_size, distractor_pairs=include)
        words = f"{len(probe)} probe x {len(gallery)} gallery rows{without}"
        return grid, len(probe) + len(gallery), probe.width, words
    if not args.pairs:
        features = _features(args.features, args.labels)
        grid = Grid(features, None, block_size=args.block_size, distractor_pairs=include)
        return grid, len(features), features.width, f"all pairs{without}"
    raw = read_features(args.features)
    pairs = read_pairs(args.pairs, len(raw))
    if pairs.same is None and not args.labels:
        raise UserError(f"{args.pairs}: lines without SAME need --labels")
    features = _features(args.features, args.labels)
    chosen = PairList(features, *pairs, block_size=args.block_size**2, distractor_pairs=include)
    return chosen, len(features), features.width, f"the pairs of {Path(args.pairs).name}{without}"


def _features(path: str, labels: str | None, side: int = 0) -> FeatureSet:
    features = read_features(path)
    people = read_labels(labels, len(features)) if labels else np.zeros(len(features), dtype=np.int64)  # SAME decides
    return FeatureSet(features, people, path, side)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Exact TAR at FAR from feature files.", formatter_class=HelpFormatter)
    add = parser.add_argument
    add("--features", metavar="FILE", help="feature file whose rows are compared with each other")
    add("--labels", metavar="FILE", help="one integer a line in the order of the rows; -1: a distractor")
    add("--far", default="1e-3,1e-4", help="false accept rates, comma-separated, each above 0 and below 1")
    add("--json", metavar="FILE", help="write the results here")
    add("--report", metavar="DIR", help="write report.html and its plots here")
    add("--images", metavar="DIR", help="folder whose filelist.txt gives the rows' images, for the report's faces")
    add("--pairs", metavar="FILE", help="score these pairs only: ROW ROW [SAME] a line, rows from 0, SAME 0 or 1")
    add("--probe", metavar="FILE", help="feature file whose rows are compared with those of --gallery")
    add("--probe-labels", metavar="FILE", help="labels of the probe rows")
    add("--gallery", metavar="FILE", help="feature file of the gallery")
    add("--gallery-labels", metavar="FILE", help="labels of the gallery rows")
    add("--distractor-pairs", choices=["include", "exclude"], default="include", help="count pairs of two distractors")
    add("--block-size", type=int, default=512, help="columns of a block: changes memory and speed, never a result")
    args = parser.parse_args(argv)
    cross = {"--probe", "--probe-labels", "--gallery", "--gallery-labels"}
    given = {flag for flag in cross if getattr(args, flag[2:].replace("-", "_"))}
    if given and (given != cross or args.features or args.labels or args.pairs or args.images):
        parser.error(f"a cross product takes {', '.join(sorted(cross))}, and no --features --labels --pairs --images")
    if not given and not (args.features and (args.labels or args.pairs)):
        parser.error("give --features with --labels or --pairs, or --probe and --gallery with their labels")
    if args.block_size < 1:
        parser.error("--block-size must be at least 1")
    if args.images and not args.report:
        parser.error("--images is for the report: give --report too")
    return args


if __name__ == "__main__":
    run_command(main)
