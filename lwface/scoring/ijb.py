"""The 1:1 and 1:N protocols of IJB-B and IJB-C on pooled templates, as tables and JSON.

**1:1.** TAR at each FAR over the pairs of ``P_template_pair_label.txt``, exactly as
``lwface/scoring/operating_points.py`` defines it. The field's scripts take the point of the ROC curve whose FAR is
nearest to the one asked for, also if it is higher; here it never is, so that a TAR can be lower than theirs. On IJB-C
at FAR 1e-6 at most 15 of the 15 638 932 impostors are accepted here, and 16 there. For the intervals
(``lwface/scoring/intervals.py``), genuine pairs tell which templates show one person.

**1:N.** Every template of ``P_1N_probe_mixed.csv`` is searched in each of the two galleries, which share nobody: who is
in the one is a stranger to the other. The mean line has the ranks of the probes of both (each is mated in one) and the
mean of the two TPIR at FPIR. Definitions: ``lwface/scoring/open_set.py``; the field's scripts take the FPIR-th
stranger's score itself as a threshold to be exceeded. The last line is closed-set: both galleries as one, as some
scripts have it. Intervals are in the JSON.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.feature_file import NORM_TOLERANCE, read_features
from lwface.formats.ijb_meta import Subjects, read_faces, read_subjects, read_template_pairs
from lwface.formats.person_labels import people_of_pairs
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.intervals import Interval
from lwface.scoring.open_set import Searches, SearchPoint, SearchSide, search, search_points
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.pair_points import ListedPairs
from lwface.scoring.parameters import IJB_GALLERIES
from lwface.scoring.search_intervals import SearchIntervals, search_intervals
from lwface.scoring.templates import Templates, pool

RANKS = (1, 5, 10)


class Pooling(NamedTuple):
    """How the faces of a template count, and what came of it."""

    protocol: str  # ijbb or ijbc
    mode: str  # in the field's letters: N norm, D detector score, F flip, each 1 or 0
    faces: int
    templates: Templates

    def as_json(self) -> dict[str, Any]:
        """Sizes and mode."""
        return {
            "protocol": self.protocol,
            "mode": self.mode,
            "faces": self.faces,
            "templates": len(self.templates.ids),
            "dim": self.templates.features.shape[1],
        }

    def table(self) -> str:
        """The same for people, and whether the norms weigh anything."""
        about = self.as_json()
        line = (
            f"{self.protocol} {self.mode}: {about['templates']} templates of {self.faces} faces, width {about['dim']}"
        )
        if self.mode.startswith("N1") and abs(self.templates.mean_norm - 1) < NORM_TOLERANCE:
            line += "\nthe features have unit norm: their norms weigh nothing"
        return line


class Gallery(NamedTuple):
    """What a gallery answered to the mixed probes."""

    name: str
    templates: int
    subjects: int
    searches: Searches
    rank_intervals: list[Interval | None]
    points: list[SearchPoint]

    def as_json(self) -> dict[str, Any]:
        """Sizes, ranks and results."""
        mated = len(self.searches.ranks)
        return {
            "gallery": self.name,
            "templates": self.templates,
            "subjects": self.subjects,
            "mated_probes": mated,
            "non_mated_probes": len(self.searches.best_scores),
            "ranks": [
                {"rank": rank, "hits": self.searches.hits(rank), "rate_interval": band and list(band)}
                for rank, band in zip(RANKS, self.rank_intervals, strict=True)
            ],
            "results": [point.as_json() for point in self.points],
        }


def read_templates(
    folder: Path,
    protocol: str,
    features: str,
    *,
    norm_score: bool = True,
    detector_score: bool = True,
    flip: bool = False,
) -> Pooling:
    """Pool the features of the faces of each template.

    Args:
        folder: of the meta files.
        protocol: ijbb or ijbc.
        features: file, in the order of ``P_name_5pts_score.txt``.
        norm_score: whether a face counts with the norm of its feature.
        detector_score: whether a face counts with the score of its detection.
        flip: a row is the feature of a face, then that of its mirror image.

    Raises:
        UserError: a file is malformed, or they do not fit.
    """
    rows = read_features(features)
    faces = read_faces(folder, protocol)
    if len(faces.templates) != len(rows):
        raise UserError(
            f"{features}: {len(rows)} rows, but {protocol}_name_5pts_score.txt lists {len(faces.templates)} faces"
        )
    templates = pool(
        rows,
        faces.templates,
        faces.media,
        weights=faces.detector_scores if detector_score else None,
        keep_norms=norm_score,
        halves=flip,
        name=features,
    )
    return Pooling(protocol, f"N{norm_score:d}D{detector_score:d}F{flip:d}", len(rows), templates)


def verify(
    folder: Path, protocol: str, templates: Templates, fars: list[Fraction], *, replicates: int, seed: int
) -> list[OperatingPoint]:
    """The 1:1 protocol, with intervals from so many replicates of a bootstrap over people, if any."""
    first, second, same = read_template_pairs(folder, protocol, templates.ids)
    nobody = np.zeros(len(templates.ids), dtype=np.int64)  # the list says which pairs are of one person
    pairs = ListedPairs(FeatureSet(templates.features, nobody, "templates"), first, second, same)
    points = pairs.points(fars)
    if not replicates:
        return points
    people = people_of_pairs(len(templates.ids), first[same].astype(np.int64), second[same].astype(np.int64))
    bands = pairs.intervals(fars, people, replicates=replicates, seed=seed)
    return [point.with_interval(band) for point, band in zip(points, bands, strict=True)]


def identify(
    folder: Path, protocol: str, templates: Templates, fpirs: list[Fraction], *, replicates: int, seed: int
) -> list[Gallery]:
    """The 1:N protocol: the two galleries, and both as one; intervals as for :func:`verify`."""
    probe = _people(read_subjects(folder / f"{protocol}_1N_probe_mixed.csv", templates.ids), templates)
    lists = {
        name: read_subjects(folder / f"{protocol}_1N_gallery_{name}.csv", templates.ids)
        for name in IJB_GALLERIES[protocol]
    }
    both = Subjects(*(np.concatenate(parts) for parts in zip(*lists.values(), strict=True)))
    lists["+".join(lists)] = both
    galleries = []
    for name, subjects in lists.items():
        searches = search(probe, _people(subjects, templates))
        points, bands = search_points(searches, fpirs), SearchIntervals([None] * len(RANKS), [None] * len(fpirs))
        if replicates:
            bands = search_intervals(searches, RANKS, fpirs, replicates=replicates, seed=seed)
        points = [replace(point, interval=band) for point, band in zip(points, bands.tpirs, strict=True)]
        sizes = len(subjects.templates), len(np.unique(subjects.subjects))
        galleries.append(Gallery(name, *sizes, searches, bands.ranks, points))
    return galleries


def verification_table(points: list[OperatingPoint]) -> str:
    """TAR in percent under each FAR, with threshold and counts."""
    lines = [f"1:1, {points[0].genuine_pairs} genuine and {points[0].impostor_pairs} impostor pairs"]
    rows = [("FAR", "TAR %", "95 % interval", "threshold", "true accepts", "false accepts")]
    for point in points:
        if point.threshold is None or point.tar is None:
            rows.append((f"{float(point.far):g}", *"-----"))
            continue
        percent = f"{100 * point.tar:.2f}"
        band = "-" if point.interval is None else "{:.2f}-{:.2f}".format(*(100 * end for end in point.interval))
        counts = (str(point.true_accepts), str(point.false_accepts))
        rows.append((f"{float(point.far):g}", percent, band, f"{point.threshold:.6f}", *counts))
    lines += _columns(list(zip(*rows, strict=True)))
    lines += [f"FAR {float(point.far):g} is not resolvable: {point.reason}" for point in points if point.reason]
    return "\n".join(lines)


def identification_table(galleries: list[Gallery], fpirs: list[Fraction]) -> str:
    """Ranks and TPIR in percent: each gallery, the mean of the two, and both as one."""
    *parts, both = galleries
    lines = [f"1:N, {len(both.searches.ranks) + len(both.searches.best_scores)} probes"]
    rows: list[tuple[str, ...]] = [
        ("gallery", *(f"rank {rank}" for rank in RANKS), *(f"TPIR@FPIR={float(fpir):g}" for fpir in fpirs))
    ]
    rows += [(part.name, *_ranks([part]), *(_percent(point.tpir) for point in part.points)) for part in parts]
    means = [_mean([gallery.points[i].tpir for gallery in parts]) for i in range(len(fpirs))]
    rows.append(("mean", *_ranks(parts), *map(_percent, means)))
    rows.append((both.name, *_ranks([both]), *("-" for _ in fpirs)))
    lines += _columns(rows)
    for gallery in parts:
        reasons = [f"FPIR {float(point.fpir):g} {point.reason}" for point in gallery.points if point.reason]
        lines += [f"{gallery.name}: {reason}" for reason in reasons]
    return "\n".join(lines)


def _ranks(galleries: list[Gallery]) -> list[str]:
    """Percent of the mated probes of all ``galleries`` at each rank."""
    mated = sum(len(gallery.searches.ranks) for gallery in galleries)
    return [_percent(sum(gallery.searches.hits(rank) for gallery in galleries) / mated) for rank in RANKS]


def _mean(shares: list[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if len(known) == len(shares) else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows]


def _people(chosen: Subjects, templates: Templates) -> SearchSide:
    features: NDArray[np.float32] = templates.features[chosen.templates]
    return SearchSide(FeatureSet(features, chosen.subjects, "templates"))


def verification_json(points: list[OperatingPoint]) -> dict[str, Any]:
    """Pairs and results of the 1:1 protocol."""
    return {
        "genuine_pairs": points[0].genuine_pairs,
        "impostor_pairs": points[0].impostor_pairs,
        "results": [point.as_json() for point in points],
    }
