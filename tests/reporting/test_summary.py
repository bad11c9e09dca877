"""The sentences on top of the report: which figures they choose, and what they claim."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction

import pytest

from lwface.reporting.summary import percent, summary, telling_far
from lwface.scoring.intervals import Difference, Interval
from lwface.scoring.operating_points import OperatingPoint


def plain(html):
    """The sentences without markup."""
    return [re.sub("<[^>]*>", "", text) for text in re.findall("<p>(.*?)</p>", html)]


def with_points(evaluation, *points, impostors=100_000, genuine=1000):
    """``points`` are (FAR, genuine pairs accepted, interval)."""
    made = [OperatingPoint(Fraction(far), impostors, genuine, 0.5, 1, hits, around) for far, hits, around in points]
    return dataclasses.replace(evaluation, points=made, impostor_pairs=impostors, genuine_pairs=genuine)


@pytest.fixture
def one(make_evaluation):
    around = Interval(0.9, 0.95)
    return with_points(make_evaluation("y2"), ("0.1", 990, around), ("1e-3", 932, around), ("1e-5", 700, around))


def test_one_model(one):
    first, second = plain(summary([one], []))
    assert first == (
        "y2 recognises 93.2 % of the pairs of one person while at most 1 in 1,000 pairs of strangers gets in; "
        "with other people like these, 90.0 % to 95.0 % (in 95 of 100 cases)."
    )
    assert second == (
        "Where both kinds of error are equally frequent, 18.8 % of the pairs are judged wrong (the equal error rate); "
        "with other people like these, 12.5 % to 21.9 % (in 95 of 100 cases)."
    )


def test_the_strictest_far_that_is_not_a_matter_of_single_pairs(one, bare_evaluation):
    assert telling_far(one) == Fraction("1e-3")  # 1e-5 is one pair of 100 000
    assert telling_far(with_points(one, ("1e-4", 1, None), ("1e-3", 1, None))) == Fraction("1e-4")
    few = with_points(one, ("0.1", 4, None), ("0.05", 3, None), impostors=60)
    assert telling_far(few) == Fraction("0.1")
    assert "a first impression only" in plain(summary([few], []))[0]
    assert "how sure that is, is not known" in plain(summary([few], []))[0]
    why = "fewer than 10 people with genuine pairs: 3"
    told = plain(summary([dataclasses.replace(few, no_intervals=why)], []))[0]
    assert f"how sure that is, is not known ({why})." in told
    assert telling_far(bare_evaluation) is None
    (alone,) = plain(summary([bare_evaluation], []))
    assert "none of the FARs asked for can be told" in alone


def test_a_poor_model_is_held_against_guessing(one):
    rates = one.error_rates
    poor = dataclasses.replace(one, error_rates=rates._replace(equal=rates.equal._replace(rate=0.3, exact=False)))
    text = plain(summary([poor], []))[1]
    assert "Guessing is wrong in 50 %" in text
    assert "by a sample" in text
    assert "Guessing" not in plain(summary([one], []))[1]


def compared(one, *changes):
    other = dataclasses.replace(with_points(one, ("1e-3", 950, None)), name="m1")
    differences = [Difference("y2", "m1", Fraction(far), *change) for far, *change in changes]
    return plain(summary([one, other], differences))


def test_the_better_of_two(one):
    first, second = compared(one, ("1e-3", 0.018, Interval(0.002, 0.034)), ("0.1", 0.001, Interval(-0.1, 0.1)))
    assert first.startswith("m1 recognises 95.0 %")
    assert second == (
        "m1 is better than y2: it recognises 1.8 percentage points more with 1 in 1,000 strangers let in, which is not "
        "chance: with other people like these, 0.2 to 3.4 percentage points (in 95 of 100 cases)."
    )
    _, worse = compared(one, ("1e-3", -0.018, Interval(-0.034, -0.002)))
    assert worse.startswith("y2 is better than m1: it recognises 1.8 percentage points more")
    assert "0.2 to 3.4 percentage points" in worse


def test_two_that_cannot_be_told_apart(one):
    _, text = compared(one, ("1e-3", 0.018, Interval(-0.01, 0.05)))
    assert text.startswith(
        "Which of m1 and y2 is better cannot be told from these people: m1 recognises 1.8 percentage"
    )
    assert "−1.0 to 5.0 percentage points" in text
    _, text = compared(one, ("1e-3", -0.018, Interval(-0.05, 0.01)))
    assert "y2 recognises 1.8" in text
    assert "−1.0 to 5.0 percentage points" in text
    assert "not chance" not in text
    _, text = compared(one, ("1e-3", 0.018, None))
    assert "whether that is chance is not known" in text
    _, text = compared(one, ("1e-3", None, None))
    assert "cannot be compared" in text


def test_another_far_that_tells_the_contrary_is_told_too(one):
    _, text = compared(one, ("1e-3", 0.02, Interval(0.01, 0.03)), ("0.1", -0.02, Interval(-0.03, -0.01)))
    assert text.endswith("At FAR 0.1 it is the other way round.")


def test_each_of_several_is_held_against_the_first(one):
    others = [dataclasses.replace(one, name=name) for name in ("b", "c")]
    changes = [Difference("y2", name, Fraction("1e-3"), 0.02, Interval(0.01, 0.03)) for name in ("b", "c")]
    assert len(plain(summary([one, *others], changes))) == 3


@pytest.mark.parametrize(
    ("rate", "text"),
    [(1, "100.0 %"), (0, "0.0 %"), (0.5, "50.0 %"), (0.9996, "99.96 %"), (0.9999, "99.99 %"), (0.00004, "0.004 %")],
)
def test_a_share_is_not_rounded_to_all_or_nothing(rate, text):
    assert percent(rate) == text
