"""The learning rate as a function of the step alone: resuming needs no more than the number of steps done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lwface.base.errors import UserError
from lwface.settings.configuration import step_list

STEP_FACTOR = 0.1


def learning_rate(config: Mapping[str, Any], step: int) -> float:
    """The rate of the update that follows ``step`` finished ones.

    In the first ``warmup_steps`` the rate rises linearly, from ``lr / warmup_steps`` to ``lr``. Then, with
    ``p = (step - warmup_steps) / (total_steps - warmup_steps)`` the part that is done:

    * ``step``: ``lr``, times 0.1 at each of ``lr_steps`` (counted from the start of the run, warm-up included);
    * ``cosine``: ``lr * (1 + cos(pi p)) / 2`` (Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts);
    * ``poly``: ``lr * (1 - p) ** poly_power``.
    """
    base, warmup, policy = config["lr"], config["warmup_steps"], config["lr_policy"]
    if step < warmup:
        return base * (step + 1) / warmup
    if policy == "step":
        for _ in range(sum(step >= change for change in step_list(config["lr_steps"]))):
            base *= STEP_FACTOR  # one by one, as the original does: the printed digits are the same
        return base
    done = min(1.0, (step - warmup) / (config["total_steps"] - warmup))
    if policy == "cosine":
        return base * (1 + math.cos(math.pi * done)) / 2
    return base * (1 - done) ** config["poly_power"]


def last_step(config: Mapping[str, Any], steps_per_epoch: int) -> int:
    """Steps of the whole run: ``end_epoch`` epochs, at most ``max_steps`` when that is not 0."""
    steps = config["end_epoch"] * steps_per_epoch
    return min(steps, config["max_steps"]) if config["max_steps"] else steps


def schedule_length(config: Mapping[str, Any], steps_per_epoch: int) -> int:
    """The ``total_steps`` over which ``cosine`` and ``poly`` fall: as configured, else the whole run; 0 for ``step``.

    Raises:
        UserError: nothing is left after the warm-up.
    """
    if config["lr_policy"] == "step":
        return 0
    total = config["total_steps"] or last_step(config, steps_per_epoch)
    if total <= config["warmup_steps"]:
        raise UserError(f"the schedule of {total} steps ends within its warmup_steps = {config['warmup_steps']}")
    return int(total)
