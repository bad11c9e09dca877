"""Open-set 1:N identification from feature files: rank-1/5/10, CMC, TPIR at FPIR.

    python eval/identification.py --probe p.bin --probe-labels p.txt --gallery g.bin --gallery-labels g.txt
    python eval/identification.py --features features.bin --labels labels.txt --gallery-per-person 1

Labels are one integer a line in the order of the rows, a column of a csv, or the folders of a file list. -1 (in a csv
also nothing) is a person of its own: in the probe somebody who is not in the gallery, in the gallery somebody who is
not searched for. With ``--features`` the first rows of each person are enrolled and all other rows are searched for,
those labelled -1 as strangers.

What is counted, how ties fall and why it is exact: ``lwface/scoring/open_set.py``. Intervals:
``lwface/scoring/search_intervals.py``. In the JSON, ``cmc`` has an entry ``[rank, hits]`` for each rank that occurs:
between two of them the curve stays as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

from lwface.base.commands import HelpFormatter
from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.formats.feature_file import read_features
from lwface.formats.people import People, add_label_flags, check_label_flags, read_people, united
from lwface.scoring.bootstrap import REPLICATES
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.open_set import BLOCK_SIZE, Searches, SearchPoint, Side, search, search_points, split_gallery
from lwface.scoring.operating_points import Interval, parse_fars
from lwface.scoring.search_intervals import SearchIntervals, search_intervals


class Identification(NamedTuple):
    """What a search of all probes found."""

    probe: Side
    gallery: Side
    searches: Searches
    ranks: list[int]  # the ranks asked for
    rank_intervals: list[Interval | None]
    rank_limit: int  # for TPIR
    points: list[SearchPoint]

    def as_json(self) -> dict[str, Any]:
        """Sizes, ``ranks``, ``cmc`` and ``results``, one entry an FPIR."""
        mated = len(self.searches.ranks)
        hits = [
            (rank, self.searches.hits(rank), band) for rank, band in zip(self.ranks, self.rank_intervals, strict=True)
        ]
        return {
            "probe_rows": len(self.probe),
            "gallery_rows": len(self.gallery),
            "gallery_people": len(set(self.gallery.persons.tolist())),
            "dim": self.probe.features.width,
            "mated_probes": mated,
            "non_mated_probes": len(self.searches.best_scores),
            "ranks": [
                {"rank": rank, "hits": count, "rate": count / mated, "rate_interval": band and list(band)}
                for rank, count, band in hits
            ],
            "cmc": self.searches.cmc,
            "tpir_rank": self.rank_limit,
            "results": [point.as_json() for point in self.points],
        }


def main(argv: list[str] | None = None) -> None:
    """Search, print the tables, write the JSON where asked."""
    args = _parse(argv)
    ranks, fpirs = parse_ranks(args.rank), parse_fpirs(args.fpir)
    probe, gallery = _sides(args)
    searches = search(probe, gallery, block_size=args.block_size)
    points = search_points(searches, fpirs, rank=args.tpir_rank)
    bands = SearchIntervals([None] * len(ranks), [None] * len(fpirs))
    if args.bootstrap:
        bands = search_intervals(
            searches, ranks, fpirs, rank_limit=args.tpir_rank, replicates=args.bootstrap, seed=args.seed
        )
    points = [replace(point, interval=band) for point, band in zip(points, bands.tpirs, strict=True)]
    found = Identification(probe, gallery, searches, ranks, bands.ranks, args.tpir_rank, points)
    print(table(found))
    if args.json:
        write_json(args.json, found.as_json())


def parse_ranks(text: str) -> list[int]:
    """The ranks of a comma-separated list such as ``1,5,10``."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part.isdecimal() or int(part) < 1:
            raise UserError(f"rank {part!r} is not a whole number from 1 on; give them as in 1,5,10")
    return [int(part) for part in parts]


def parse_fpirs(text: str) -> list[Fraction]:
    """The exact FPIRs of a comma-separated list; each above 0 and below 1."""
    try:
        return parse_fars(text)
    except UserError as error:
        raise UserError(str(error).replace("FAR", "FPIR", 1)) from None


