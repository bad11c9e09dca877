"""Batches of a few people with several images of each, for losses that compare the images of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
import torch

from lwface.base.errors import UserError
from lwface.training.sampler import random_stream


class GroupedBatches(Sequence[np.ndarray]):
    """The positions of the images of steps ``start`` to ``stop - 1``: ``size`` of a person, then those of the next.

    People come in a random order, all of them before one comes again; what is left over of a turn is dropped from it. A
    person's images are drawn anew each time; who has fewer than ``size`` has some of them twice. All follows from the
    seed and the step.

    Args:
        labels: (N,) int64 of the images.
        images: of a step; what is left over after whole groups is filled by part of one more.
        size: of a group.

    Raises:
        UserError: too few people have two images, which is the least.
    """

    def __init__(self, labels: np.ndarray, images: int, size: int, *, seed: int, start: int, stop: int) -> None:
        self.order = np.argsort(labels, kind="stable")
        people, firsts, counts = np.unique(labels[self.order], return_index=True, return_counts=True)
        several = counts > 1
        self.firsts, self.counts, self.alone = firsts[several], counts[several], int((~several).sum())
        self.images, self.size, self.people = images, size, -(-images // size)
        if len(self.firsts) < self.people:
            raise UserError(
                f"{len(self.firsts)} of {len(people)} people have two images or more, fewer than the {self.people} of "
                f"a step: lower --per-batch-size, or raise group_size = {size}"
            )
        self.seed, self.start, self.stop = seed, start, stop

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    @overload
    def __getitem__(self, number: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[np.ndarray]: ...
    def __getitem__(self, number: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        """The positions (images,) of one step, or those of several."""
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        step = range(self.start, self.stop)[number]
        turn, place = divmod(step, len(self.firsts) // self.people)
        people = torch.randperm(len(self.firsts), generator=random_stream(self.seed, "people", turn)).numpy()
        stream = random_stream(self.seed, "groups", step)
        groups = [self._group(who, stream) for who in people[place * self.people : (place + 1) * self.people]]
        return np.concatenate(groups)[: self.images]

    def _group(self, who: int, stream: torch.Generator) -> np.ndarray:
        """Positions (size,) of images of a person."""
        drawn = torch.randperm(int(self.counts[who]), generator=stream).numpy()
        return self.order[self.firsts[who] + np.resize(drawn, self.size)]
