"""The learning rate as a function of the step alone: resuming needs no more than the number of steps done."""

from __future__ import annotations

import math

from lwface.base.errors import UserError
from lwface.settings.run import Run, step_list

STEP_FACTOR = 0.1


def learning_rate(run: Run, step: int) -> float:
    """The rate of the update that follows ``step`` finished ones.

    In the first ``warmup_steps`` the rate rises linearly, from ``lr / warmup_steps`` to ``lr``. Then, with
    ``p = (step - warmup_steps) / (total_steps - warmup_steps)`` the part that is done:

    * ``step``: ``lr``, times 0.1 at each of ``lr_steps`` (counted from the start of the run, warm-up included);
    * ``cosine``: ``lr * (1 + cos(pi p)) / 2`` (Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts);
    * ``poly``: ``lr * (1 - p) ** poly_power``.
    """
    base, warmup, policy = run.lr, run.warmup_steps, run.lr_policy
    if step < warmup:
        return base * (step + 1) / warmup
    if policy == "step":
        for _ in range(sum(step >= change for change in step_list(run.lr_steps))):
            base *= STEP_FACTOR  # one by one, as the original does: the printed digits are the same
        return base
    done = min(1.0, (step - warmup) / (run.total_steps - warmup))
    if policy == "cosine":
        return base * (1 + math.cos(math.pi * done)) / 2
    return base * (1 - done) ** run.poly_power


def last_step(run: Run, steps_per_epoch: int) -> int:
    """Steps of the whole run: ``end_epoch`` epochs, at most ``max_steps`` when that is not 0."""
    steps = run.end_epoch * steps_per_epoch
    return min(steps, run.max_steps) if run.max_steps else steps


def schedule_length(run: Run, steps_per_epoch: int) -> int:
    """The ``total_steps`` over which ``cosine`` and ``poly`` fall: as configured, else the whole run; 0 for ``step``.

    Raises:
        UserError: nothing is left after the warm-up.
    """
    if run.lr_policy == "step":
        return 0
    total = run.total_steps or last_step(run, steps_per_epoch)
    if total <= run.warmup_steps:
        raise UserError(
            f"the schedule of {total} steps ends within its warmup_steps = {run.warmup_steps}: lower --warmup-steps"
        )
    return int(total)
