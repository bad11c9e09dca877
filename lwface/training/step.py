"""One update: the gradients of a step's parts, in one process or several, and whether they may be used.

A step is a number of parts, each of ``per_batch_size`` images. A process computes some of them one after the other, and
the gradients of all are averaged: that of the whole step, however many processes there are. Batch norm sees one part at
a time. What a module draws at random depends on seed, step and part.

Gradients of all processes are added up in one piece when the last part is done. PyTorch's
``DistributedDataParallel`` would send them while they are computed; but it wraps the network, and cannot know of parts
that are computed twice, of running statistics, or of a step that is not to be made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from lwface.base.device import fetched, sent
from lwface.settings.run import Run
from lwface.training.buffers import StepBuffers
from lwface.training.optimizer import set_learning_rate
from lwface.training.preparation import seed_everything
from lwface.training.processes import Processes
from lwface.training.sampler import stream_seed
from lwface.training.task import Batch, Outcome, Task


class Made:
    """What came of a step, the same in each process. The first look at it waits for the device to be done.

    Args:
        figures: names of the task's figures.
        numbers: gives (1 + F + 1 + flags,): the mean loss, a sum for each figure, how many processes found something
            that is not finite, how many raised each flag.
    """

    def __init__(self, figures: Sequence[str], numbers: Callable[[], Tensor]) -> None:
        self.figures, self.numbers = tuple(figures), numbers

    @cached_property
    def _read(self) -> list[float]:
        found: list[float] = self.numbers().tolist()
        return found

    @property
    def loss(self) -> float:
        """Mean over the step's images, before the update."""
        return self._read[0]

    @property
    def sums(self) -> dict[str, float]:
        """Of the task's figures, over the step's images."""
        return dict(zip(self.figures, self._read[1:], strict=False))

    @property
    def updated(self) -> bool:
        """False: the loss, a gradient or a running statistic was not finite, and nothing was changed."""
        return math.isfinite(self.loss) and not self._read[1 + len(self.figures)]

    @property
    def raised(self) -> tuple[bool, ...]:
        """Which of the flags given are raised in any process."""
        return tuple(map(bool, self._read[2 + len(self.figures) :]))


