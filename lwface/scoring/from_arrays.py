"""TAR at FAR of features in memory, in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lwface.base.errors import UserError
from lwface.formats.person_labels import DISTRACTOR, LABEL_LIMIT, People
from lwface.formats.person_names import composed
from lwface.scoring.exact.sharding import Workers
from lwface.scoring.operating_points import OperatingPoint, operating_points
from lwface.scoring.parameters import BLOCK_SIZE, exact_rate, parse_fars
from lwface.scoring.request import LabelledRows, ScoringRequest
from lwface.scoring.tar_far import score_request
from lwface.scoring.tar_far_result import TarFarResult, table

Far = float | str | Fraction


class Intervals(NamedTuple):
    """Where each TAR lies with 95 % confidence, (F,) each; NaN where that is not known."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class TarAtFar:
    """What :func:`tar_at_far` found; ``str()`` of it is a table. F is the number of FARs, in the order asked.

    A FAR of less than one impostor pair cannot be resolved: its TAR, threshold and achieved FAR are NaN, its counts
    None.

    Attributes:
        rows, dim: of the features.
        genuine_pairs, impostor_pairs: how many there are.
        points: one a FAR, with the exact fraction asked for.
        replicates: of the bootstrap; 0: there are no intervals.
    """

    rows: int
    dim: int
    genuine_pairs: int
    impostor_pairs: int
    points: tuple[OperatingPoint, ...]
    replicates: int = 0

    @cached_property
    def far(self) -> NDArray[np.float64]:
        """(F,) asked for."""
        return np.array([float(point.far) for point in self.points])

    @cached_property
    def tar(self) -> NDArray[np.float64]:
        """(F,) share of the genuine pairs accepted."""
        return _numbers(point.tar for point in self.points)

    @cached_property
    def threshold(self) -> NDArray[np.float64]:
        """(F,) cosine; a pair is accepted whose score is at least this."""
        return _numbers(point.threshold for point in self.points)

    @cached_property
    def achieved_far(self) -> NDArray[np.float64]:
        """(F,) share of the impostor pairs accepted, never above the one asked for."""
        return _numbers(point.achieved_far for point in self.points)

    @property
    def true_accepts(self) -> tuple[int | None, ...]:
        """(F,) genuine pairs accepted."""
        return tuple(point.true_accepts for point in self.points)

    @property
    def false_accepts(self) -> tuple[int | None, ...]:
        """(F,) impostor pairs accepted."""
        return tuple(point.false_accepts for point in self.points)

    @property
    def interval(self) -> Intervals | None:
        """Of the TAR; None where no replicates were asked for."""
        if not self.replicates:
            return None
        bands = [point.interval for point in self.points]
        return Intervals(*(_numbers(band and band[end] for band in bands) for end in (0, 1)))

    def __str__(self) -> str:
        pairs = self.genuine_pairs, self.impostor_pairs
        return table(TarFarResult("features", self.rows, self.dim, *pairs, "all pairs", list(self.points)))


def tar_at_far(
    features: ArrayLike,
    labels: ArrayLike,
    fars: Far | Sequence[Far] = (1e-3, 1e-4),
    *,
    distractor_pairs: bool = True,
    replicates: int = 0,
    seed: int = 0,
    block_size: int = BLOCK_SIZE,
    device: str = "cpu",
) -> TarAtFar:
    """TAR at each FAR over all unordered pairs of rows, exact and deterministic; what it means: ``docs/scoring.md``.

    Args:
        features: (N, D), not necessarily normalised; computed with as float32 rows, whose cosine is the score.
        labels: (N,) integers or strings; equal ones (strings in Unicode's composed form) are one person. -1, "-1" and
            "" are distractors: each is a person of its own, whose every pair is an impostor pair.
        fars: one or several, each above 0 and below 1. A float means the number that it is written as: 1e-3 is a
            thousandth.
        distractor_pairs: whether pairs of two distractors count.
        replicates: of a bootstrap over people, for the intervals; 0: none, which is faster. 1000 is usual.
        seed: of the bootstrap.
        block_size: columns of a block. It changes memory and speed, never a result.
        device: what screens: cpu, cuda, cuda:N or auto. It never changes a result.

    Raises:
        UserError: a :class:`ValueError`. The shapes do not fit; a row is not finite or all zeros; labels are neither
            integers nor strings; a FAR is not above 0 and below 1; there are no genuine or no impostor pairs.
    """
    rows, people = _features(features), _labels(labels)
    exact = [fars] if isinstance(fars, float | int | Fraction | np.number) else fars
    request = ScoringRequest(
        LabelledRows(rows, People(people)),
        parse_fars(exact) if isinstance(exact, str) else [_exact_far(far) for far in exact],
        distractor_pairs=distractor_pairs,
        replicates=replicates,
        seed=seed,
        block_size=block_size,
        device=device,
    )
    comparisons, workers = request.comparisons(), Workers(silent=True)
    if replicates:
        points = score_request(request, comparisons, workers).result.points
    else:
        points = operating_points(comparisons, request.fars, workers=workers)
    counts = comparisons.genuine_pairs, comparisons.impostor_pairs
    return TarAtFar(len(rows), comparisons.width, *counts, tuple(points), replicates)


def _exact_far(far: Far) -> Fraction:
    if isinstance(far, Fraction) and 0 < far < 1:
        return far
    return exact_rate(str(far), "FAR")


def _features(values: ArrayLike) -> NDArray[np.float32]:
    rows = np.asarray(values)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise UserError(f"features are {rows.dtype} of shape {rows.shape}: expected (rows, width) of numbers")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is told as such
        return rows.astype(np.float32, copy=False)


def _labels(values: ArrayLike) -> NDArray[np.int64]:
    """Numbers of people (N,), -1 for a distractor; whole numbers as they are where they can be."""
    labels = np.asarray(values)
    if labels.dtype.kind == "O":
        labels = np.asarray(labels.tolist())
    if labels.ndim != 1 or labels.dtype.kind not in "iuUS":
        raise UserError(f"labels are {labels.dtype} of shape {labels.shape}: expected one integer or string a row")
    if labels.dtype.kind in "US":
        texts = [composed(text.decode() if isinstance(text, bytes) else text) for text in labels.tolist()]
        known = {"": DISTRACTOR, "-1": DISTRACTOR}
        return np.array([known.setdefault(text, len(known) - 2) for text in texts], dtype=np.int64)
    if len(labels) and (int(labels.min()) < DISTRACTOR or int(labels.max()) >= LABEL_LIMIT):
        numbers, codes = np.unique(labels, return_inverse=True)
        return np.where(numbers == DISTRACTOR, DISTRACTOR, np.arange(len(numbers)))[codes.reshape(-1)]
    return labels.astype(np.int64)


def _numbers(values: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
