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
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lwface.base.commands import existing, loading
from lwface.commands.flags import (
    add_bootstrap_flags,
    add_device_flag,
    add_label_flags,
    check_label_flags,
    command_parser,
)
from lwface.scoring.parameters import BLOCK_SIZE, parse_columns, parse_fars

if TYPE_CHECKING:
    from lwface.reporting.row_images import RowImages
    from lwface.scoring.exact.comparisons import Comparisons
    from lwface.scoring.exact.sharding import Workers
    from lwface.scoring.request import ScoringRequest
    from lwface.scoring.tar_far import ReplicatedResult

KEPT = ".partial"  # beside the JSON: what is done so far


def main(argv: list[str] | None = None) -> None:
    """Read, compare, print the table; write JSON and report where asked."""
    args = parse_arguments(argv)
    with loading("torch"):
        requests = _requests(args)
        ready = [requests[0].comparisons()]
        ready[0].prepare()
        images = _images(args, len(requests[0].rows.features))
    from lwface.scoring.exact.sharding import first_process, kept_work, processes

    with processes():
        kept = Path(f"{args.json}{KEPT}") if args.json else None
        with kept_work(kept, resume=args.resume):
            found = [
                _score(request, ready.pop() if ready else request.comparisons(), kept and kept / str(index), args)
                for index, request in enumerate(requests)
            ]
            if first_process():
                _show(args, found, images)


def _requests(args: argparse.Namespace) -> list[ScoringRequest]:
    """One of each feature file, all of the same pairs."""
    from dataclasses import fields, replace

    from lwface.scoring.request import RequestFiles, read_request, titles

    files = RequestFiles(**{field.name: getattr(args, field.name) for field in fields(RequestFiles)})
    request = read_request(files, args.far, distractor_pairs=args.distractor_pairs == "include")
    first, *others = titles([args.probe or args.features, *args.compare])
    request = replace(
        request,
        title=first,
        replicates=args.bootstrap,
        seed=args.seed,
        exact_error_rates=args.exact_error_rates,
        block_size=args.block_size,
        device=args.device,
    )
    return [request, *(request.of_file(path, title) for path, title in zip(args.compare, others, strict=True))]


def _score(
    request: ScoringRequest, comparisons: Comparisons, kept: Path | None, args: argparse.Namespace
) -> ReplicatedResult:
    """One of the feature files; what is done is kept in the folder ``kept``."""
    from lwface.scoring.exact.sharding import Workers
    from lwface.scoring.tar_far import score_request

    workers = Workers(kept, identity=request.identity, save_every=args.save_every)
    _announce(request, comparisons, workers)
    return score_request(request, comparisons, workers)


def _announce(request: ScoringRequest, comparisons: Comparisons, workers: Workers) -> None:
    """How much is to be done and what it takes, before it begins."""
    from lwface.scoring.exact.sharding import own_device

    device = own_device(request.device)
    if workers.rank == 0:
        each = "" if workers.world == 1 else f" in each of {workers.world} processes"
        print(
            f"{comparisons.impostor_pairs} impostor and {comparisons.genuine_pairs} genuine pairs on {device}, "
            f"{workers.threads} threads and at most {comparisons.memory() / 2**20:.0f} MiB{each}",
            file=sys.stderr,
        )


def _images(args: argparse.Namespace, rows: int) -> RowImages | None:
    if not args.images:
        return None
    from lwface.reporting.row_images import RowImages

    return RowImages(args.images, rows)


def _show(args: argparse.Namespace, found: list[ReplicatedResult], images: RowImages | None) -> None:
    """Write, then print: whoever reads what is printed may leave."""
    from lwface.base.files import write_json
    from lwface.scoring.tar_far import differences_from_first
    from lwface.scoring.tar_far_result import as_json, comparison_json, printed

    results, differences = [one.result for one in found], differences_from_first(found)
    if args.json:
        write_json(args.json, comparison_json(results, differences) if differences else as_json(results[0]))
    report = None
    if args.report:
        from lwface.reporting.page import write_report  # draws with Matplotlib, which takes a second to load
        from lwface.reporting.provenance import provenance

        report = write_report(args.report, results, differences, images, provenance(_files_read(args)))
    print(printed(results, differences))
    if report:
        print(f"report: {report}")