def table(found: Identification) -> str:
    """The tables the command prints."""
    about = found.as_json()
    lines = [
        f"{about['probe_rows']} probes ({about['mated_probes']} mated, {about['non_mated_probes']} not) x "
        f"{about['gallery_rows']} gallery rows of {about['gallery_people']} people, width {about['dim']}",
        f"{'rank':>8}  {'hits':>9}  {'share':>8}  {'95 % interval':>17}",
    ]
    lines += [
        f"{row['rank']:>8}  {row['hits']:>9}  {row['rate']:>8.6f}  {_band(row['rate_interval'])}"
        for row in about["ranks"]
    ]
    heading = f"{'FPIR':>8}  {'threshold':>9}  {'TPIR':>8}  {'95 % interval':>17}  {'identified':>10}  {'false':>7}"
    lines.append(f"{heading}  achieved FPIR")
    for point in found.points:
        fpir = f"{float(point.fpir):>8g}"
        if point.threshold is None:
            lines.append(f"{fpir}  not resolvable: {point.reason}")
            continue
        lines.append(
            f"{fpir}  {point.threshold:>9.6f}  {point.tpir:>8.6f}  {_band(point.interval)}  "
            f"{point.true_positives:>10}  {point.false_positives:>7}  {point.achieved_fpir:.4g}"
        )
    return "\n".join(lines)


def _band(band: Sequence[float] | None) -> str:
    return f"{'-':>17}" if band is None else f"{band[0]:>8.6f}-{band[1]:.6f}"


def _sides(args: argparse.Namespace) -> tuple[Side, Side]:
    if args.features:
        features = read_features(args.features)
        people = _people(args, args.labels, len(features))
        return split_gallery(FeatureSet(features, people.labels, args.features), args.gallery_per_person)
    probe, gallery = read_features(args.probe), read_features(args.gallery)
    people, enrolled = united(
        _people(args, args.probe_labels, len(probe)), _people(args, args.gallery_labels, len(gallery))
    )
    return (
        Side(FeatureSet(probe, people.labels, args.probe, 0)),
        Side(FeatureSet(gallery, enrolled.labels, args.gallery, 1)),
    )


def _people(args: argparse.Namespace, path: str, rows: int) -> People:
    return read_people(path, rows, column=args.label_column, depth=args.label_folders)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Open-set 1:N identification.", formatter_class=HelpFormatter)
    add = parser.add_argument
    add("--probe", metavar="FILE", help="feature file whose rows are searched for")
    add(
        "--probe-labels",
        metavar="FILE",
        help="who is on each row, one integer a line unless a flag below says otherwise; -1: a stranger",
    )
    add("--gallery", metavar="FILE", help="feature file of the enrolled people")
    add("--gallery-labels", metavar="FILE", help="the same for the gallery; -1: nobody who is searched for")
    add("--features", metavar="FILE", help="in place of these: one feature file, cut into gallery and probe")
    add("--labels", metavar="FILE", help="who is on each of its rows")
    add_label_flags(add)
    add("--gallery-per-person", type=int, metavar="N", default=1, help="rows of each person that are enrolled")
    add("--rank", default="1,5,10", help="ranks to print, comma-separated")
    add("--fpir", default="0.1,0.01,0.001", help="false positive identification rates, above 0 and below 1")
    add("--tpir-rank", type=int, default=1, metavar="R", help="a mate counts as identified at this rank or better")
    add("--bootstrap", metavar="N", type=int, default=REPLICATES, help="replicates for the intervals; 0: no intervals")
    add("--seed", type=int, default=0, help="of the bootstrap")
    add("--json", metavar="FILE", help="write the figures and the whole CMC here")
    add("--block-size", type=int, default=BLOCK_SIZE, help="gallery rows of a block: never changes a result")
    args = parser.parse_args(argv)
    four = ("probe", "probe_labels", "gallery", "gallery_labels")
    given = [name for name in four if getattr(args, name)]
    if bool(args.features) != bool(args.labels) or len(given) not in (0, 4) or bool(args.features) == bool(given):
        parser.error("give --probe and --gallery with their labels, or --features with --labels")
    if args.bootstrap < 0:
        parser.error("--bootstrap must be at least 0")
    check_label_flags(parser, args)
    for name in ("gallery_per_person", "tpir_rank", "block_size"):
        if getattr(args, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return args
