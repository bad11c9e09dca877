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

**Failures to enrol.** A template without a face (its images are missing, or the detector found nothing and left zeros)
matches nobody. Its genuine pairs and mated searches are misses, its impostor pairs and non-mated searches no false
accepts; all of them count. That is what the generalized error rates of ISO/IEC 19795-1 do, by which systems with
different failure rates can be compared: leaving such templates out would reward whoever fails on the hard ones. The
field's scripts give them a score of 0 with everybody, which is above the threshold at large FARs. How many there are
is printed.
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
from lwface.formats.ijb_meta import FACELESS, Subjects, read_faces, read_subjects, read_template_pairs
from lwface.formats.person_labels import people_of_pairs
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.intervals import Interval
from lwface.scoring.open_set import Searches, SearchPoint, SearchSide, search, search_points
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.pair_points import NO_MATCH, ListedPairs
from lwface.scoring.parameters import IJB_GALLERIES
from lwface.scoring.search_intervals import SearchIntervals, search_intervals
from lwface.scoring.templates import Templates, pool

RANKS = (1, 5, 10)
NO_RANK = np.iinfo(np.int64).max  # of a mate that is never found


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
            "failures_to_enrol": int(np.count_nonzero(~self.templates.enrolled)),
        }

    def table(self) -> str:
        """The same for people, and whether the norms weigh anything."""
        about = self.as_json()
        line = (
            f"{self.protocol} {self.mode}: {about['templates']} templates of {self.faces} faces, width {about['dim']}"
        )
        if self.mode.startswith("N1") and abs(self.templates.mean_norm - 1) < NORM_TOLERANCE:
            line += "\nthe features have unit norm: their norms weigh nothing"
        failed = self.templates.ids[~self.templates.enrolled].tolist()
        if failed:
            reason = "all zeros, or of detector score 0" if "D1" in self.mode else "all zeros"
            line += (
                f"\nfailures to enrol: {_count(len(failed), 'template')} whose faces are {reason}, {_examples(failed)}"
            )
        return line


class Verification(NamedTuple):
    """What :func:`verify` found, and what of it is due to templates that failed to enrol."""

    points: list[OperatingPoint]
    faceless: list[int]  # templates that have no face at all
    failed_genuine: int  # pairs
    failed_impostors: int


class FailedSearches(NamedTuple):
    """Searches that a failure to enrol decides: a probe's, or that of the mate in the gallery."""

    gallery_templates: int
    mated_probes: int
    non_mated_probes: int


class Gallery(NamedTuple):
    """What a gallery answered to the mixed probes."""

    name: str
    templates: int
    subjects: int
    searches: Searches
    rank_intervals: list[Interval | None]
    points: list[SearchPoint]
    failed: FailedSearches

    def as_json(self) -> dict[str, Any]:
        """Sizes, ranks and results."""
        mated = len(self.searches.ranks)
        return {
            "gallery": self.name,
            "templates": self.templates,
            "subjects": self.subjects,
            "mated_probes": mated,
            "non_mated_probes": len(self.searches.best_scores),
            "failures_to_enrol": self.failed._asdict(),
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
) -> Verification:
    """The 1:1 protocol, with intervals from so many replicates of a bootstrap over people, if any."""
    first, second, same, faceless = read_template_pairs(folder, protocol, templates.ids)
    rows, enrolled = templates.features, templates.enrolled
    if faceless:
        rows = np.concatenate([rows, np.eye(1, rows.shape[1], dtype=np.float32).repeat(len(faceless), 0)])
        enrolled = np.append(enrolled, np.zeros(len(faceless), dtype=bool))
    nobody = np.zeros(len(rows), dtype=np.int64)  # the list says which pairs are of one person
    pairs = ListedPairs(FeatureSet(rows, nobody, "templates"), first, second, same, enrolled)
    points = pairs.points(fars)
    if replicates:
        people = people_of_pairs(len(rows), first[same].astype(np.int64), second[same].astype(np.int64))
        bands = pairs.intervals(fars, people, replicates=replicates, seed=seed)
        points = [point.with_interval(band) for point, band in zip(points, bands, strict=True)]
    failed = ~(enrolled[first] & enrolled[second])
    return Verification(points, faceless, int(np.count_nonzero(failed & same)), int(np.count_nonzero(failed & ~same)))


