"""Which model is the best of a run, and under which number one is saved."""

from __future__ import annotations

import math


class BestModel:
    """When a model is saved and under which number, as the original's ``--ckpt`` has it.

    0: never. 1: when it is the best so far, numbered by the validation. 2: always, numbered likewise. 3: when it is the
    best so far, always under number 1. Best is the highest merit (of faces: accuracy) on the last validation set; with
    equal ones, the sum over all sets decides. Without any set nothing is the best, and the original would save only
    with 2; here 1 and 3 then save the latest.
    """

    def __init__(self) -> None:
        self.highest_sum = -math.inf
        self.highest = -math.inf
        self.validations = 0

    def number_to_save(self, mode: int, merits: list[float]) -> int | None:
        """Take note of a validation; the number under which to save the model, or None."""
        self.validations += 1
        is_best = not merits or self._is_best(merits)
        if mode == 0 or not (is_best or mode == 2):
            return None
        return 1 if mode == 3 else self.validations

    def _is_best(self, merits: list[float]) -> bool:
        last, total = merits[-1], sum(merits)
        if last < self.highest:
            return False
        is_best = last > self.highest
        if not is_best and total >= self.highest_sum:  # the sum is only noted in a tie, as in the original
            is_best, self.highest_sum = True, total
        self.highest = last
        return is_best

    def state(self) -> dict[str, float]:
        """For the checkpoint."""
        return dict(vars(self))

    def restore(self, state: dict[str, float]) -> None:
        """Undo :meth:`state`."""
        vars(self).update(state)
