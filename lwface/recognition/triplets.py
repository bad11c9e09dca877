"""The face task with triplets: batches are made of bags of images that the network itself has looked at.

As in insightface's ``triplet_image_iter.py``: people in random order, a few images of each, make a long sequence, which
is cut into bags; of each bag semi-hard triplets are chosen (:mod:`lwface.losses.semi_hard`) by the network as it is
then, and when they are used up the next bag's turn comes. What is random comes from the run's seed and the number of
the bag; what was chosen and is not used yet is part of the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.notes import note
from lwface.losses.classes import l2_normalise
from lwface.losses.semi_hard import select_triplets
from lwface.losses.triplet import Triplet
from lwface.recognition.dataset import to_network_input
from lwface.recognition.task import FaceTask
from lwface.settings.run import Run
from lwface.training.loader import load_batches
from lwface.training.processes import processes
from lwface.training.sampler import BatchSampler, ListedBatches, random_stream
from lwface.training.task import autocast

LEAST_STEPS = 2  # that one choice must be enough for, as in the original
MAX_BAGS = 10  # looked at for them


class Chosen(nn.Module):
    """The batches that were chosen last, and how far the bags are used up: state for the checkpoint, no weights.

    Attributes:
        bags: how many were looked at since the beginning of the run.
        first: the step of the first batch.
        batches: positions (B, N) of the images.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bags = self.first = 0
        self.batches = np.empty((0, 3), dtype=np.int64)

    def get_extra_state(self) -> Tensor:
        """All in one row of integers."""
        return torch.from_numpy(np.concatenate([[self.bags, self.first, *self.batches.shape], self.batches.ravel()]))

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from :meth:`get_extra_state`."""
        self.bags, self.first, *shape = state[:4].tolist()
        self.batches = state[4:].numpy().reshape(shape)


def whole_triplets(run: Run) -> Run:
    """``run`` with a batch of whole triplets: up to two images fewer, which is said.

    Raises:
        UserError: a batch of less than 3.
    """
    images = run.per_batch_size // 3 * 3
    if not images:
        raise UserError(f"per_batch_size = {run.per_batch_size}: the loss {run.loss} needs at least 3, a triplet")
    if images != run.per_batch_size:
        print(f"{images} images a step, not {run.per_batch_size}: the loss {run.loss} takes triplets", flush=True)
    return run.replace(per_batch_size=images)


class TripletTask(FaceTask):
    """A :class:`lwface.recognition.task.FaceTask` whose classifier is a :class:`lwface.losses.triplet.Triplet`.

    The run's batch is a multiple of 3: :func:`whole_triplets`.

    Raises:
        UserError: all images are of one person.
    """

    classifier: Triplet
    in_epochs = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.chosen = self.modules["chosen"] = Chosen()
        self.labels = self.faces.labels()  # (N,)
        images = np.bincount(self.labels)
        if np.count_nonzero(images) < 2:
            raise UserError(f"the loss {self.run.loss} needs images of at least 2 people")
        self.length = int(np.minimum(images, self.classifier.images_per_identity).sum())  # of a sequence
        self.turn, self.sequence = -1, np.empty(0, dtype=np.int64)  # the last one, which many bags are cut from

    def announce(self) -> None:
        """What the bags are, beside what every face task says."""
        super().announce()
        size = min(self.classifier.bag_size, self.length)
        print(f"triplets are chosen from bags of {size} of {self.length} images", flush=True)

    def orders(
        self, images_per_step: int, *, seed: int, start: int, stop: int
    ) -> Iterator[BatchSampler | ListedBatches]:
        """One stretch of steps for each choice of triplets, which the first of several processes makes for all.

        Raises:
            UserError: there are none.
        """
        chosen, step = self.chosen, start
        while step < stop:
            if step == chosen.first + len(chosen.batches):
                if processes().leads:
                    chosen.batches, chosen.first = self._choose(images_per_step), step
                chosen.set_extra_state(processes().shared(chosen.get_extra_state()))
            batches = chosen.batches[step - chosen.first : stop - chosen.first]
            yield ListedBatches(batches, start=step)
            step += len(batches)

    def _choose(self, images_per_step: int) -> np.ndarray:
        """Batches (B, images_per_step) of triplets of the next bags; counts the bags."""
        part = self.run.per_batch_size // 3
        found: list[Tensor] = []
        for alpha in (self.classifier.alpha, math.inf):
            for _ in range(MAX_BAGS):
                found.append(self._triplets_of_next_bag(alpha))
                triplets = torch.cat(found)
                batches = 3 * len(triplets) // images_per_step
                if batches >= LEAST_STEPS:
                    used = triplets[: batches * images_per_step // 3].view(-1, part, 3)
                    return used.transpose(1, 2).reshape(batches, images_per_step).numpy()
            note(
                f"{len(triplets)} semi-hard triplets in {self.chosen.bags} bags up to here, too few for "
                f"{LEAST_STEPS} steps: the nearest other people are taken, at any distance"
            )
        raise UserError(
            f"no triplets: in {MAX_BAGS} bags no image of another person is farther than one of the same (they may all "
            "have one embedding: lower --lr), or no person has 2 images"
        )

    def _triplets_of_next_bag(self, alpha: float) -> Tensor:
        """Triplets (T, 3) of positions in the data set, in random order."""
        loss, bag = self.classifier, self.chosen.bags
        turn, place = divmod(bag, max(1, self.length // loss.bag_size))  # what is left over at the end is dropped
        if turn != self.turn:
            self.turn, self.sequence = turn, self._sequence(turn)
        positions = self.sequence[place * loss.bag_size : (place + 1) * loss.bag_size]
        embeddings, read = self._embed(positions)
        positions = positions[read]
        chosen = select_triplets(
            embeddings[torch.from_numpy(read)],
            torch.from_numpy(self.labels[positions]),
            alpha=alpha,
            max_ap=loss.max_ap,
            generator=random_stream(self.run.seed, "triplets", bag),
        )
        self.chosen.bags += 1
        return torch.from_numpy(positions)[chosen]

    def _sequence(self, turn: int) -> np.ndarray:
        """Positions of a few images of each person: people and their images in the random order of ``turn``."""
        _, people = np.unique(self.labels, return_inverse=True)
        stream = random_stream(self.run.seed, "people", turn)
        order = torch.randperm(len(people), generator=stream).numpy()
        rank = torch.randperm(int(people.max()) + 1, generator=stream).numpy()[people[order]]
        by_person = np.argsort(rank, kind="stable")
        order, rank = order[by_person], rank[by_person]
        place = np.arange(len(rank)) - np.searchsorted(rank, rank)  # of an image among its person's
        return order[place < self.classifier.images_per_identity]

    @torch.no_grad()
    def _embed(self, positions: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Unit embeddings (N, D) on the CPU, and which of the images (N,) could be read."""
        run = self.run
        parts = np.split(positions, range(run.per_batch_size, len(positions), run.per_batch_size))
        self.network.eval()
        embeddings, labels = [], []
        batches = load_batches(self.faces, ListedBatches(parts), num_workers=run.num_workers)
        with closing(batches):  # type: ignore[type-var]  # a generator has close()
            for batch in batches:
                with autocast(self.device, run.precision):
                    found = self.network(to_network_input(batch.images.to(self.device)))
                embeddings.append(l2_normalise(found.float()).cpu())
                labels.append(batch.targets.numpy())
        return torch.cat(embeddings), np.concatenate(labels) == self.labels[positions]
