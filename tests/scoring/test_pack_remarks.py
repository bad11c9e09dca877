"""A good model gets no remark, and each fault gets its own."""

from __future__ import annotations

import numpy as np

from lwface.scoring.pack_accuracy import evaluate, normalise_rows, pack_figures
from lwface.scoring.pack_remarks import remark


def features(pairs, noise, same, seed=0):
    generator = np.random.default_rng(seed)
    first = generator.normal(size=(pairs, 16))
    second = np.where(
        same[:, None], first + noise * generator.normal(size=(pairs, 16)), generator.normal(size=(pairs, 16))
    )
    return (7 * np.stack([first, second], axis=1).reshape(2 * pairs, 16)).astype(np.float32)


SAME = np.arange(600) % 3 == 0  # so guessing has 0.667


def remark_of(rows):
    units = normalise_rows(rows.astype(np.float64))
    return remark([rows], units, SAME, evaluate(units, SAME).accuracy)


def test_a_model_that_tells_people_apart_gets_no_remark():
    good = features(600, 0.5, SAME)
    for rows in (good, good / np.linalg.norm(good, axis=1, keepdims=True), good * 100, good + 4):
        assert remark_of(rows) is None
    assert pack_figures(good, SAME).remark is None


def test_each_fault_gets_its_words():
    good, noise = features(600, 0.5, SAME), features(600, 50, SAME, seed=3)
    assert remark_of(noise) == "no better than guessing: whoever calls all 600 pairs two persons has 0.66667"
    assert remark_of(good * 1e7).startswith("the features blow up, their mean norm is 2")
    assert remark_of(good * 1e-6).startswith("the features vanish, their mean norm is 2")
    assert remark_of(good + 4000).startswith(
        "the features collapsed, those of two persons have a mean cosine of 0.9999"
    )
    holes = good.copy()
    holes[[4, 9]] = 0
    assert remark_of(holes) == "2 of 1200 features are all zeros"


def test_a_pack_with_a_fold_of_one_kind_has_no_figure():
    same = SAME.copy()
    same[60:120] = False
    found = pack_figures(features(600, 0.5, same), same)
    assert "Accuracy: none, fold 2 of 10 (pairs 61 to 120) has only pairs of two persons; with 9 folds" in found.table(
        "p"
    )
    assert found.as_json()["accuracy"] is None
    assert found.as_json()["validation"] is None
    assert found.score.xnorm > 1
    assert pack_figures(features(600, 0.5, same), same, folds=9).score.accuracy > 0.9
