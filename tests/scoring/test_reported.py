"""Scores read back from the evaluator's JSON: bounds that hold for every score, against counting."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lwface.base.errors import UserError
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.parameters import parse_fars
from lwface.scoring.reported import read_reported
from lwface.scoring.tar_far import score_pairs
from lwface.scoring.tar_far_result import as_json, comparison_json
from tests.scoring_oracle import scores_of

LABELS = np.repeat(np.arange(20), 4)


def rows(noise):
    generator = np.random.default_rng(3)
    return (generator.normal(size=(20, 8))[LABELS] + noise * generator.normal(size=(80, 8))).astype(np.float32)


def scored(noise, name, fars="0.1,1e-2,1e-9"):
    return score_pairs(Grid(FeatureSet(rows(noise), LABELS, "f"), None), parse_fars(fars), name=name).result


@pytest.fixture
def path(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps(as_json(scored(0.8, "one"))))
    return tmp_path / "s.json"


def test_the_bounds_hold_for_every_score_and_are_near(path):
    reported = read_reported(path)
    first, second = np.triu_indices(80, 1)
    scores = scores_of(rows(0.8), rows(0.8))[first, second]
    same = LABELS[first] == LABELS[second]
    points = [point.threshold for point in reported.curve]
    for score in [*np.linspace(-1, 1, 101).tolist(), *points, *np.nextafter(points, -2).tolist()]:
        far, tar = (scores[~same] >= score).mean(), (scores[same] >= score).mean()
        found = reported.meaning(score)
        assert far <= found.far_at_most
        assert tar >= found.tar_at_least
        assert found.exact
        assert found.beyond == (score > max(points))
        if score in points:
            assert (found.far_at_most, found.tar_at_least) == (far, tar)
        assert found.far_at_most <= 10 ** (0.11) * far + 1.01 / (~same).sum() or far > 0.7


def test_verdicts_are_of_the_fars_asked_for(path):
    reported = read_reported(path)
    (loose, strict) = (point.threshold for _, point in reported.operating)  # 1e-9 has none
    assert [verdict.far for verdict in reported.verdicts(0)] == [0.1, 0.01]
    assert [verdict.accepted for verdict in reported.verdicts(strict)] == [True, True]
    assert [verdict.accepted for verdict in reported.verdicts(float(np.nextafter(strict, -1)))] == [True, False]
    assert [verdict.accepted for verdict in reported.verdicts(float(np.nextafter(loose, -1)))] == [False, False]


def test_of_several_the_one_asked_for(tmp_path):
    results = [scored(0.8, "good"), scored(1.6, "bad")]
    (tmp_path / "s.json").write_text(json.dumps(comparison_json(results, [])))
    first, second = read_reported(tmp_path / "s.json"), read_reported(tmp_path / "s.json", "bad")
    assert (first.name, first.others, second.name, second.others) == ("good", ["bad"], "bad", ["good"])
    assert first.operating[0][1].threshold == results[0].points[0].threshold
    assert second.operating[0][1].threshold == results[1].points[0].threshold
    with pytest.raises(UserError, match="did you mean 'bad'"):
        read_reported(tmp_path / "s.json", "bat")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ('{"rows": 3', "not JSON"),
        ("[1, 2]", "not the scores of feature files"),
        ("7", "not the scores of feature files"),
        ('{"results": [{"far": 0.1}]}', "not the scores of feature files"),
        ('{"network": "y2", "flops": 7}', "not the scores of feature files"),
        ('{"models": [], "results": {}}', "not the scores of feature files"),
    ],
)
def test_what_is_no_such_json_is_named(tmp_path, text, says):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UserError, match=f"s.json: {says}.*tar_far"):
        read_reported(tmp_path / "s.json")


def test_a_name_for_a_file_of_one_and_a_file_without_a_threshold(path, tmp_path):
    with pytest.raises(UserError, match="one feature file"):
        read_reported(path, "good")
    found = as_json(scored(0.8, "one", "1e-9"))
    del found["roc"]
    (tmp_path / "none.json").write_text(json.dumps(found))
    with pytest.raises(UserError, match="no FAR could be resolved"):
        read_reported(tmp_path / "none.json")
