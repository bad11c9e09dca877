"""The parts of the coverage benchmark against plain computation, and the whole on a few people."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from benchmarks import interval_coverage as benchmark


def test_the_truth_is_that_of_all_pairs(monkeypatch):
    monkeypatch.setattr(benchmark, "POPULATION", 120)
    monkeypatch.setattr(benchmark, "BLOCK", 40)
    fars = [Fraction(1, 10), Fraction(1, 1000)]
    found = benchmark.true_tars(np.random.default_rng(1), fars)
    generator = np.random.default_rng(1)
    people = benchmark.draw_people(generator, 120)
    scores = benchmark.photograph(generator, people, 1) @ benchmark.photograph(generator, people, 1).T
    impostors = np.sort(scores[~np.eye(120, dtype=bool)])[::-1]
    expected = [np.mean(np.diag(scores) > impostors[int(far * len(impostors))]) for far in fars]
    assert found == pytest.approx(expected)


def test_wilson():
    # scipy.stats.binomtest(45, 50).proportion_ci(method="wilson"), with 1.959964 for 1.96
    assert benchmark.wilson(0.9, 50) == pytest.approx((0.78640, 0.95652), abs=1e-5)


def test_the_table(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "POPULATION", 2000)
    benchmark.main(["--people", "12,5", "--rows", "3", "--sets", "3", "--replicates", "40", "--far", "0.1,1e-5"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:3] == ["12", "3", "1e-01"]
    assert all(0 <= float(share) <= 1 for share in lines[2].split()[3:])
    assert "\n".join(lines).count("1e-05") == 0  # not resolvable
    assert all(line.split()[0] != "5" for line in lines if line)  # too few people
