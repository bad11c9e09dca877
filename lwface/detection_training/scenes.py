"""Pictures of rendered people by number: those that are learnt from, other ones at each step, and those that judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.detection_training.targets import FACE, UNCLEAR, WIDTH
from lwface.synthetic.crowds import MOST, ShownFace, crowd
from lwface.synthetic.head_bank import HeadBank
from lwface.training.task import Batch

JUDGING = 1 << 20  # in place of a step, in the seeds of pictures that judge
JUDGED_SIDE = 320


class SceneDataset:
    """Pictures of some people of a bank; see :class:`lwface.training.task.Batches`. An item is a head from in front,
    which is in its picture beside others, unless nobody is.

    Args:
        bank: of heads.
        people: whose heads are used.
        seed: of everything drawn.
        sides: pixels of the pictures of a step, one step after the other.
    """

    def __init__(self, bank: HeadBank, people: NDArray[np.int64], seed: int, sides: Sequence[int]) -> None:
        self.bank, self.seed, self.sides = bank, seed, tuple(sides)
        chosen = np.isin(bank.people, people)
        behind = np.isnan(bank.points[:, 0, 0])
        self.faces, self.backs = np.flatnonzero(chosen & ~behind), np.flatnonzero(chosen & behind)

    def __len__(self) -> int:
        return len(self.faces)

    def batch(self, positions: NDArray[np.int64], step: int, first: int = 0) -> Batch:
        """Images (N, S, S, 3) uint8, S by the step, and faces (N, M, 15) float32; ``first``: place in the step."""
        made = [
            self._scene(int(position), step, number, self.sides[step % len(self.sides)])
            for number, position in enumerate(positions, start=first)
        ]
        images = torch.from_numpy(np.stack([image for image, _ in made]))
        return Batch(images, torch.from_numpy(np.stack([as_rows(faces) for _, faces in made])), {})

    def judging(self, count: int) -> Iterator[tuple[NDArray[np.uint8], list[ShownFace]]]:
        """The first ``count`` pictures that judge, the same each time."""
        for number in range(count):
            yield self._scene(number % len(self), JUDGING, number, JUDGED_SIDE)

    def _scene(self, position: int, step: int, number: int, side: int) -> tuple[NDArray[np.uint8], list[ShownFace]]:
        rng = np.random.default_rng((self.seed, step, number))
        others = rng.choice(self.faces, 2 * MOST)
        return crowd(rng, self.bank, [int(self.faces[position]), *others.tolist()], self.backs.tolist(), side)


def as_rows(faces: list[ShownFace]) -> NDArray[np.float32]:
    """The faces of a picture as (M, 15), as :mod:`lwface.detection_training.targets` has them."""
    rows = np.zeros((MOST, WIDTH), np.float32)
    for row, face in zip(rows, faces, strict=False):
        row[:] = (FACE if face.clear else UNCLEAR, *face.box, *face.points.ravel())
    return rows


def split_bank(bank: HeadBank, held_out: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The people who are learnt from, and the last ones, who judge.

    Raises:
        UserError: there is nobody left on one side.
    """
    people = np.unique(bank.people)
    count = round(len(people) * held_out)
    if not 0 < count < len(people):
        raise UserError(f"--held-out {held_out:g} of {len(people)} people is {count}: expected some on both sides")
    return people[:-count], people[-count:]
