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


def sample_rate(run: Run, step: int) -> float:
    """The share of the classes that takes part in the update that follows ``step`` finished ones.

    With ``f = step / total_steps`` the part of the run that is done, and from ``f = sample_full`` on 1:

    * ``constant``: ``sample_rate`` all the time (Partial FC: An et al. 2021);
    * ``linear``: ``sample_rate + (1 - sample_rate) * f / sample_full``;
    * ``step``: ``sample_rate`` and then all, as the stages of You et al., "LVFace", ICCV 2025, section 3: few negatives
      for a fast start, all of them at the end.
    """
    if run.sample_policy == "constant":
        return run.sample_rate
    done = step / run.total_steps / run.sample_full
    if done >= 1:
        return 1.0
    return run.sample_rate + (1 - run.sample_rate) * done if run.sample_policy == "linear" else run.sample_rate


def margin_share(run: Run, step: int) -> float:
    """The share of the loss's margin in the update that follows ``step`` finished ones.

    It rises linearly, from 0 to 1 after ``margin_warmup_steps`` (Liu et al., "SphereFace", CVPR 2017, section 4.1, mix
    the scores with and without margin likewise, by a rising share of the former).
    """
    return min(1.0, step / run.margin_warmup_steps) if run.margin_warmup_steps else 1.0


def last_step(run: Run, steps_per_epoch: int) -> int:
    """Steps of the whole run: ``end_epoch`` epochs, at most ``max_steps`` when that is not 0."""
    steps = run.end_epoch * steps_per_epoch
    return min(steps, run.max_steps) if run.max_steps else steps


def schedule_length(run: Run, steps_per_epoch: int) -> int:
    """The ``total_steps`` over which ``cosine`` and ``poly`` fall and the share of classes grows; 0 where nothing does.

    It is as configured, else the whole run.

    Raises:
        UserError: nothing is left after the warm-up.
    """
    falls = run.lr_policy != "step"
    if not falls and run.sample_policy == "constant":
        return 0
    total = run.total_steps or last_step(run, steps_per_epoch)
    if falls and total <= run.warmup_steps:
        raise UserError(
            f"the schedule of {total} steps ends within its warmup_steps = {run.warmup_steps}: lower --warmup-steps"
        )
    return int(total)
