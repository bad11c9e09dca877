"""Exact 1:1 scores from feature files: TAR at the FARs asked for.

    python eval/tar_far.py --features features.bin --labels labels.txt --far 1e-3,1e-4 --report report
    torchrun --nproc-per-node 4 eval/tar_far.py --features features.bin --labels labels.txt --json scores.json

The score of a pair is the cosine of its two features (float32 as stored, normalised and multiplied in float64). A pair
is accepted when its score is at least the threshold; the threshold is the smallest float64 at which the impostor pairs
accepted are at most FAR times all impostor pairs: of impostors that tie there, all are refused. Counts are exact
integers and do not depend on block size, order of rows, device or number of processes. A FAR of less than one impostor
pair is reported as not resolvable. Intervals are of 95 % and respect that pairs share people.

Pairs: all unordered pairs of rows (default); the list of --pairs; or every --probe row with every --gallery row. A
score found here is a local score, not an official one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lwface.base.commands import HelpFormatter
from lwface.scoring.bootstrap import REPLICATES
from lwface.scoring.exact.grid import BLOCK_SIZE
from lwface.scoring.exact.sharding import processes
from lwface.scoring.protocol import add_protocol_flags, check_protocol_flags
from lwface.scoring.score import score_files


def main(argv: list[str] | None = None) -> None:
    """Read, compare, print the table; write JSON and report where asked."""
    args = _parse(argv)
    with processes():
        score_files(args)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Exact TAR at FAR from feature files.", formatter_class=HelpFormatter)
    add_protocol_flags(parser)
    add = parser.add_argument
    add("--far", default="1e-3,1e-4", help="false accept rates, comma-separated, each above 0 and below 1")
    add(
        "--compare",
        metavar="FILE",
        nargs="+",
        default=[],
        help="further feature files of the same rows, to compare with",
    )
    add("--by", metavar="COLUMNS", help="break the TAR down by columns of the csv, comma-separated; age:10 by tens")
    add("--json", metavar="FILE", help="write the results here")
    add("--report", metavar="DIR", help="write report.html and its plots here")
    add("--images", metavar="DIR", help="folder whose filelist.txt gives the rows' images, for the report's faces")
    add("--bootstrap", metavar="N", type=int, default=REPLICATES, help="replicates for the intervals; 0: no intervals")
    add("--seed", type=int, default=0, help="of the bootstrap")
    add("--device", default="auto", help="what screens: auto (a CUDA device where there is one), cpu, cuda or cuda:N")
    add(
        "--resume",
        action="store_true",
        help="go on with an interrupted run; what is done is kept beside the JSON, in FILE.partial",
    )
    add("--save-every", metavar="SECONDS", type=float, default=30.0, help="how often it is kept, with --json")
    add(
        "--block-size",
        type=int,
        default=BLOCK_SIZE,
        help="columns of a block: changes memory and speed, never a result",
    )
    args = parser.parse_args(argv)
    check_protocol_flags(parser, args)
    if not 1 <= args.block_size <= 4096:
        parser.error("--block-size must be from 1 to 4096")
    if not 0 <= args.bootstrap <= 100000:
        parser.error("--bootstrap must be from 0 to 100000")
    if args.json and Path(args.json).is_dir():
        parser.error(f"--json {args.json} is a folder; give the name of a file")
    if args.report and Path(args.report).exists() and not Path(args.report).is_dir():
        parser.error(f"--report {args.report} is a file; give the name of a folder")
    if args.images and not args.report:
        parser.error("--images is for the report: give --report too")
    if args.images and args.probe:
        parser.error("--images shows the rows of one feature file, not of probe and gallery")
    if args.by and args.probe:
        parser.error("--by breaks down the rows of one feature file, not probe and gallery")
    if args.compare and args.probe:
        parser.error("--compare takes feature files of the same rows as --features")
    if args.resume and not args.json:
        parser.error("--resume needs --json FILE: what is done is kept beside it")
    return args