def identify(
    folder: Path, protocol: str, templates: Templates, fpirs: list[Fraction], *, replicates: int, seed: int
) -> list[Gallery]:
    """The 1:N protocol: the two galleries, and both as one; intervals as for :func:`verify`."""
    probe = read_subjects(folder / f"{protocol}_1N_probe_mixed.csv", templates.ids)
    lists = {
        name: read_subjects(folder / f"{protocol}_1N_gallery_{name}.csv", templates.ids)
        for name in IJB_GALLERIES[protocol]
    }
    both = Subjects(*(np.concatenate(parts) for parts in zip(*lists.values(), strict=True)))
    lists["+".join(lists)] = both
    galleries = []
    for name, subjects in lists.items():
        searches, failed = _search(probe, subjects, templates)
        points, bands = search_points(searches, fpirs), SearchIntervals([None] * len(RANKS), [None] * len(fpirs))
        if replicates:
            bands = search_intervals(searches, RANKS, fpirs, replicates=replicates, seed=seed)
        points = [replace(point, interval=band) for point, band in zip(points, bands.tpirs, strict=True)]
        sizes = len(subjects.templates), len(np.unique(subjects.subjects))
        galleries.append(Gallery(name, *sizes, searches, bands.ranks, points, failed))
    return galleries


def _search(probe: Subjects, gallery: Subjects, templates: Templates) -> tuple[Searches, FailedSearches]:
    """What the gallery answers, and how many searches a failure to enrol decides.

    A mated search whose probe or mate failed finds nobody at any rank.
    """
    found, known = (_enrolled(side, templates) for side in (probe, gallery))
    mated = np.isin(probe.subjects, gallery.subjects)
    possible = found & (np.isin(probe.subjects, gallery.subjects[known]) | ~mated)
    sides = (
        Subjects(side.templates[chosen], side.subjects[chosen])
        for side, chosen in ((probe, possible), (gallery, known))
    )
    searches = search(*(_people(side, templates) for side in sides))
    misses, strangers = probe.subjects[mated & ~possible], probe.subjects[~mated & ~possible]
    failed = FailedSearches(int(np.count_nonzero(~known)), len(misses), len(strangers))
    return (
        Searches(
            np.append(searches.mate_scores, np.full(len(misses), NO_MATCH)),
            np.append(searches.ranks, np.full(len(misses), NO_RANK)),
            np.append(searches.best_scores, np.full(len(strangers), NO_MATCH)),
            np.append(searches.mated_persons, misses),
            np.append(searches.stranger_persons, strangers),
        ),
        failed,
    )


def _enrolled(side: Subjects, templates: Templates) -> NDArray[np.bool_]:
    """Which templates (T,) of a list have a feature."""
    return (side.templates != FACELESS) & templates.enrolled[side.templates]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _examples(templates: list[int]) -> str:
    return f"such as {', '.join(map(str, templates[:3]))}: they match nobody"


def verification_table(found: Verification) -> str:
    """TAR in percent under each FAR, with threshold and counts; and what failures to enrol cost."""
    points = found.points
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
    if found.faceless:
        lines.append(
            f"failures to enrol: {_count(len(found.faceless), 'template')} without a face, {_examples(found.faceless)}"
        )
    if found.failed_genuine or found.failed_impostors:
        pairs = f"{found.failed_genuine} genuine and {found.failed_impostors} impostor pairs"
        lines.append(f"{pairs} have a template that failed to enrol; they count and are refused")
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
        if any(gallery.failed):
            lines.append(
                f"{gallery.name}: {_count(gallery.failed.gallery_templates, 'gallery template')} failed to enrol; by "
                f"that or their own failure {_count(gallery.failed.mated_probes, 'mated probe')} found nobody and "
                f"{_count(gallery.failed.non_mated_probes, 'other probe')} named nobody"
            )
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


def verification_json(found: Verification) -> dict[str, Any]:
    """Pairs and results of the 1:1 protocol."""
    return {
        "genuine_pairs": found.points[0].genuine_pairs,
        "impostor_pairs": found.points[0].impostor_pairs,
        "failures_to_enrol": {
            "templates_without_a_face": found.faceless,
            "genuine_pairs": found.failed_genuine,
            "impostor_pairs": found.failed_impostors,
        },
        "results": [point.as_json() for point in found.points],
    }
