"""The next batch travels to the GPU while the present one is computed with.

A copy waits for what its stream was given before it. On a stream of their own, beside the one that computes, batches
are copied as soon as they are decoded: from pinned memory, one ahead of the step. The host waits for none of it; the
stream that computes waits for the event that ends the copy. Without a GPU batches are handed on as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch

from lwface.training.task import Batch


class Lane(Protocol):
    """A way to the device beside its work."""

    def send(self, batch: Batch) -> Batch:
        """Begin to copy; the result is not to be used before :meth:`receive`."""

    def receive(self, batch: Batch) -> Batch:
        """What :meth:`send` gave, to be used by what the device is told from now on."""


class SideStream:
    """A stream of ``device``, which is CUDA."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.ends: dict[int, torch.cuda.Event] = {}  # of the copies that are under way, by the batch's images

    def send(self, batch: Batch) -> Batch:
        """Copy images and targets, which are pinned, on this stream."""
        with torch.cuda.stream(self.stream):
            sent = batch._replace(there=batch.on(self.device))
        self.ends[id(batch.images)] = self.stream.record_event()
        return sent

    def receive(self, batch: Batch) -> Batch:
        """Let the stream that computes wait for the copy, and the memory be given away after its work alone."""
        computing = torch.cuda.current_stream(self.device)
        computing.wait_event(self.ends.pop(id(batch.images)))
        for tensor in batch.there or ():
            tensor.record_stream(computing)
        return batch


def lane_to(device: torch.device) -> Lane | None:
    """A way to ``device``; None: there is none to go."""
    return SideStream(device) if device.type == "cuda" else None


def sent_ahead(batches: Iterator[Batch], lane: Lane | None) -> Iterator[Batch]:
    """``batches`` in their order, each on its way while the one before is used.

    What goes wrong with a batch is raised in its turn, after the one before.
    """
    if lane is None:
        yield from batches
        return
    under_way: Batch | None = None
    failure: Exception | None = None
    while failure is None:
        before, under_way = under_way, None
        try:
            under_way = lane.send(next(batches))
        except Exception as error:  # raised in its turn
            failure = error
        if before is not None:
            yield lane.receive(before)
    if not isinstance(failure, StopIteration):
        raise failure
