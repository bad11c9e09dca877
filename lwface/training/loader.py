"""Processes decode the batches ahead of the step that needs them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from lwface.base.errors import UserError
from lwface.training.processes import Processes
from lwface.training.sampler import BatchSampler, ListedBatches
from lwface.training.task import Batch, Batches

GRACE_S = 90  # seconds; service managers and batch systems wait no longer between SIGTERM and SIGKILL
SHIELDED = {signal.SIGINT, signal.SIGTERM}


def load_batches(
    dataset: Batches,
    sampler: BatchSampler | ListedBatches,
    *,
    num_workers: int,
    pin_memory: bool = False,
    part: int = 0,
    processes: Processes | None = None,
) -> Iterator[Batch]:
    """The batches of ``sampler`` in its order, the same for any ``num_workers`` (0: in this process).

    The sampler runs through all epochs, so the processes live as long as the run.

    Args:
        part: images that the data set is asked for at a time; 0: all of a batch.
        processes: those that share each batch: each gets as many parts of it, the first the first ones. None: there is
            no other.

    Raises:
        UserError: what ``dataset`` raises; a process was killed.
    """
    loader = DataLoader(
        _ErrorsAsValues(dataset, part, processes or Processes()),
        batch_size=None,  # the sampler makes the batches
        sampler=_Numbered(sampler),
        num_workers=num_workers,
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # its own: the global random state must not depend on how often loading starts
    )
    # The processes begin with these signals blocked, and so cannot be hit before they know what to do with them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SHIELDED)
    try:
        batches = iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            reason = str(error).splitlines()[0]
            batch = UserError(
                f"a process that loads images died ({reason}): "
                "this happens when memory or /dev/shm is full; lower --num-workers"
            )
        if isinstance(batch, UserError):
            del batches  # ends the processes now; the traceback of what is raised here would keep them
            raise batch
        yield batch


class _ErrorsAsValues(torch.utils.data.Dataset[Any]):
    """Hands a :class:`UserError` over as a value: raised in a worker, its one line would arrive inside a traceback."""

    def __init__(self, dataset: Batches, part: int, processes: Processes) -> None:
        self.dataset, self.part = dataset, part
        self.rank, self.count = processes.rank, processes.count

    def __getitem__(self, numbered: Any) -> Batch | UserError:
        step, positions = numbered
        share = len(positions) // self.count
        first = self.rank * share
        size = self.part or share
        try:
            parts = [
                self.dataset.batch(positions[start : start + size], step, start)
                for start in range(first, first + share, size)
            ]
        except UserError as error:
            return error
        images, targets = _joined([part.images for part in parts]), _joined([part.targets for part in parts])
        bad = {key: reason for part in parts for key, reason in part.bad.items()}
        return Batch(images, targets, bad, first, len(positions), positions)


class _Numbered(Sampler[tuple[int, np.ndarray]]):
    """The batches of a sampler, each with its step."""

    def __init__(self, sampler: BatchSampler | ListedBatches) -> None:
        self.sampler = sampler

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        return enumerate(self.sampler, start=self.sampler.start)

    def __len__(self) -> int:
        return len(self.sampler)


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _as_it_is(batch: Any) -> Any:
    return batch


def _start_worker(worker: int) -> None:
    """Ctrl-C and SIGTERM may reach the whole process group; the main process alone decides when to stop.

    After a SIGTERM a worker goes on for a while, so that the step can be finished and saved, and then ends: a main
    process that exits without having closed its loader waits for that.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_S))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SHIELDED)
    cv2.setNumThreads(0)  # one core a process
