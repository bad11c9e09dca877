"""Open-set 1:N identification of a probe in a gallery: ranks and TPIR at FPIR with their intervals, as table and JSON.

What is counted, how ties fall and why it is exact: :mod:`lwface.scoring.open_set`. Intervals:
:mod:`lwface.scoring.search_intervals`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from lwface.base.dice import shuffled
from lwface.base.errors import UserError
from lwface.formats.feature_file import read_features
from lwface.formats.person_labels import DISTRACTOR, People, read_people, united
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.intervals import Interval
from lwface.scoring.open_set import Searches, SearchPoint, SearchSide, search, search_points, split_gallery
from lwface.scoring.parameters import BLOCK_SIZE, REPLICATES
from lwface.scoring.search_intervals import SearchIntervals, search_intervals


class Identification(NamedTuple):
    """What a search of all probes found."""

    probe: SearchSide
    gallery: SearchSide
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


def identify(
    probe: SearchSide,
    gallery: SearchSide,
    ranks: list[int],
    fpirs: Sequence[Fraction],
    *,
    rank_limit: int = 1,
    replicates: int = REPLICATES,
    seed: int = 0,
    block_size: int = BLOCK_SIZE,
) -> Identification:
    """Search every probe in the gallery.

    Args:
        probe, gallery: the two sides, as for :func:`lwface.scoring.open_set.search`.
        ranks: to report, from 1.
        fpirs: each above 0 and below 1.
        rank_limit: a mate must have this rank or a better one to count for TPIR.
        replicates, seed: of the bootstrap over the people searched for; 0: no intervals.
        block_size: gallery rows of a block. It changes memory and speed, never a result.

    Raises:
        UserError: the widths differ, or no probe's person is in the gallery.
    """
    searches = search(probe, gallery, block_size=block_size)
    points = search_points(searches, fpirs, rank=rank_limit)
    bands = SearchIntervals([None] * len(ranks), [None] * len(fpirs))
    if replicates:
        bands = search_intervals(searches, ranks, fpirs, rank_limit=rank_limit, replicates=replicates, seed=seed)
    points = [replace(point, interval=band) for point, band in zip(points, bands.tpirs, strict=True)]
    return Identification(probe, gallery, searches, ranks, bands.ranks, rank_limit, points)


def read_one(
    features: str,
    labels: str,
    *,
    gallery_per_person: int,
    strangers: int = 0,
    seed: int = 0,
    column: str | None = None,
    depth: int = 0,
) -> tuple[SearchSide, SearchSide]:
    """Probe and gallery of one feature file, whose first rows of each person are enrolled.

    Args:
        features, labels: files.
        gallery_per_person: rows of each person that are enrolled.
        strangers: people, drawn by ``seed``, of whom no row is enrolled: all theirs are searched for in vain.
        column, depth: what the labels are, as for :func:`lwface.formats.person_labels.read_people`.

    Raises:
        UserError: the files do not fit, or nobody is left for the gallery.
    """
    rows = read_features(features)
    people = read_people(labels, len(rows), column=column, depth=depth)
    left_out = draw_strangers(people, strangers, seed)
    return split_gallery(FeatureSet(rows, people.labels, features), gallery_per_person, left_out)


def draw_strangers(people: People, count: int, seed: int) -> list[int]:
    """Labels of ``count`` people, drawn by ``seed`` from their names alone, whatever the order of the rows.

    Raises:
        UserError: there are not more people than that.
    """
    labels = np.unique(people.labels[people.labels != DISTRACTOR]).tolist()
    if count and count >= len(labels):
        raise UserError(f"--strangers {count}: there are {len(labels)} people, and the gallery needs one at least")
    if people.names is not None:
        labels.sort(key=people.names.__getitem__)
    return shuffled(labels, random.Random(seed))[:count]


def read_two(
    probe: tuple[str, str], gallery: tuple[str, str], *, column: str | None = None, depth: int = 0
) -> tuple[SearchSide, SearchSide]:
    """Probe and gallery of two feature files, each given with its file of labels; otherwise as :func:`read_one`."""
    rows = [read_features(features) for features, _ in (probe, gallery)]
    both = united(
        *(
            read_people(labels, len(found), column=column, depth=depth)
            for (_, labels), found in zip((probe, gallery), rows, strict=True)
        )
    )
    first, second = (
        SearchSide(FeatureSet(found, people.labels, name, side))
        for side, (found, people, (name, _)) in enumerate(zip(rows, both, (probe, gallery), strict=True))
    )
    return first, second


def table(found: Identification) -> str:
    """Sizes, ranks and TPIR for people."""
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
    if not about["non_mated_probes"]:
        lines.append("nobody is searched for who is not in the gallery: --strangers N keeps N people out of it")
    return "\n".join(lines)


def _band(band: Sequence[float] | None) -> str:
    return f"{'-':>17}" if band is None else f"{band[0]:>8.6f}-{band[1]:.6f}"
