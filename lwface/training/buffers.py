"""What the modules of a task keep beside weights, around an update: put back, or averaged over the parts of the step.

Batch norm's running statistics are changed by each forward pass. Here every part of a step begins with those from
before it, and what the parts make of them is averaged: they depend on the images of the step and not on how many of its
parts one process computes. With one part nothing is changed by that.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

RUNNING, COUNT = ("running_mean", "running_var"), "num_batches_tracked"  # PyTorch's names, and those of our own layer


class StepBuffers:
    """The buffers of ``modules``.

    Args:
        modules: of the task; looked through when the first step begins.
        parts: of a step, of all processes.
        processes: how many those are.
    """

    def __init__(self, modules: Iterable[nn.Module], *, parts: int, processes: int) -> None:
        self.modules, self.parts, self.processes = list(modules), parts, processes
        self._all: list[Tensor] | None = None

    def begin(self) -> None:
        """Remember all, at the beginning of a step."""
        if self._all is None:
            self._find()
        self.sums: Tensor | None = None
        _copy(self._before, self._all)

    def put_back(self, where: Tensor | None = None) -> None:
        """All is as at the beginning of the step; where ``where``, () bool on the device, is given: if it is true."""
        if where is None:
            _copy(self._all, self._before)
        else:
            for now, before in self._by_type():
                chosen = torch.where(where, _flat(before), _flat(now)).split([one.numel() for one in now])
                _copy(now, [one.view_as(like) for one, like in zip(chosen, now, strict=True)])

    def _by_type(self) -> list[tuple[list[Tensor], list[Tensor]]]:
        """Those of one type together, now and before: many small tensors in a few operations."""
        pairs = list(zip(self._all or [], self._before, strict=True))
        types = {one.dtype for one, _ in pairs}
        return [([n for n, _ in pairs if n.dtype == kind], [b for _, b in pairs if b.dtype == kind]) for kind in types]

    def begin_part(self) -> None:
        """The running statistics are as at the beginning of the step."""
        if self.parts > 1:
            _copy(self._running, self._running_before)

    def end_part(self) -> None:
        """Take in what the part made of the running statistics."""
        if self.parts > 1 and self._running:
            moved = _flat(torch._foreach_sub(self._running, self._running_before))
            self.sums = moved if self.sums is None else self.sums.add_(moved)

    def end(self, sums: Tensor | None) -> None:
        """The mean over the parts.

        Args:
            sums: :attr:`sums` of all processes together; may be written over.
        """
        if self.parts == 1 or sums is None:
            return
        moved = sums.div_(self.parts).split([one.numel() for one in self._running])
        shaped = [one.view_as(running) for one, running in zip(moved, self._running, strict=True)]
        _copy(self._running, self._running_before)
        torch._foreach_add_(self._running, shaped)
        for count, before in zip(self._counts, self._counts_before, strict=True):
            count.sub_(before).mul_(self.processes).add_(before)

    def _find(self) -> None:
        named = [found for module in self.modules for found in module.named_buffers()]
        running = {id(one) for name, one in named if name.endswith(RUNNING)}
        counts = {id(one) for name, one in named if name.endswith(COUNT)}
        self._all = list({id(one): one for _, one in named}.values())
        self._before = [one.detach().clone() for one in self._all]
        pairs = list(zip(self._all, self._before, strict=True))
        self._running, self._running_before = _split(pairs, running)
        self._counts, self._counts_before = _split(pairs, counts)


def _split(pairs: list[tuple[Tensor, Tensor]], wanted: set[int]) -> tuple[list[Tensor], list[Tensor]]:
    found = [pair for pair in pairs if id(pair[0]) in wanted]
    return [one for one, _ in found], [before for _, before in found]


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([one.flatten() for one in tensors])


def _copy(targets: list[Tensor] | None, sources: list[Tensor] | None) -> None:
    if targets and sources:
        with torch.no_grad():
            torch._foreach_copy_(targets, sources)
