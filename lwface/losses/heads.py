"""Several classifiers over one network: each tells the people of its own data set apart, and nobody else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lwface.losses.base import Loss, Margin
from lwface.losses.classifier import Classifier


class Heads(nn.Module):
    """Classifiers side by side. Labels count on from one to the next: the second's label 0 is the first's class count.

    One person under two names, or the same name for two people, in different data sets then does no harm.

    Args:
        heads: at least one.
    """

    def __init__(self, heads: Sequence[Classifier]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        sizes = [head.shard.total for head in heads]
        self.first = [sum(sizes[:place]) for place in range(len(sizes))]  # label of each

    @property
    def classifiers(self) -> list[Classifier]:
        """All of them."""
        return [head for head in self.heads if isinstance(head, Classifier)]

    @property
    def margin(self) -> Margin:
        """The margin of the first: they are alike, each with a state of its own."""
        return self.classifiers[0].margin

    def begin(
        self,
        labels: Tensor,
        rate: float = 1.0,
        generator: torch.Generator | None = None,
        margin_share: float = 1.0,
    ) -> None:
        """As :meth:`lwface.losses.classifier.Classifier.begin`, each head with its own labels."""
        for head, first in zip(self.classifiers, self.first, strict=True):
            head.begin(labels[self._of(head, first, labels)] - first, rate, generator, margin_share)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Loss:
        """The mean over the rows of ``embeddings`` (N, D) of each row's loss in the head of its label (N,).

        So a head counts by its share of the batch; one without a row in it learns nothing of it.
        """
        loss, correct = embeddings.new_zeros((), dtype=torch.float32), labels.new_zeros(())
        for head, first in zip(self.classifiers, self.first, strict=True):
            rows = self._of(head, first, labels)
            if len(rows):
                found = head(embeddings[rows], labels[rows] - first)
                loss = loss + found.loss * (len(rows) / len(labels))
                correct = correct + found.correct
        return Loss(loss, correct)

    @staticmethod
    def _of(head: Classifier, first: int, labels: Tensor) -> Tensor:
        """Places of the rows that ``head`` has."""
        return ((labels >= first) & (labels < first + head.shard.total)).nonzero().squeeze(1)
