"""Exact scoring against a brute-force oracle on thousands of drawn cases, every protocol.

    python tests/scoring_oracle.py --count 10000 --seed 0

A case draws rows (random, tied, duplicated, nearer to each other than any screening can tell, huge and denormal,
aligned with the rotation of the codes), people, distractors, groups, pairs to leave out, a protocol, and how it is
computed: block size, memory, which arithmetic screens. The oracle computes every score by the definition, sorts them
and tries the neighbouring float64 numbers. Thresholds and counts must be equal to the last bit. Case number i of a seed
is always the same: ``--only i`` repeats it.
"""

from __future__ import annotations

import argparse
import collections
import sys
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from scipy.linalg import hadamard

from lwface.base.commands import run_command
from lwface.base.progress import progress
from lwface.scoring.exact import impostors, sampling
from lwface.scoring.exact.comparisons import Comparisons, PairList
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.exact.impostors import find_impostors
from lwface.scoring.exact.screening import SIGN_SEED, coded_width
from lwface.scoring.exact.sharding import Workers
from lwface.scoring.operating_points import operating_points
from lwface.scoring.parameters import parse_fars

FARS = "0.9,0.31,1e-1,1e-2,1e-3,1e-5"
KINDS = ["random", "tied", "duplicates", "near", "extreme", "sparse", "clustered", "aligned"]
PROTOCOLS = ["all pairs", "probe x gallery", "pair list", "labelled pair list"]


# -- the oracle -------------------------------------------------------------------------------------------------------


def tree(values: Any) -> Any:
    """The definition of the score's sum, as a plain loop over Python floats (or whole columns)."""
    values = list(values)
    while len(values) > 1:
        half = 1
        while half * 2 < len(values):
            half *= 2
        values = [v + values[half + k] if half + k < len(values) else v for k, v in enumerate(values[:half])]
    return values[0]


