"""Templates: one feature for all faces of a person in one place, pooled as the IJB protocols do.

For each template, the features of the frames of a medium are averaged, so that a long video weighs no more than a
photograph; the averages are added and the sum is L2-normalised. Before that, a face's feature may be stripped of its
norm, and multiplied by the detector's score of the face. Everything is float64; the pooled feature is rounded to
float32, as features are stored.

A template whose features add up to nothing (zeros where the detector found no face, or scores of 0) has failed to
enrol: it has no feature and matches nobody.

Source: Whitelam et al., "IARPA Janus Benchmark-B Face Dataset", 2017, for templates; Cao et al., "VGGFace2", 2018,
for media; and the scripts by which the field's numbers are made.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.progress import progress

ROWS_AT_ONCE = 4096  # faces whose features are in memory


class Templates(NamedTuple):
    """Pooled features."""

    ids: NDArray[np.int64]  # (T,) ascending
    features: NDArray[np.float32]  # (T, D), L2-normalised
    mean_norm: float  # of the features pooled that are not zero; 1 where they come normalised: norms weigh nothing
    enrolled: NDArray[np.bool_]  # (T,) false: no feature, and a row that stands for none


def pool(
    features: NDArray[np.float32],
    templates: NDArray[np.int64],
    media: NDArray[np.int64],
    *,
    weights: NDArray[np.float64] | None = None,
    keep_norms: bool = True,
    halves: bool = False,
    name: str | os.PathLike[str] = "features",
) -> Templates:
    """Pool the features of each template.

    Args:
        features: (N, D) an array or a memory map, read part by part.
        templates: (N,) template of each row.
        media: (N,) medium of each row; frames of a template with one medium are averaged.
        weights: (N,) the detector's scores, None for 1 each.
        keep_norms: whether a feature counts with its norm (a network's norms are small for faces hard to see), or as a
            unit vector.
        halves: a row is the feature of a face, followed by that of its mirror image; the two are added.
        name: what errors call the features.

    Raises:
        UserError: a row is not finite; an odd width has no halves; no template can be enrolled.
    """
    if halves and features.shape[1] % 2:
        raise UserError(
            f"{name}: rows of {features.shape[1]} numbers have no two halves, of a face and its mirror image"
        )
    order = np.lexsort((media, templates))  # rows by template, in it by medium, in it by row
    ids, starts = np.unique(templates[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    pooled = np.empty((len(ids), features.shape[1] // (2 if halves else 1)), dtype=np.float32)
    enrolled = np.zeros(len(ids), dtype=bool)
    norms, seen = 0.0, 0
    with progress(total=len(order), label="templates", unit="face") as shown:
        first = 0
        while first < len(ids):
            last = int(np.searchsorted(ends, starts[first] + ROWS_AT_ONCE, "right"))
            last = max(last, first + 1)
            rows = order[starts[first] : ends[last - 1]]
            faces = _faces(features, rows, halves, name)
            lengths = np.linalg.norm(faces, axis=1)
            norms, seen = norms + float(lengths.sum()), seen + int(np.count_nonzero(lengths))
            if not keep_norms:
                faces /= np.where(lengths == 0, 1, lengths)[:, np.newaxis]
            if weights is not None:
                faces *= weights[rows, np.newaxis]
            sums = _sums(faces, media[rows], starts[first:last] - starts[first])
            lengths = np.linalg.norm(sums, axis=1)
            enrolled[first:last] = lengths > 0
            sums[lengths == 0, 0] = lengths[lengths == 0] = 1
            pooled[first:last] = sums / lengths[:, np.newaxis]
            shown.update(len(rows))
            first = last
    if not enrolled.any():
        raise UserError(f"{name}: the features of every template are zero, or all detector scores are 0")
    return Templates(ids, pooled, norms / seen, enrolled)


def _faces(
    features: NDArray[np.float32], rows: NDArray[np.int64], halves: bool, name: str | os.PathLike[str]
) -> NDArray[np.float64]:
    """Features (n, D) of ``rows``."""
    found = features[rows].astype(np.float64)
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        raise UserError(f"{name}: row {rows[np.argmin(finite)]} is not finite; write the features again")
    if halves:
        width = found.shape[1] // 2
        found = found[:, :width] + found[:, width:]
    return found


def _sums(faces: NDArray[np.float64], media: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum (T, D) over the media of each template of the average over the frames of each medium.

    Args:
        faces: (n, D) by template, in it by medium.
        media: (n,)
        starts: (T,) where a template begins.
    """
    begins = np.concatenate([[True], media[1:] != media[:-1]])
    begins[starts] = True
    firsts = np.flatnonzero(begins)  # (M,) where a medium of a template begins
    frames = np.diff(np.append(firsts, len(media)))
    averages = _added(faces, firsts, frames) / frames[:, np.newaxis]
    places = np.searchsorted(firsts, starts)
    return _added(averages, places, np.diff(np.append(places, len(firsts))))


def _added(rows: NDArray[np.float64], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum (G, D) of the rows of each group, added one after another.

    Takes a fifth of the time of NumPy's ``add.reduceat``, which goes down column by column.
    """
    largest_first = np.argsort(-sizes, kind="stable")
    starts, sizes = starts[largest_first], sizes[largest_first]
    sums = rows[starts]
    for place in range(1, int(sizes[0])):
        longer = int(np.searchsorted(-sizes, -place))  # groups with more rows than ``place``
        sums[:longer] += rows[starts[:longer] + place]
    found = np.empty_like(sums)
    found[largest_first] = sums
    return found
