"""A training run as its folder tells it: ``log.jsonl`` (:mod:`lwface.training.log`), ``config.json``, its model files.

Light on purpose: a command looks into the folder before it loads what it draws with.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lwface.base.errors import UserError
from lwface.base.files import PathLike

LOG, CONFIG = "log.jsonl", "config.json"
BETTER_IS_LESS = ("nme",)  # of the figures by which a validation is judged


class Logged(NamedTuple):
    """What the log has of a step: figures by name."""

    step: int
    epoch: int
    figures: dict[str, float]

    def value(self, name: str) -> float:
        """A figure; NaN where the log has none of this name."""
        return self.figures.get(name, math.nan)


@dataclass(frozen=True)
class TrainingRun:
    """A run.

    Attributes:
        name: what tables call it.
        folder: of the run.
        steps: means since the entry before: ``loss``, ``lr``, ``images_per_s`` and the task's own figures.
        validations: of each validation set by name, in the order of the log.
        settings: of ``config.json``; empty where there is none.
        unread: lines of the log that could not be read.
    """

    name: str
    folder: Path
    steps: list[Logged]
    validations: dict[str, list[Logged]]
    settings: dict[str, Any]
    unread: int

    @property
    def last_step(self) -> int:
        """The last one that the log knows of."""
        return max(entry.step for entry in [*self.steps, *(found[-1] for found in self.validations.values())])

    @property
    def planned_steps(self) -> int | None:
        """How many the settings ask for; None where they do not say."""
        planned = self.settings.get("max_steps") or self.settings.get("total_steps")
        return planned if isinstance(planned, int) and planned > 0 else None

    @property
    def judging(self) -> str | None:
        """The validation set that decides which model is the best: the last of the list. None: there is none."""
        return next(reversed(self.validations), None)

    def merit(self, pack: str) -> str:
        """The figure of a validation set by which it is judged: its first."""
        return next(iter(self.validations[pack][0].figures))

    def best(self, pack: str) -> Logged:
        """The entry of ``pack`` with the best merit; of equal ones the last, as it is the one that is kept."""
        figure = self.merit(pack)
        sign = -1 if figure in BETTER_IS_LESS else 1
        return max(self.validations[pack], key=lambda entry: (sign * entry.value(figure), entry.step))

    def saved_models(self) -> list[Path]:
        """The files of its models, by name."""
        return sorted(self.folder.glob("*-[0-9][0-9][0-9][0-9].safetensors"))


def read_run(path: PathLike, name: str | None = None) -> TrainingRun:
    """Read the run in the folder ``path``.

    Raises:
        UserError: it is no folder of a run, or its log has nothing yet.
    """
    folder = Path(path)
    log = folder / LOG
    if not log.is_file():
        raise UserError(f"{log}: no such file; give the folder of a run, such as models/y2-arcface-retina")
    steps: list[Logged] = []
    validations: dict[str, list[Logged]] = {}
    unread = 0
    for line in log.read_bytes().splitlines():
        found = _entry(line)
        if found is None:
            unread += 1
        elif found[0] is None:
            steps.append(found[1])
        else:
            validations.setdefault(found[0], []).append(found[1])
    if not steps and not validations:
        raise UserError(f"{log}: nothing is logged yet; wait for the first {LOG} line (--frequent steps)")
    return TrainingRun(name or folder.resolve().name, folder, steps, validations, _settings(folder / CONFIG), unread)


def _entry(line: bytes) -> tuple[str | None, Logged] | None:
    """The validation set (None: a step) and the entry; None for what is neither, such as a line cut short."""
    try:
        found = json.loads(line)
        figures = {
            key: float(value)
            for key, value in found.items()
            if key not in ("step", "epoch") and isinstance(value, int | float) and not isinstance(value, bool)
        }
        pack = found.get("verification")
        if not figures or not (pack is None or isinstance(pack, str)):
            return None
        return pack, Logged(int(found["step"]), int(found.get("epoch", 0)), figures)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _settings(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
