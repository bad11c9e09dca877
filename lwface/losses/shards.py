"""Which classes a process holds, and what the processes tell each other.

With a process group (torch.distributed, gloo or NCCL) process ``r`` of ``W`` holds the classes from
``r * ceil(C / W)``, as many as ``ceil(C / W)``, the last processes fewer or none: that is how ``torch.chunk``, and so
DTensor's ``Shard(0)``, cuts a tensor. Every process sees the embeddings of all, so what a margin does to them, and what
it learns of them, is the same in each without being sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class ClassShard:
    """The classes from ``start`` to ``stop - 1`` of ``total``; ``group`` is None where one process holds them all."""

    start: int
    stop: int
    total: int
    group: dist.ProcessGroup | None = None

    @classmethod
    def of(cls, total: int, group: dist.ProcessGroup | None = None) -> ClassShard:
        """The share of this process of ``group``."""
        if group is None:
            return cls(0, total, total)
        size = -(-total // group.size())
        start, stop = (min((group.rank() + further) * size, total) for further in (0, 1))
        return cls(start, stop, total, group)

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def processes(self) -> int:
        """How many processes hold classes together."""
        return self.group.size() if self.group else 1

    def gather(self, rows: Tensor) -> Tensor:
        """``rows`` (N, ...) of all processes, (W N, ...) in their order; every process must give as many.

        What is computed of the result is computed in each process alike, so no gradient is sent back here: each takes
        its own rows of it, times W, because DDP will divide the gradients of the weights behind them by W.
        """
        return _Gather.apply(rows, self.group) if self.group else rows

    def own(self, gathered: Tensor) -> Tensor:
        """The rows of this process in what :meth:`gather` gave."""
        if self.group is None:
            return gathered
        return gathered.chunk(self.group.size())[self.group.rank()]

    def sum_(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.group:
            dist.all_reduce(tensor, group=self.group)
        return tensor

    def maximum_(self, tensor: Tensor) -> Tensor:
        """The largest over the processes, in place."""
        if self.group:
            dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.group)
        return tensor

    def global_tensor(self, rows: Tensor) -> Tensor:
        """``rows`` (classes held, ...) as a part of the whole: a DTensor, or themselves where all are held.

        ``torch.distributed.checkpoint`` writes a DTensor as the rows that each process has, and reads it into any
        other number of processes. It shares memory with ``rows``, so what is read is in them.
        """
        if self.group is None:
            return rows
        from torch.distributed.device_mesh import DeviceMesh
        from torch.distributed.tensor import DTensor, Shard

        mesh = DeviceMesh.from_group(self.group, rows.device.type)
        shape = torch.Size([self.total, *rows.shape[1:]])
        stride = torch.empty(shape, device="meta").stride()
        return DTensor.from_local(rows, mesh, [Shard(0)], run_check=False, shape=shape, stride=stride)


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        gathered = rows.new_empty((group.size() * len(rows), *rows.shape[1:]))
        gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # its name before PyTorch 2.13
        gather(gathered, rows.contiguous(), group=group)
        return gathered

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        processes = ctx.group.size()
        return gradient.chunk(processes)[ctx.group.rank()] * processes, None
