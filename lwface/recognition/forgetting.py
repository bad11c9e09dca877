"""What training changed on each verification pack, in words: what was gained, and what the network forgot."""

from __future__ import annotations

import math

from lwface.reporting.training_log import TrainingRun
from lwface.scoring.pack_accuracy import chance_difference

FIGURE = "accuracy"


def changes(run: TrainingRun, step: int) -> list[str]:
    """A line for each pack that was verified before the first step and after ``step`` of them."""
    lines = []
    for pack, found in run.validations.items():
        by_step = {entry.step: entry for entry in found}
        if 0 not in by_step or step not in by_step or step == 0:
            continue
        before, after = (by_step[number].value(FIGURE) for number in (0, step))
        folds = by_step[step].value("folds")
        chance = chance_difference(by_step[step].value("std"), int(folds)) if math.isfinite(folds) else 0.0
        if abs(after - before) <= chance:
            told = f"not to be told apart, as the folds deviate (less than {chance:.5f} tells nothing)"
        else:
            told = "better than before" if after > before else "worse: of this the network forgot something"
        lines.append(f"{pack}: Accuracy {before:1.5f} before, {after:1.5f} after step {step}, {told}")
    return lines