def _files_read(args: argparse.Namespace) -> dict[str, str]:
    """The files that the figures depend on, by what they are."""
    named = ["features", "labels", "probe", "probe_labels", "gallery", "gallery_labels"]
    named += ["attributes", "pairs", "ignore_pairs"]
    found = {name.replace("_", " "): getattr(args, name) for name in named if getattr(args, name)}
    for number, path in enumerate(args.compare, start=2):
        found[f"features {number}"] = path
    return {what: path for what, path in found.items() if Path(path).is_file()}


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments, checked as far as they can be before anything is computed; ``far`` and ``by`` as numbers.

    Raises:
        UserError: a FAR is not above 0 and below 1, or the width of a band is not above 0.
        OSError: a file is not there.
    """
    parser = command_parser("Exact TAR at FAR from feature files.")
    _add_pair_flags(parser)
    _add_run_flags(parser)
    args = parser.parse_args(argv)
    _check_pair_flags(parser, args)
    _check_run_flags(parser, args)
    args.far, args.by = parse_fars(args.far), parse_columns(args.by) if args.by else []
    existing(args.features, args.labels, args.probe, args.probe_labels, args.gallery, args.gallery_labels)
    existing(args.attributes, args.ignore_pairs, args.pairs, *args.compare, args.images)
    return args


def _add_pair_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say which rows and pairs are compared."""
    add = parser.add_argument
    add("--features", metavar="FILE", help="feature file whose rows are compared with each other")
    add(
        "--labels",
        metavar="FILE",
        help="who is on each row: one integer a line, -1 for a distractor; or a csv with --label-column; or a file "
        "list (or its folder) with --label-folders; or the folder of people that the features were made from",
    )
    add_label_flags(parser)
    add("--attributes", metavar="FILE", help="csv with a header and one line a row, if not that of --labels")
    add(
        "--exclude-same",
        metavar="COLUMN",
        help="do not compare rows with the same value in this column of the csv; folder: of one folder of a file list",
    )
    add("--ignore-pairs", metavar="FILE", help="leave these pairs out: ROW ROW a line, what follows # does not count")
    add("--pairs", metavar="FILE", help="score these pairs only: ROW ROW [SAME] a line, rows from 0, SAME 0 or 1")
    add("--probe", metavar="FILE", help="feature file whose rows are compared with those of --gallery")
    add("--probe-labels", metavar="FILE", help="labels of the probe rows")
    add("--gallery", metavar="FILE", help="feature file of the gallery")
    add("--gallery-labels", metavar="FILE", help="labels of the gallery rows")
    add("--distractor-pairs", choices=["include", "exclude"], default="include", help="count pairs of two distractors")


def _add_run_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say what is reported and how it is computed."""
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
    add_bootstrap_flags(parser)
    add(
        "--exact-error-rates",
        action="store_true",
        help="count equal error rate and best accuracy from all pairs where they would come from a sample: more passes",
    )
    add_device_flag(parser)
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


def _check_pair_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with the parser's error where flags do not go together."""
    cross = {"--probe", "--probe-labels", "--gallery", "--gallery-labels"}
    given = {flag for flag in cross if getattr(args, flag[2:].replace("-", "_"))}
    if given and (given != cross or args.features or args.labels or args.pairs or args.attributes):
        parser.error(
            f"a cross product takes {', '.join(sorted(cross))}, and no --features --labels --pairs --attributes"
        )
    if not given and not (args.features and (args.labels or args.pairs)):
        parser.error("give --features with --labels or --pairs, or --probe and --gallery with their labels")
    if args.exclude_same is not None and not args.exclude_same.strip():
        parser.error("--exclude-same takes the name of a column")
    check_label_flags(parser, args)
    if args.ignore_pairs and args.report and Path(args.ignore_pairs).resolve().parent == Path(args.report).resolve():
        parser.error("the report writes a new list of pairs into its folder: keep the one to --ignore-pairs elsewhere")


def _check_run_flags(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """The same of the others."""
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