class Stepper:
    """Makes the updates of a run.

    Args:
        task: what is learnt.
        optimizer: over its parameters.
        run: the settings, with the length of the schedules filled in.
        device: of the task.
        parts: of a step; as many for each process.
        processes: those that train.
        ahead: the host does not wait for the device: whether an update may be made is found out and heeded there, and
            what came of a step is there to be looked at when the next one has been begun.
    """

    def __init__(
        self,
        task: Task,
        optimizer: torch.optim.Optimizer,
        run: Run,
        *,
        device: torch.device,
        parts: int,
        processes: Processes,
        ahead: bool = False,
    ) -> None:
        self.task, self.optimizer, self.run, self.device = task, optimizer, run, device
        self.parts, self.processes, self.ahead = parts, processes, ahead
        self.own_parts = parts // processes.count
        self.buffers = StepBuffers(task.modules.values(), parts=parts, processes=processes.count)

    def step(self, batch: Batch, step: int, rate: float, *, flags: tuple[bool, ...] = ()) -> Made:
        """One update with learning rate ``rate``, or none.

        Args:
            batch: this process's rows of the step.
            step: updates done.
            rate: learning rate.
            flags: of this process, for all to know of.
        """
        task = self.task
        inputs, targets = task.on_device(batch, step)
        task.train_mode()
        set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        self.buffers.begin()
        task.begin_step(batch.targets, step, self.run)
        totals = self._gradients(inputs, targets, step)
        totals[0] /= self.processes.count
        statistics, broken = self._together()
        said = sent(torch.tensor(flags, dtype=torch.float64), self.device)
        whole = self.processes.sum_(torch.cat([totals, broken[None], said]))
        made = Made(task.figures, fetched(whole))
        if self.ahead:
            skipped = ~whole[0].isfinite() | (whole[len(totals)] > 0)  # as made.updated has it
            self.buffers.end(statistics)
            self.buffers.put_back(skipped)
            task.update(self.optimizer, skipped)
        elif made.updated:
            self.buffers.end(statistics)
            task.update(self.optimizer)
        else:
            self.buffers.put_back()
            self.optimizer.zero_grad(set_to_none=True)
        return made

    def _gradients(self, inputs: Tensor, targets: Tensor, step: int) -> Tensor:
        """Leave the mean gradients of this process's parts; the loss, and the sums of the figures, float64."""
        task, parts = self.task, self.own_parts
        pairs = list(zip(inputs.chunk(parts), targets.chunk(parts), strict=True))
        if parts > 1 and task.joint:
            return self._joint_gradients([part for part, _ in pairs], targets, step)
        totals = torch.zeros(1 + len(task.figures), dtype=torch.float64, device=self.device)
        for number, (part, part_targets) in enumerate(pairs):
            self._begin_part(step, number)
            outcome = task.outcome(part, part_targets)
            (outcome.loss / parts).backward()
            self.buffers.end_part()
            totals += self._told(outcome, parts)
        return totals

    def _joint_gradients(self, inputs: list[Tensor], targets: Tensor, step: int) -> Tensor:
        """The same where a row's loss depends on the other rows of the step.

        The outputs of all parts come first, without the memory of a gradient; they are judged together; and each part
        is computed again, to send the gradient of its outputs back (Gao et al., "Scaling Deep Contrastive Learning
        Batch Size under Memory Limited Setup", 2021, section 3). One more forward pass is the price.
        """
        outputs = []
        with torch.no_grad():
            for number, part in enumerate(inputs):
                self._begin_part(step, number)
                outputs.append(self.task.output(part))
        self.buffers.put_back()
        whole = torch.cat(outputs).requires_grad_()
        outcome = self.task.outcome_of(whole, targets)
        outcome.loss.backward()
        assert whole.grad is not None
        for number, (part, gradient) in enumerate(zip(inputs, whole.grad.chunk(len(inputs)), strict=True)):
            self._begin_part(step, number)
            output = self.task.output(part)
            if output.requires_grad:  # a network may be kept out of a step
                output.backward(gradient)
            self.buffers.end_part()
        return self._told(outcome, 1)

    def _begin_part(self, step: int, number: int) -> None:
        place = self.processes.rank * self.own_parts + number
        seed_everything(stream_seed(self.run.seed, "part", step * self.parts + place))
        self.buffers.begin_part()

    def _told(self, outcome: Outcome, parts: int) -> Tensor:
        """The share of the loss that a part has, and its figures."""
        found = [outcome.loss.detach() / parts, *(outcome.sums[name].detach() for name in self.task.figures)]
        return torch.stack([value.double() for value in found])

    @torch.no_grad()
    def _together(self) -> tuple[Tensor | None, Tensor]:
        """Make the gradients those of all processes; sums of the running statistics, and 1 where not all is finite."""
        gradients = [p.grad for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        statistics = self.buffers.sums
        if self.processes.count > 1 and (gradients or statistics is not None):
            pieces = [gradient.flatten() for gradient in gradients]
            pieces += [] if statistics is None else [statistics]
            flat = self.processes.sum_(torch.cat(pieces))
            split = flat.split([piece.numel() for piece in pieces])
            statistics = None if statistics is None else split[-1]
            found = [piece.view(gradient.shape) for piece, gradient in zip(split, gradients, strict=False)]
            if gradients:
                torch._foreach_div_(found, self.processes.count)
                torch._foreach_copy_(gradients, found)
        looked_at = [*gradients, *self.task.watched()]
        looked_at += [] if statistics is None else [statistics]
        looked_at = [tensor for tensor in looked_at if tensor.numel()]
        if not looked_at:
            return statistics, torch.zeros((), dtype=torch.float64, device=self.device)
        largest = torch.stack([one.double() for one in torch._foreach_norm(looked_at, torch.inf)])
        return statistics, (~largest.isfinite()).any().double()
