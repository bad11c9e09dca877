"""Several data sets as one: whose images are one person's, and which head tells whom apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from lwface.base.notes import note
from lwface.formats.person_names import tell_alike
from lwface.formats.record_people import names_of_labels
from lwface.formats.values import whole_number
from lwface.recognition.dataset import FaceDataset
from lwface.training.task import Batch

NAMES, APART, HEADS = "names", "apart", "heads"  # how people are joined


class JoinedFaces:
    """The images of several data sets, one after the other; a batch is drawn from all of them.

    Args:
        parts: at least one.
        classes: of each part.
        join: ``names``: people of one name are one, in whatever set; ``apart``: nobody is in two sets; ``heads``: the
            same, and each set has a head of its own.

    Attributes:
        heads: how many identities each head tells apart.
        shared: people who are in several sets.

    Raises:
        UserError: by ``names``, and nothing says what the people of a set are called.
    """

    def __init__(self, parts: Sequence[FaceDataset], classes: Sequence[int], join: str) -> None:
        self.parts = list(parts)
        self.starts = np.cumsum([0, *(len(part) for part in parts)])  # of positions
        self.shared = 0
        if join == NAMES:
            self.numbers = self._by_name()
            self.heads = [1 + max(int(numbers.max()) for numbers in self.numbers)]
        else:
            first = np.cumsum([0, *classes])
            self.numbers = [start + np.arange(count) for start, count in zip(first, classes, strict=False)]
            self.heads = list(classes) if join == HEADS else [sum(classes)]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def labels(self) -> np.ndarray:
        """The joined labels of all images, int64 (N,), by position."""
        return np.concatenate([numbers[part.labels()] for part, numbers in zip(self.parts, self.numbers, strict=True)])

    def keys(self, positions: np.ndarray) -> list[int]:
        """Of the images at ``positions`` (N,), each in its set, plus the images of the sets before."""
        of = self._set_of(positions)
        return [
            int(self.starts[number]) + self.parts[number].keys(np.array([position - self.starts[number]]))[0]
            for number, position in zip(of, positions, strict=True)
        ]

    def batch(self, positions: np.ndarray, step: int, first: int = 0) -> Batch:
        """The images at ``positions`` (N,) of all sets together, with joined labels; errors as of their sets."""
        of = self._set_of(positions)
        images: torch.Tensor | None = None
        targets = torch.empty(len(positions), dtype=torch.int64)
        bad: dict[int, str] = {}
        for number in np.unique(of):
            rows = np.flatnonzero(of == number)
            found = self.parts[number].batch(positions[rows] - self.starts[number], step)
            if images is None:
                images = torch.empty((len(positions), *found.images.shape[1:]), dtype=torch.uint8)
            images[rows] = found.images
            targets[rows] = torch.from_numpy(self.numbers[number])[found.targets]
            path = self.parts[number].records.path
            # Two sets have the same keys: they are told apart by where the set begins.
            bad |= {int(self.starts[number]) + key: f"key {key} of {path}: {why}" for key, why in found.bad.items()}
        assert images is not None, "a batch has images"
        return Batch(images, targets, bad)

    def _set_of(self, positions: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.starts, positions, side="right") - 1

    def _by_name(self) -> list[np.ndarray]:
        """Joined label by label of each set; -1 where a label has no image."""
        numbers: dict[str, int] = {}
        sets: Counter[str] = Counter()
        found = []
        for part in self.parts:
            names = names_of_labels(part.records)
            mapped = np.full(max(names) + 1, -1, dtype=np.int64)
            for label, name in names.items():
                mapped[label] = numbers.setdefault(name, len(numbers))
            sets.update(names.values())
            found.append(mapped)
        tell_alike("data sets joined by name", numbers)
        shared = [name for name, count in sets.items() if count > 1]
        self.shared = len(shared)
        counted = [name for name in shared if whole_number(name) is not None]
        if counted:
            note(
                f"data sets joined by name: {len(counted)} of {len(shared)} shared names are numbers ({counted[0]}), "
                "which may count other people in each set: if so, --join apart"
            )
        return found
