"""What a run learns. The loop knows a task and nothing else of faces, landmarks or losses.

A task gives the loss of a batch and figures beside it, judges what was learnt, and saves it. The loop
(:mod:`lwface.training.loop`) does the rest for all of them alike: order of images, steps, schedule, accumulation,
checkpoints, logs, interruption.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from lwface.base.device import sent
from lwface.settings.run import Run
from lwface.training.optimizer import update_unless
from lwface.training.sampler import BatchSampler, ListedBatches


class Outcome(NamedTuple):
    """What a task makes of a part of a batch.

    Attributes:
        loss: scalar, the mean over the part's rows, to be minimised.
        sums: by figure, the sum over the rows of what is told beside the loss, such as right answers.
    """

    loss: Tensor
    sums: Mapping[str, Tensor]


class Score(NamedTuple):
    """What was found on one validation set: ``figures`` by name, in the order in which they are logged."""

    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Validation:
    """What a task found of itself.

    Attributes:
        scores: one a validation set; empty where there is none.
        merits: one a set, the higher the better; the last decides which model is the best, the sum between equal ones.
        chance: by how much the last merit of another model may differ without one being told the better, as the folds
            of the set deviate; NaN: not known.
    """

    scores: list[Score] = field(default_factory=list)
    merits: list[float] = field(default_factory=list)
    chance: float = math.nan


class Batches(Protocol):
    """Training data, a batch at a time."""

    def __len__(self) -> int:
        """How many items there are."""

    def batch(self, positions: Any, step: int, first: int = 0) -> Batch:
        """The batch of the items at ``positions`` (N,), a part of the step's.

        What is random in it comes from the seed, ``step`` and the places in the step, which are ``first`` and on.
        """


class Batch(NamedTuple):
    """What one step trains on, in the computer's memory.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        targets: (N, ...) what is to be learnt of each image.
        bad: key and reason of each item that could not be read and was replaced.
        first: the place in the step of the first row; the process has these N of them.
        step_rows: rows of the whole step, of all processes; 0: these N are all.
        positions: (rows of the step,) of its items in the data; None: not known.
        there: images and targets on the device, where they were sent ahead (:mod:`lwface.training.ahead`).
    """

    images: Tensor
    targets: Tensor
    bad: Mapping[int, str]
    first: int = 0
    step_rows: int = 0
    positions: Any = None
    there: tuple[Tensor, Tensor] | None = None

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images and targets on ``device``."""
        return self.there or (sent(self.images, device), sent(self.targets, device))

    def own(self, of_step: Tensor) -> Tensor:
        """The rows of this batch in something (rows of the step, ...) that is drawn for the whole step."""
        return of_step[self.first : self.first + len(self.images)]


class Task(ABC):
    """What a run learns, on one device.

    Attributes:
        modules: everything with weights or state, by the name that the checkpoint knows it under.
        data: what is learnt from.
        figures: names of :attr:`Outcome.sums`, in the order in which they are printed.
        joint: the loss of a row depends on the other rows of its step: parts of a batch must be judged together. Such
            a task has :meth:`output` and :meth:`outcome_of`.
        in_epochs: whether each image's turn comes once an epoch.
        merit: what :attr:`Validation.merits` are, for the line that tells the highest.
    """

    modules: dict[str, nn.Module]
    data: Batches
    figures: tuple[str, ...] = ()
    joint: bool = False
    in_epochs: bool = True
    merit: str = "Merit"

    @abstractmethod
    def parameter_groups(self) -> list[dict[str, Any]]:
        """All that learns, as an optimiser takes it: ``params``, ``weight_decay`` and ``lr_factor`` each."""

    def orders(
        self, images_per_step: int, *, seed: int, start: int, stop: int
    ) -> Iterator[BatchSampler | ListedBatches]:
        """Which images the steps from ``start`` to ``stop - 1`` are made of, in one or more stretches of steps.

        A stretch is asked for when all steps of the one before are done, so it may depend on what was learnt in them.
        """
        yield BatchSampler(len(self.data), images_per_step, seed=seed, start=start, stop=stop)

    @abstractmethod
    def on_device(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Inputs (N, ...) and targets (N, ...) on the device; what is random in them comes from seed and ``step``."""

    def begin_step(self, targets: Tensor, step: int, run: Run) -> None:  # noqa: B027 - most have nothing to do
        """Be told of an update before any part of its batch.

        Args:
            targets: (N, ...) of the whole batch, in the computer's memory.
            step: updates done.
            run: the settings, with the length of the schedules filled in.
        """

    @abstractmethod
    def outcome(self, inputs: Tensor, targets: Tensor) -> Outcome:
        """Loss and figures of a part of a batch, with its gradient to come."""

    def output(self, inputs: Tensor) -> Tensor:
        """What the network makes of a part (N, ...) of a batch; its rows are judged by :meth:`outcome_of`."""
        raise NotImplementedError

    def outcome_of(self, output: Tensor, targets: Tensor) -> Outcome:
        """:meth:`outcome` of what :meth:`output` gave for all parts of a batch."""
        raise NotImplementedError

    def watched(self) -> list[Tensor]:
        """What must be finite for an update to be made, beside the loss and the gradients of the parameters."""
        return []

    def keys(self, positions: Any) -> list[Any]:
        """By what a user finds the items at ``positions`` (N,)."""
        return [int(position) for position in positions]

    def update(self, optimizer: torch.optim.Optimizer, skipped: Tensor | None = None) -> None:
        """Change the weights by the gradients of all parts, unless ``skipped``, () bool on the device, is true."""
        update_unless(optimizer, skipped)

    @abstractmethod
    def validate(self, step: int) -> Validation:
        """Judge what was learnt in ``step`` steps; prints as it goes. Modules keep their mode."""

    @abstractmethod
    def save(self, folder: Path, number: int, settings: Mapping[str, Any]) -> None:
        """Write the model under ``number`` into the run's folder, with the settings of the run."""

    @abstractmethod
    def announce(self) -> None:
        """Say what is to be said once, before the first step."""

    def hints(self) -> list[str]:
        """What to try where the loss is no longer finite, beside a lower learning rate."""
        return []

    @property
    def validation_images(self) -> int:
        """How many images a validation runs through the network, to tell how long it will take."""
        return 0

    def next_commands(self, model: str) -> list[str]:
        """What a user may type next with the finished ``model``."""
        return []

    def facts(self) -> dict[str, Any]:
        """What must be the same for a run to be continued, beside its settings; kept in the checkpoint."""
        return {"images": len(self.data)}

    def train_mode(self) -> None:
        """Put the modules into training mode, before each step."""
        for module in self.modules.values():
            module.train()


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The arithmetic of a network in training: ``float32`` or ``bf16``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
