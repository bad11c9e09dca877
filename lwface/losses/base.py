"""What every loss shares: a margin on scores of the classes, apart from who holds the classes' weight.

A loss is a :class:`Margin`, registered under the name that ``loss_name`` gives. A holder
(:class:`lwface.losses.classifier.Classifier`) has the weight, makes the scores, asks the margin and returns the loss. A
loss that needs no weight of classes is a :class:`BatchLoss`.

What the holder promises, whether the classes lie in one place, are cut into shards, sampled, or computed in blocks: it
asks :meth:`Margin.own`, then ``penalty`` and ``pull``, once a batch, with the embeddings of all processes, the same in
each, and with the same random numbers. What a margin learns it learns in ``own``. After that, and again for the
gradient, it asks :meth:`Margin.others` for some of the classes at a time: that must give the same for a block as for
all, so it draws nothing and changes no state. Autograd differentiates them all.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from lwface.base.registry import Registry
from lwface.base.setting import require_declared


class Loss(NamedTuple):
    """What a classifier makes of a batch."""

    loss: Tensor  # scalar, mean over the batch of all processes, to be minimised
    correct: Tensor  # scalar, rows whose own class alone has the largest logit, margin included; of this process


class Margin(nn.Module):
    """From the scores of a batch to its logits; a loss overrides :meth:`own` and what else differs.

    The parameters of its ``__init__`` are its settings in a configuration, each with its meaning
    (:mod:`lwface.base.setting`). What it learns about the batches, such as a running mean, is a buffer, changed without
    gradient and only ``if self.training``, and so part of the checkpoint. A line ``mean: Tensor`` in the class tells
    type checkers what ``self.register_buffer("mean", ...)`` makes.

    A holder asks :meth:`own` first and once for each batch, with all its rows, wherever their classes lie: there a
    state is brought up to date. The other methods may be asked again, for some of the classes each time, and change
    nothing.

    Attributes:
        cosine: scores are cosines: embedding and weight are L2-normalised, and there is no bias. Otherwise they are
            ``W x + b``.
        bias: there is a b.
        scale: factor from scores with their margin to logits.
        centres: rows of the weight a class; its score is the largest of theirs.
        whole_batch: what :meth:`own` makes of a row depends on the others, or is drawn for each: the holder must get
            all rows of an update at once, where otherwise it may get them in parts.
    """

    cosine = True
    bias = False
    scale = 1.0
    centres = 1
    whole_batch = False

    def own(self, score: Tensor, norms: Tensor) -> Tensor:
        """Scores (N,) of embeddings with their own classes, with the margin.

        Args:
            score: (N,), in [-1, 1] where they are cosines.
            norms: (N,) L2 norms of the embeddings as the network gives them, with their gradient: detach them where
                the margin shall not teach the network its norms.
        """
        return score

    def others(self, scores: Tensor, own: Tensor) -> Tensor:
        """Scores (N, C) of all classes, from which :meth:`own` takes each row's own class afterwards.

        Args:
            scores: (N, C), or some of the C. That of a row's own class may be anything: what is made of it is not used.
            own: (N,) scores of each row's own class without its margin.

        Returns:
            (N, C); ``scores`` themselves where nothing is done to any, which costs nothing.
        """
        return scores

    def penalty(self, norms: Tensor) -> Tensor | None:
        """A term (N,) that each row adds to the loss by the norm of its embedding; None: there is none."""
        return None

    def pull(self, own: Tensor) -> Tensor | None:
        """A term (N,) that each row adds by its score with its own class, without margin (N,); None: there is none."""
        return None


class BatchLoss(nn.Module):
    """A loss that compares the embeddings of a batch with each other: there is no weight of classes.

    The parameters of its ``__init__`` are its settings, as a margin's are. Who makes the batches reads them too.

    Attributes:
        joint: all rows of an update must be compared at once, not in parts.
    """

    joint = False

    def forward(self, embeddings: Tensor, labels: Tensor) -> Loss:
        """The loss of ``embeddings`` (N, D) of any floating type with integer ``labels`` (N,)."""
        raise NotImplementedError


def _check(loss: type[Margin] | type[BatchLoss]) -> None:
    if not (isinstance(loss, type) and issubclass(loss, Margin | BatchLoss)):
        raise TypeError(f"{loss!r}: a loss is a class derived from lwface.losses.base.Margin (or BatchLoss)")
    require_declared(loss)


LOSSES: Registry[type[Margin] | type[BatchLoss]] = Registry("kind of loss", check=_check)
