"""Which model is saved, and under which number."""

from __future__ import annotations

import numpy as np
import pytest

from lwface.training.best import BestModel


def replay(mode, results):
    """The original's callback, as a table of what it did: the numbers it saved under and the accuracy it showed."""
    best_total, best_last, saved, shown = 0.0, 0.0, [], []
    for count, accuracies in enumerate(results, start=1):
        highest = False
        if accuracies[-1] >= best_last:
            if accuracies[-1] > best_last:
                highest = True
            elif sum(accuracies) >= best_total:
                highest, best_total = True, sum(accuracies)
            best_last = accuracies[-1]
        save = {0: False, 1: highest, 2: True, 3: highest}[mode]
        saved.append((1 if mode == 3 else count) if save else None)
        shown.append(best_last)
    return saved, shown


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
def test_ckpt_modes_are_the_originals(mode):
    random = np.random.default_rng(mode)
    for _ in range(50):
        results = random.choice([0.5, 0.6, 0.7], size=(20, 3)).tolist()  # few values: many ties
        best, saved, shown = BestModel(), [], []
        for accuracies in results:
            saved.append(best.number_to_save(mode, accuracies))
            shown.append(best.highest)
            other = BestModel()
            other.restore(best.state())
            best = other  # as after a resume
        assert (saved, shown) == replay(mode, results)


def test_by_hand():
    best = BestModel()
    assert [best.number_to_save(1, a) for a in ([0.9, 0.5], [0.9, 0.4], [0.8, 0.5], [0.9, 0.5], [0.1, 0.6])] == [
        1,
        None,
        3,  # a tie, and the first sum that is noted
        4,
        5,
    ]
    assert [BestModel().number_to_save(mode, []) for mode in range(4)] == [None, 1, 1, 1]


def test_merits_below_zero_have_a_best_too():
    best = BestModel()
    assert [best.number_to_save(1, [merit]) for merit in (-0.5, -0.7, -0.2)] == [1, None, 3]
    assert best.highest == -0.2