def scores_of(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The matrix of scores by the definition, vectorised over columns only: independent of the kernel."""
    units = []
    for rows in (left, right):
        rows = rows.astype(np.float64)
        norms = np.sqrt(np.array([tree(row) for row in rows * rows]))
        units.append(rows / norms[:, None])
    products = np.moveaxis(units[0][:, None, :] * units[1][None, :, :], 2, 0)  # (D, N, M)
    found: np.ndarray = tree(products)
    return found


def oracle(scores: np.ndarray, same: np.ndarray, fars: list[Any]) -> list[tuple[Any, Any, Any]]:
    """Threshold, false and true accepts at each FAR: sort, count, and try the neighbouring float64 numbers."""
    impostor, genuine = np.sort(scores[~same]), scores[same]
    found: list[tuple[Any, Any, Any]] = []
    for far in fars:
        allowed = far * len(impostor)
        if allowed < 1:
            found.append((None, None, None))
            continue
        candidates = np.sort(np.concatenate([impostor, np.nextafter(impostor, np.inf)]))
        accepted = len(impostor) - np.searchsorted(impostor, candidates, "left")  # at or above each
        threshold = candidates[np.flatnonzero(accepted <= allowed)[0]]
        assert np.sum(impostor >= np.nextafter(threshold, -np.inf)) > allowed  # nothing smaller fits
        found.append((threshold, int(np.sum(impostor >= threshold)), int(np.sum(genuine >= threshold))))
    return found


def figures(points: list[Any]) -> list[tuple[Any, Any, Any]]:
    """What the oracle tells, of operating points."""
    return [(p.threshold, p.false_accepts, p.true_accepts) for p in points]


def same_person(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether two labels are one person; distractors never are."""
    found: np.ndarray = (left[:, None] == right[None, :]) & (left[:, None] >= 0)
    return found


def make_rows(seed: int, rows: int, width: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (rows, width) float32 and labels with at least one genuine and one impostor pair."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, max(2, rows // 4), rows)
    centres = generator.normal(size=(rows, width))
    features = 0.8 * centres[labels] + generator.normal(size=(rows, width))
    if kind == "tied":  # few different values, so that many scores are equal
        features = np.where(features > 0, 1.0, -1.0) * generator.choice([1, 2], size=(rows, 1))
    elif kind == "duplicates":
        features = features[generator.integers(0, max(1, rows // 3), rows)] * generator.choice([1, 4], size=(rows, 1))
    elif kind == "near":  # closer to each other than the screening error
        features = centres[0] + 1e-5 * features
    elif kind == "extreme":
        features = features * generator.choice([1e-40, 1e-20, 1, 1e35], size=(rows, 1))
    elif kind == "sparse":  # one number carries nearly all
        features = 1e-3 * features
        features[np.arange(rows), generator.integers(0, min(width, 3), rows)] = generator.choice([-1, 1], size=rows)
    elif kind == "clustered":  # all rows within a cone
        features = features + 3 * centres[0]
    elif kind == "aligned":  # the rotation gathers all of such a row in one number, far beyond the largest code
        coded = coded_width(width) or width
        signs = np.random.default_rng(SIGN_SEED).choice(np.array([-1, 1], dtype=np.float32), size=(width, 1))[:, 0]
        chosen = generator.integers(0, 3, rows)
        features = signs * hadamard(coded)[chosen][:, :width] + 1e-3 * features
    features = features.astype(np.float32)
    features[~features.any(axis=1)] = 1
    labels[generator.random(rows) < 0.2] = -1
    labels[:2], labels[2] = 0, 1
    return features, labels


# -- cases ------------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A protocol on drawn rows, and every pair's exact score beside whether it is genuine."""

    name: str
    comparisons: Comparisons
    scores: np.ndarray
    same: np.ndarray
    capacity: int
    screened: bool  # whether the integer screening must be used, however small the set


def draw_case(seed: int) -> Case:
    """Case number ``seed``."""
    generator = np.random.default_rng(seed)
    kind, protocol = str(generator.choice(KINDS)), str(generator.choice(PROTOCOLS))
    rows, width = int(generator.integers(6, 48)), int(generator.choice([1, 2, 3, 5, 16, 64, 100]))
    features, labels = make_rows(seed, rows, width, kind)
    include, grouped, ignoring = (bool(choice) for choice in generator.random(3) < (0.5, 0.3, 0.3))
    groups = generator.integers(-1, 3, rows) if grouped else None
    options = {"block_size": int(generator.choice([1, 3, 16, 512])), "distractor_pairs": include}
    capacity, screened = int(generator.choice([2, 8, 2**22])), bool(generator.random() < 0.7)
    ignored = generator.integers(0, rows, (6, 2)) if ignoring else np.empty((0, 2), dtype=np.int64)
    if protocol == "probe x gallery":
        cut = rows // 2
        ignored = np.stack([ignored[:, 0] % cut, ignored[:, 1] % (rows - cut)], axis=1)
        halves = [slice(0, rows, 2), slice(1, rows, 2)] if generator.random() < 0.5 else [slice(cut), slice(cut, rows)]
        sizes = [len(labels[half]) for half in halves]
        ignored = ignored[(ignored < sizes).all(axis=1)]
        sets = [
            FeatureSet(features[half], labels[half], "f", side, None if groups is None else groups[half])
            for side, half in enumerate(halves)
        ]
        comparisons: Comparisons = Grid(*sets, ignored=ignored, **options)
        first, second = (index.ravel() for index in np.indices(sizes))
        taken = set(map(tuple, ignored.tolist()))
        lefts, rights = (np.arange(rows)[half] for half in halves)
        pairs = np.stack([lefts[first], rights[second]], axis=1)
        keep = np.array([(a, b) not in taken for a, b in zip(first.tolist(), second.tolist(), strict=True)])
    else:
        ignored = np.sort(ignored[ignored[:, 0] != ignored[:, 1]], axis=1)
        taken = set(map(tuple, ignored.tolist()))
        everything = FeatureSet(features, labels, "f", groups=groups)
        if protocol == "all pairs":
            pairs = np.stack(np.triu_indices(rows, 1), axis=1)
            comparisons = Grid(everything, None, ignored=ignored, **options)
        else:
            starts = generator.integers(0, rows, 80)
            pairs = np.stack([starts, (starts + generator.integers(1, rows, 80)) % rows], axis=1)
        keep = np.array([tuple(sorted(pair)) not in taken for pair in pairs.tolist()])
    same = same_person(labels, labels)[pairs[:, 0], pairs[:, 1]]
    if "pair list" in protocol:
        own = None
        if protocol == "labelled pair list":
            same = generator.random(len(pairs)) < 0.4
            own = same
        comparisons = PairList(everything, pairs[:, 0], pairs[:, 1], own, ignored=ignored, **options)
    keep &= include | (labels[pairs[:, 0]] >= 0) | (labels[pairs[:, 1]] >= 0)
    if groups is not None:
        keep &= (groups[pairs[:, 0]] < 0) | (groups[pairs[:, 0]] != groups[pairs[:, 1]])
    scores = scores_of(features, features)[pairs[:, 0], pairs[:, 1]]
    return Case(f"{protocol}, {kind}", comparisons, scores[keep], same[keep], capacity, screened)


def run_case(case: Case) -> bool:
    """Compare a case with the oracle; false where it has no genuine or no impostor pairs.

    Raises:
        AssertionError: they differ.
    """
    counts = (case.comparisons.genuine_pairs, case.comparisons.impostor_pairs)
    assert counts == (case.same.sum(), (~case.same).sum()), counts
    if not all(counts):
        return False
    fars = parse_fars(FARS)
    with ExitStack() as stack:
        if case.screened:  # as if the set were large
            for name, value in (("KEPT_IF_ALL", 0), ("KEPT_SHARE", 1), ("ENOUGH", 12)):
                stack.enter_context(mock.patch.object(impostors, name, value))
            stack.enter_context(mock.patch.object(sampling, "SAMPLE", 30))
        found = figures(operating_points(case.comparisons, fars, capacity=case.capacity))
        expected = oracle(case.scores, case.same, fars)
        assert found == expected, (found, expected)
        rank = min(5, counts[1])
        kept = find_impostors(case.comparisons, [rank], Workers(), capacity=case.capacity)
    scores = np.sort(case.scores[~case.same])[::-1]
    assert kept.ranks[rank].score == scores[rank - 1]
    assert kept.highest.scores.tolist() == scores[: len(kept.highest.scores)].tolist()
    assert len(kept.tail.scores) == complete_tail(scores, rank, case.capacity)
    return True


def complete_tail(scores: np.ndarray, rank: int, capacity: int) -> int:
    """How many of the descending ``scores`` are all kept: with those that tie with the last, unless too many do."""
    if rank > capacity:
        return 0
    reaching = int(np.sum(scores >= scores[rank - 1]))
    return reaching if reaching <= rank + capacity else int(np.sum(scores > scores[rank - 1]))


def main() -> None:
    """Run the cases asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10000, help="cases (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first case (default: 0)")
    parser.add_argument("--only", type=int, help="run this case alone")
    args = parser.parse_args()
    numbers = range(args.count) if args.only is None else [args.only]
    seen: collections.Counter[str] = collections.Counter()
    for number in progress(numbers, label="cases", unit="case"):
        case = draw_case(args.seed * 10**6 + number)
        try:
            compared = run_case(case)
        except Exception:
            print(f"case {number} of seed {args.seed}: {case.name}", file=sys.stderr)
            raise
        seen[case.name.split(",")[0] if compared else "no pairs of one kind"] += 1
    print(", ".join(f"{name}: {count}" for name, count in sorted(seen.items())))
    print(f"{sum(seen.values())} cases agree with the oracle")


if __name__ == "__main__":
    run_command(main)
