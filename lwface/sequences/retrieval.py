"""Search by a signature, as person re-identification measures it: CMC and mAP.

Each query is compared with all of a gallery. What the gallery has of the query's own video is taken out first, as
Market-1501's protocol does with the query's own camera (Zheng et al., ICCV 2015): neighbouring frames prove nothing.
The cumulative matching characteristic at rank k is the share of queries with one of their person among the k nearest;
of equal cosines the wrong ones count first. The average precision of a query is ``sum (R_n - R_(n-1)) P_n`` over the
thresholds, equal cosines at once, as in scikit-learn's ``average_precision_score``; mAP is its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.formats.sequence_paths import FramePath, frame_paths
from lwface.formats.sequence_pickles import Signatures
from lwface.scoring.drawn_groups import share_interval
from lwface.sequences.naive import group_means, unit_means
from lwface.sequences.scoring import estimate_text, no_interval_lines

UNITS = FRAME, SEQUENCE, VIDEO = ("frame", "sequence", "video")
RANKS = (1, 5, 10, 20)
AT_ONCE = 256  # queries whose cosines with the gallery are in memory


@dataclass(frozen=True, eq=False)
class Searchable:
    """Signatures to search with or in.

    Attributes:
        features: (N, D) float64, of length 1.
        people: N names.
        videos: N names.
    """

    features: NDArray[np.float64]
    people: NDArray[np.str_]
    videos: NDArray[np.str_]


def searchable(signatures: Signatures, unit: str, source: object) -> Searchable:
    """The mean signature of each ``unit``, of :data:`UNITS`; :class:`UserError` where paths do not tell people."""
    frames = frame_paths(signatures.paths, source)
    if not frames[0].person:
        raise UserError(f"{source}: {signatures.paths[0]} does not say whose it is, which a search is judged by")

    def folder(frame: FramePath, path: str) -> str:
        return path if unit == FRAME else frame.sequence if unit == SEQUENCE else frame.video

    names = [folder(frame, path) for frame, path in zip(frames, signatures.paths, strict=True)]
    of = dict(zip(names, frames, strict=True))
    groups, means = group_means(names, signatures.signatures)
    people, videos = (np.array([getattr(of[name], what) for name in groups]) for what in ("person", "video"))
    return Searchable(unit_means(means, groups), people, videos)


def search(queries: Searchable, gallery: Searchable, *, ranks: Sequence[int] = RANKS, seed: int = 0) -> dict[str, Any]:
    """All figures, as they go into JSON.

    Args:
        queries: each is searched for.
        gallery: where; may be the queries.
        ranks: of the CMC.
        seed: of the intervals.

    Returns:
        ``map`` and ``cmc`` by rank with 95 % intervals over people, the counts of queries, of those left out because
        the gallery has nothing of their person outside of their video, and of the gallery.

    Raises:
        UserError: no query has anything to be found.
    """
    if queries.features.shape[1] != gallery.features.shape[1]:
        widths = f"{queries.features.shape[1]} and {gallery.features.shape[1]}"
        raise UserError(f"signatures of {widths} numbers: both must come from one model")
    precisions, firsts, owners = [], [], []
    asked, people = _codes(queries.people, gallery.people)
    shown, videos = _codes(queries.videos, gallery.videos)
    blocks = range(0, len(queries.features), AT_ONCE)
    for start in progress(blocks, label="search", unit=" blocks"):
        block = slice(start, start + AT_ONCE)
        cosines = queries.features[block] @ gallery.features.T
        for row, person, video in zip(cosines, asked[block], shown[block], strict=True):
            compared = videos != video
            right = people[compared] == person
            if right.any():
                precisions.append(average_precision(row[compared], right))
                firsts.append(first_rank(row[compared], right))
                owners.append(str(person))
    if not owners:
        raise UserError("no query has anything to be found: nobody is in two videos")
    rank = np.array(firsts)
    return {
        "map": vars(share_interval(np.array(precisions), owners, seed)),
        "cmc": {str(k): vars(share_interval((rank <= k).astype(float), owners, seed)) for k in ranks},
        "queries": len(owners),
        "left_out": len(queries.features) - len(owners),
        "gallery": len(gallery.features),
        "people": len(set(owners)),
    }


def _codes(first: NDArray[np.str_], second: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each name, the same in both: numbers are compared sooner than names."""
    _, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    return codes[: len(first)], codes[len(first) :]


def average_precision(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The average precision of one query; ``right`` (G,) holds at least one True."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    hits = np.cumsum(right[order])[ends]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / (ends + 1)).sum() / hits[-1])


def first_rank(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> int:
    """The rank, from 1, of the best right entry, behind the wrong ones of the same score."""
    return 1 + int((scores[~right] >= scores[right].max()).sum())


def search_text(found: dict[str, Any]) -> str:
    """The figures of :func:`search` for people."""
    lines = [f"{found['queries']} queries of {found['people']} people in {found['gallery']}, their own video left out"]
    if found["left_out"]:
        lines.append(f"left out {found['left_out']}: nothing else of their person is there")
    lines.append(f"{'mAP':16}{estimate_text(found['map'], 100, ' %')}")
    for rank, estimate in found["cmc"].items():
        lines.append(f"{'CMC, rank ' + rank:16}{estimate_text(estimate, 100, ' %')}")
    return "\n".join([*lines, *no_interval_lines(found)])
