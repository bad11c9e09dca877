"""Steps whose loss or gradient is no number: they are left out and counted, and too many in a row end the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lwface.base.errors import UserError
from lwface.base.files import write_json
from lwface.settings.run import Run
from lwface.training.checkpoint import CHECKPOINT
from lwface.training.task import Task

NOT_FINITE = "nonfinite.json"  # in the run's folder: the images of the step that stopped it
NAMED = 8  # of them in one line


class NotFinite(UserError):
    """The training diverged."""


class LeftOutSteps:
    """Those of a run.

    Args:
        task: what is learnt.
        run: the settings.
        folder: of the run.
        writes: whether this process writes for all.

    Attributes:
        count: all of them.
        in_a_row: since the last step that was made.
    """

    def __init__(self, task: Task, run: Run, folder: Path, *, writes: bool) -> None:
        self.task, self.run, self.folder, self.writes = task, run, folder, writes
        self.count = self.in_a_row = 0

    def take(self, step: int, loss: float, rate: float, positions: Any) -> None:
        """Count step number ``step``, which was not made, and say it.

        Args:
            loss: of it.
            rate: learning rate.
            positions: of its images in the data; None: not known.

        Raises:
            NotFinite: there were too many in a row.
        """
        self.count += 1
        self.in_a_row += 1
        what = "a gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
        keys = [] if positions is None else self.task.keys(positions)
        if self.in_a_row > self.run.nonfinite_limit:
            raise self._diagnosis(what, step, rate, keys)
        row = f"{self.in_a_row} in a row, {self.count} so far; the run stops after"
        print(f"[{step}]Left out: {what}; {row} {self.run.nonfinite_limit}", flush=True)

    def check_weights(self, step: int, rate: float) -> None:
        """A gradient can overflow where the loss does not: such weights must not replace a good checkpoint.

        Raises:
            NotFinite: they are not finite.
        """
        for module in self.task.modules.values():
            for name, tensor in module.state_dict().items():
                if not torch.isfinite(tensor).all():
                    raise self._diagnosis(f"{name} is no longer finite", step, rate)

    def _diagnosis(self, what: str, step: int, rate: float, keys: Sequence[Any] = ()) -> NotFinite:
        remedies = ["look at what the loss computes first: nothing was learnt yet"] if step == 1 else []
        remedies += ["lower --lr", "give it warmup_steps", *self.task.hints()]
        if self.run.precision != "float32":
            remedies.append("or use --precision float32")
        path = self.folder / CHECKPOINT
        kept = f"{path} is as it was" if path.exists() else "no checkpoint was written yet"
        told = f"{what} at step {step} with learning rate {rate:g}"
        if self.in_a_row > 1:
            told += f", precision {self.run.precision}, for {self.in_a_row} steps in a row"
        if keys:
            more = f" and {len(keys) - NAMED} more in {self.folder / NOT_FINITE}" if len(keys) > NAMED else ""
            kept += f"; the images of that step: keys {', '.join(map(str, keys[:NAMED]))}{more}"
            if self.writes and self.folder.is_dir():
                about = {"step": step, "what": what, "lr": rate, "precision": self.run.precision, "keys": list(keys)}
                write_json(self.folder / NOT_FINITE, about)
        return NotFinite(f"{told}: {', '.join(remedies)}; {kept}")
