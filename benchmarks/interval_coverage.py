"""How often the intervals of a TAR hold the true one, on people that are made up and so have a true one.

    python benchmarks/interval_coverage.py

Many sets of people are drawn from one population, in which some people scatter much more than others. An interval that
is honest holds the population's TAR in 95 % of the sets. Beside it: the interval of a proportion (Wilson's) over
genuine pairs, as if these were independent and the threshold known; and how often two models are called different that
are not: two draws of features for the same people.
"""

from __future__ import annotations

import argparse
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.commands import run_command
from lwface.base.progress import progress
from lwface.scoring.exact.pair_counts import ImpostorMass
from lwface.scoring.intervals import Bootstrap, CodedPairs, GenuineTally, differences, interval, replicate_thresholds
from lwface.scoring.operating_points import threshold_above
from lwface.scoring.parameters import parse_fars

WIDTH = 16
POPULATION = 12000  # people from whom the truth is taken
BLOCK = 1000


class People(NamedTuple):
    """What stays the same when a person is photographed again."""

    centres: NDArray[np.float64]  # (P, WIDTH)
    scatter: NDArray[np.float64]  # (P,)


def draw_people(generator: np.random.Generator, people: int) -> People:
    """People of the population."""
    return People(generator.normal(size=(people, WIDTH)), 0.6 * generator.lognormal(0, 0.5, people))


def photograph(generator: np.random.Generator, people: People, rows: int) -> NDArray[np.float64]:
    """Unit features (P * rows, WIDTH), person after person."""
    noise = generator.normal(size=(len(people.scatter), rows, WIDTH))
    features = (people.centres[:, np.newaxis] + people.scatter[:, np.newaxis, np.newaxis] * noise).reshape(-1, WIDTH)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def true_tars(generator: np.random.Generator, fars: list[Fraction]) -> list[float]:
    """TAR at each FAR of the population, from all pairs of a large part of it."""
    people = draw_people(generator, POPULATION)
    first, second = photograph(generator, people, 1), photograph(generator, people, 1)
    pairs = POPULATION * (POPULATION - 1)
    kept = int(max(fars) * pairs) + 1
    highest = np.empty(0)
    for start in range(0, POPULATION, BLOCK):
        scores = first[start : start + BLOCK] @ second.T
        scores[np.arange(BLOCK), np.arange(start, start + BLOCK)] = -2  # the person itself
        highest = np.concatenate([highest, scores.ravel()])
        highest = np.partition(highest, len(highest) - kept)[-kept:] if len(highest) > kept else highest
    highest = np.sort(highest)[::-1]
    genuine = np.einsum("pd,pd->p", first, second)
    return [float(np.mean(genuine > highest[int(far * pairs)])) for far in fars]


def evaluate(
    units: NDArray[np.float64], rows: int, fars: list[Fraction], replicates: int
) -> tuple[list[float | None], NDArray[np.float64], int]:
    """TAR at each FAR, that of each replicate (F, B), and the number of genuine pairs."""
    codes = np.repeat(np.arange(len(units) // rows), rows)
    first, second = np.triu_indices(len(units), 1)
    same, scores = codes[first] == codes[second], (units @ units.T)[first, second]
    bootstrap = Bootstrap(codes, replicates=replicates)
    impostors = CodedPairs(np.stack([codes[first[~same]], codes[second[~same]]], axis=1), scores[~same])
    totals = ImpostorMass(bootstrap, codes).totals()
    thresholds = replicate_thresholds(bootstrap, fars, totals, len(impostors.scores), impostors)
    tally = GenuineTally(thresholds, len(bootstrap))
    tally.add(codes[first[same]], scores[same])
    highest, genuine = np.sort(impostors.scores)[::-1], scores[same]
    allowed = [int(far * len(highest)) for far in fars]
    tars = [float(np.mean(genuine >= threshold_above(highest[count]))) if count else None for count in allowed]
    return tars, tally.tars(bootstrap, np.arange(len(bootstrap))), len(genuine)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a proportion of ``count`` independent trials (Wilson, 1927)."""
    z = 1.96
    middle, spread = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    return (middle - spread) / (1 + z * z / count), (middle + spread) / (1 + z * z / count)


def coverage(
    generator: np.random.Generator,
    people: int,
    rows: int,
    fars: list[Fraction],
    truth: list[float],
    sets: int,
    replicates: int,
) -> list[str]:
    """One line a FAR: how often each interval holds the truth, their mean widths, how often a difference is claimed."""
    sums = np.zeros((6, len(fars)))  # sets, then what each adds to the columns
    for _ in progress(range(sets), label=f"{people} people", unit="set"):
        drawn = draw_people(generator, people)
        results = [evaluate(photograph(generator, drawn, rows), rows, fars, replicates) for _ in range(2)]
        (tars, found, genuine), (others, other_found, _) = results
        different = differences(("a", "b"), fars, (tars, others), (found, other_found), people)
        for index, tar in enumerate(tars):
            around = interval(found[index], people)
            if tar is None or around is None:
                continue
            plain = wilson(tar, genuine)
            sums[:, index] += [
                1,
                around.low <= truth[index] <= around.high,
                around.high - around.low,
                plain[0] <= truth[index] <= plain[1],
                plain[1] - plain[0],
                different[index].better is not None,
            ]
    return [
        f"{people:7}{rows:6}{float(far):9.0e}{truth[index]:9.3f}"
        + "".join(f"{column / sums[0, index]:9.3f}" for column in sums[1:, index])
        for index, far in enumerate(fars)
        if sums[0, index]
    ]


def main(argv: list[str] | None = None) -> None:
    """Draw, evaluate, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--people", default="25,57,200", help="numbers of people (default: 25,57,200)")
    add("--rows", type=int, default=4, help="rows of each person (default: 4)")
    add("--far", default="1e-1,1e-2,1e-3", help="false accept rates (default: 1e-1,1e-2,1e-3)")
    add("--sets", type=int, default=400, help="sets drawn (default: 400)")
    add("--replicates", type=int, default=300, help="replicates of each interval (default: 300)")
    args = parser.parse_args(argv)
    fars, generator = parse_fars(args.far), np.random.default_rng(0)
    truth = true_tars(generator, fars)
    print(f"{'':22}{'true':>9}{'over people':>18}{'over pairs':>18}{'equal, yet':>12}")
    print(f" people  rows      FAR{'TAR':>9}" + f"{'holds':>9}{'width':>9}" * 2 + f"{'different':>12}")
    for people in map(int, args.people.split(",")):
        print("\n".join(coverage(generator, people, args.rows, fars, truth, args.sets, args.replicates)), flush=True)


if __name__ == "__main__":
    run_command(main)
