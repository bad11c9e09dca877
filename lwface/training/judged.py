"""What the validations of a run found, and what is to be said of it at the end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lwface.training.best import BestModel


class Judged:
    """The course of a run, as its validations saw it.

    Args:
        merit: what is judged by, as :attr:`lwface.training.task.Task.merit`.
        started_from: the model that the task's modules are before the first step; empty: none.

    Attributes:
        best: of the models so far.
        before: merits before the first step, where that is a trained model.
        chance: by how much another merit may differ from the last of these without being told from it.
        merits: the deciding one of each validation since.
        saved: number of the last model saved, and its step.
    """

    def __init__(self, merit: str, started_from: str = "") -> None:
        self.merit, self.started_from = merit, started_from
        self.best = BestModel()
        self.before: list[float] = []
        self.chance = math.nan
        self.merits: list[float] = []
        self.saved: tuple[int, int] | None = None

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        names = ("before", "started_from", "chance", "merits", "saved")
        return {"best": self.best.state(), **{name: getattr(self, name) for name in names}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state`; older checkpoints have the best alone."""
        self.best.restore(state["best"])
        self.before = state.get("before", [])
        self.started_from = state.get("started_from", "")
        self.chance = state.get("chance", math.nan)
        self.merits = state.get("merits", [])
        self.saved = tuple(state["saved"]) if state.get("saved") else None

    @property
    def no_better(self) -> bool:
        """Whether the model that was started from is as good as what was trained."""
        return bool(self.before and self.merits) and self.before[-1] >= self.best.highest

    def highest(self) -> str:
        """For the line that tells where the model is."""
        return f", highest {self.merit} {self.best.highest:1.5f}" if math.isfinite(self.best.highest) else ""

    def compared(self) -> str:
        """What was trained beside what the run started from: which is better, if that can be told, and what to do.

        Empty where there is nothing to compare with.
        """
        if not (self.no_better or (self.started_from and self.before and self.merits)):
            return ""
        found, before = self.best.highest, self.before[-1]
        start = "the model that it started from" if self.started_from else "the network before the first step"
        figures = f"{self.merit} {found:1.5f} here, {before:1.5f} there"
        if found > before + (0 if math.isnan(self.chance) else self.chance):
            return f"it is better than {start}: {figures}"
        if found == before:
            told = f"a tie with {start}: {figures}"
        elif abs(found - before) <= self.chance:
            doubt = f"as the folds deviate, less than {self.chance:.5f} tells nothing"
            told = f"it cannot be told apart from {start}: {figures}; {doubt}"
        else:
            told = f"{start} is better: {figures}"
        if self.started_from and found <= before:
            told += f"; use {self.started_from}"
        rises = len(self.merits) > 1 and self.merits[-1] > max(self.merits[:-1])
        return f"{told}; for more, lower --lr" + (f", or train longer: {self.merit} still rose" if rises else "")
