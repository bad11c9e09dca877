"""Evaluations made by a plain matrix product, for the tests of the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest

from lwface.scoring.intervals import Interval
from lwface.scoring.operating_points import OperatingPoint
from lwface.scoring.tar_far_result import (
    Breakdown,
    DoubtfulRow,
    ErrorRate,
    ErrorRates,
    Group,
    GroupPoint,
    HardPair,
    Roc,
    ScoreHistogram,
    Suspects,
    TarFarResult,
)

ROWS, PEOPLE = 60, 20
FARS = tuple(map(Fraction, ("1e-1", "1e-2", "1e-8")))


def around(rate: float) -> Interval:
    """Some interval: the report shows what it is given."""
    return Interval(max(0.0, rate - 0.0625), min(1.0, rate + 0.03125))


def operating_point(far: Fraction, genuine: np.ndarray, impostors: np.ndarray) -> OperatingPoint:
    allowed = int(far * len(impostors))
    if not allowed:
        return OperatingPoint(far, len(impostors), len(genuine))
    threshold = float(np.nextafter(np.sort(impostors)[-allowed - 1], 2))
    accepted = int((genuine >= threshold).sum())
    counts = threshold, int((impostors >= threshold).sum()), accepted
    return OperatingPoint(far, len(impostors), len(genuine), *counts, around(accepted / len(genuine)))


def roc_of(genuine: np.ndarray, impostors: np.ndarray, exact_up_to: float) -> Roc:
    thresholds = np.sort(impostors)[::-1]
    far = np.arange(1, len(thresholds) + 1) / len(thresholds)
    tar = (genuine[:, None] >= thresholds).mean(axis=0)
    return Roc(far, tar, thresholds, far <= exact_up_to, np.maximum(tar - 0.05, 0), np.minimum(tar + 0.05, 1))


def breakdown_of(
    column: str, values: Sequence[str], pairs: tuple[np.ndarray, ...], points: Sequence[OperatingPoint]
) -> Breakdown:
    first, second, scores, same, labels = pairs
    groups = []
    for value in sorted(set(values)):
        rows = np.flatnonzero(np.array(values) == value)
        inside = np.isin(first, rows) & np.isin(second, rows)
        genuine, impostors = scores[inside & same], scores[inside & ~same]
        found = []
        for point in points:
            if point.threshold is None:
                found.append(GroupPoint(point.far, None, None, None))
                continue
            tar = float((genuine >= point.threshold).mean()) if len(genuine) else None
            far = float((impostors >= point.threshold).mean()) if len(impostors) else None
            found.append(GroupPoint(point.far, tar, None if tar is None else around(tar), far))
        people = len(set(labels[rows].tolist()))
        groups.append(Group(value, len(rows), people, len(genuine), len(impostors), found))
    gaps: list[tuple[float | None, Interval | None]] = []
    for number in range(len(points)):
        rates = [rate for group in groups if (rate := group.points[number].tar) is not None]
        gaps.append((max(rates) - min(rates), Interval(0.0, 0.5)) if rates else (None, None))
    return Breakdown(column, groups, gaps)


def evaluate(
    name: str = "model.bin",
    seed: int = 0,
    noise: float = 1.0,
    columns: dict[str, Sequence[str]] | None = None,
    exact_up_to: float = 0.1,
    doubtful: tuple[float, float] = (0.8, 0.3),
) -> TarFarResult:
    """An evaluation of :data:`ROWS` rows in which everything is present, at :data:`FARS`; the last is not resolvable.

    ``doubtful``: impostors above the first and genuine pairs below the second are suspects.
    """
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(PEOPLE), ROWS // PEOPLE)
    features = generator.normal(size=(PEOPLE, 8))[labels] + noise * generator.normal(size=(ROWS, 8))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    first, second = np.triu_indices(ROWS, 1)
    scores, same = (features @ features.T)[first, second], labels[first] == labels[second]
    genuine, impostors = scores[same], scores[~same]
    points = [operating_point(far, genuine, impostors) for far in FARS]
    edges = np.linspace(-1, 1, 401)

    def hardest(kind: np.ndarray, sign: int) -> list[HardPair]:
        order = np.flatnonzero(kind)[np.argsort(sign * scores[kind], kind="stable")]
        return [HardPair(int(first[pair]), int(second[pair]), float(scores[pair])) for pair in order]

    wrong = [pair for pair in hardest(~same, -1) if pair.score > doubtful[0]]
    torn = [pair for pair in hardest(same, 1) if pair.score < doubtful[1]]
    pairs = first, second, scores, same, labels
    return TarFarResult(
        name,
        ROWS,
        8,
        len(genuine),
        len(impostors),
        "all pairs",
        points,
        roc_of(genuine, impostors, exact_up_to),
        ScoreHistogram(edges, np.histogram(genuine, edges)[0], sampled=False),
        ScoreHistogram(edges, np.histogram(impostors, edges)[0], sampled=exact_up_to < 1),
        hardest(same, 1)[:12],
        hardest(~same, -1)[:12],
        Suspects(wrong, len(wrong) + 5000, torn, len(torn), impostor_limit=doubtful[0], rows=[DoubtfulRow(5, 0.1, 2)]),
        [breakdown_of(column, values, pairs, points) for column, values in (columns or {}).items()],
        ErrorRates(
            ErrorRate(0.1875, 0.25, 0.18, 0.19, True, around(0.1875)),
            ErrorRate(0.8125, 0.375, 0.1, 0.275, exact_up_to == 1, None),
        ),
    )


@pytest.fixture(scope="session")
def make_evaluation() -> Callable[..., TarFarResult]:
    """:func:`evaluate`."""
    return evaluate


@pytest.fixture(scope="session")
def bare_evaluation() -> TarFarResult:
    """One in which nothing is present that may be absent, and no FAR is resolvable."""
    whole = evaluate()
    return TarFarResult(
        "bare", whole.rows, whole.dim, whole.genuine_pairs, whole.impostor_pairs, "p", [whole.points[-1]]
    )


@pytest.fixture(scope="session")
def full_size() -> TarFarResult:
    """One with the challenge's number of pairs."""
    pairs = 1_733_745_522_140
    points = [OperatingPoint(Fraction("1e-8"), pairs, 48_123_456, 0.41, 17_337, 41_000_000, Interval(0.84, 0.86))]
    whole = evaluate("full size")
    assert whole.roc is not None
    roc = whole.roc._replace(far=np.geomspace(1 / pairs, 1, len(whole.roc.far)))
    changed = {"rows": 1_862_120, "genuine_pairs": 48_123_456, "impostor_pairs": pairs, "points": points, "roc": roc}
    return dataclasses.replace(whole, **changed)
