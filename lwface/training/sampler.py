"""Which images make each step: a function of the seed and the step alone, so a run can continue at any step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from lwface.base.errors import UserError


def random_stream(seed: int, purpose: str, position: int) -> torch.Generator:
    """A CPU generator for one ``purpose`` at one ``position`` of the run, independent of all others."""
    return torch.Generator().manual_seed(stream_seed(seed, purpose, position))


def stream_seed(seed: int, purpose: str, position: int) -> int:
    """What :func:`random_stream` begins with, of 63 bits.

    SHA-256 mixes the three: neighbouring seeds or positions must not give related streams.
    """
    digest = hashlib.sha256(f"{purpose}/{seed}/{position}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class BatchSampler(Sampler[np.ndarray]):
    """Yields the positions of the images of steps ``start`` to ``stop - 1``, across epochs.

    Every epoch is a fresh permutation. Images left over when an epoch does not divide into batches are dropped from
    that epoch; the permutation decides which, so none is left out for good.

    Args:
        images: how many there are to choose from.
        batch_size: images a step.
        seed: fixes every epoch's order.
        start, stop: steps, counted from 0 at the beginning of the run.

    Raises:
        UserError: there are fewer images than one batch holds.
    """

    def __init__(self, images: int, batch_size: int, *, seed: int, start: int = 0, stop: int) -> None:
        if images < batch_size:
            raise UserError(
                f"the data set has {images} images, fewer than the {batch_size} of one step: lower the batch size"
            )
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self.start, self.stop = start, stop

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches an epoch."""
        return self.images // self.batch_size

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def __iter__(self) -> Iterator[np.ndarray]:
        order, order_epoch = np.empty(0, dtype=np.int64), -1
        for step in range(self.start, self.stop):
            epoch, place = divmod(step, self.steps_per_epoch)
            if epoch != order_epoch:
                order, order_epoch = self._permutation(epoch), epoch
            yield order[place * self.batch_size : (place + 1) * self.batch_size]

    def _permutation(self, epoch: int) -> np.ndarray:
        return torch.randperm(self.images, generator=random_stream(self.seed, "order", epoch)).numpy()


class ListedBatches(Sampler[np.ndarray]):
    """Yields given batches, as the steps from ``start`` on.

    Args:
        batches: positions (B, N) of the images of B steps; or a sequence of arrays of any length.
        start: the first one's step.
    """

    def __init__(self, batches: Sequence[np.ndarray] | np.ndarray, *, start: int = 0) -> None:
        self.batches, self.start = batches, start

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.batches)
