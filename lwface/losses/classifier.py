"""The holder of the classes' weight: whole or a shard of it, all of its rows or a sample, for every loss."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from lwface.base.device import sent
from lwface.base.errors import UserError
from lwface.losses.base import Loss, Margin
from lwface.losses.chunks import BatchScores, WeightGradient, check_like
from lwface.losses.classes import ClassBlock, Classes, l2_normalise
from lwface.losses.shards import ClassShard

WEIGHT_STD = 0.01  # standard deviation of the initial weight, as in the original
DRAWN_AT_ONCE = 1 << 24  # numbers of the initial weight, where only some of its rows are kept
LINEAR_FROM = 50.0  # log(1 + exp(x)) is x to float64's precision beyond


class Classifier(nn.Module):
    """A last layer ``fc7`` of shape (classes, width), and the margin on its scores.

    Its memory is that of the weight and of one block of scores (:mod:`lwface.losses.chunks`). The classes may be

    * *sharded*: each process of ``group`` holds some (:mod:`lwface.losses.shards`). All give as many embeddings, and
      get the loss over those of all; the gradient of the embeddings is W times the loss's, for DDP to divide by W;
    * *sampled*: only those take part that :meth:`begin` draws, and those of the batch (Partial FC: An et al., "Partial
      FC: Training 10 Million Identities on a Single Machine", 2021, section 3; "Killing Two Birds with One Stone", CVPR
      2022). There is no correction for the share drawn, as there is none there.

    Args:
        margin: what is done to the scores.
        num_classes: C, of all processes.
        embedding_size: D.
        chunk: classes a block; 0: by the device.
        products: precision of the float32 products, in PyTorch's words (``torch.set_float32_matmul_precision``).
        group: of the processes that share the classes; None: this one holds all.

    Attributes:
        weight: (classes held, D); (classes held, centres, D) where the margin has several centres a class.
        bias: (classes held,), or None.
        shard: the classes held. In the state dict as ``_extra_state``: start, stop, total.
        deferred: the backward pass leaves the gradient of weight and bias to :attr:`gradient` for
            :func:`lwface.training.row_updates.update_rows`, which makes it a block at a time. Otherwise they get it as
            usual, and it takes as much memory as they do.

    Raises:
        UserError: fewer than two classes.
    """

    def __init__(
        self,
        margin: Margin,
        num_classes: int,
        embedding_size: int,
        *,
        chunk: int = 0,
        products: str = "highest",
        group: dist.ProcessGroup | None = None,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise UserError(f"a classifier needs at least 2 identities to tell apart, the data set has {num_classes}")
        self.shard = ClassShard.of(num_classes, group)
        size = (embedding_size,) if margin.centres == 1 else (margin.centres, embedding_size)
        self.weight = nn.Parameter(_initial_weight(self.shard, size))
        self.bias = nn.Parameter(torch.zeros(len(self.shard))) if margin.bias else None
        self.margin = margin
        self.chunk, self.products = chunk, products
        self.deferred = False
        self.gradient = WeightGradient()
        self._classes = self._classes_of(None, 1.0)
        self._margin_seed: int | None = None
        self.register_load_state_dict_pre_hook(_add_rows)

    def begin(
        self,
        labels: Tensor,
        rate: float = 1.0,
        generator: torch.Generator | None = None,
        margin_share: float = 1.0,
    ) -> None:
        """Begin an update of the weight: forget what is left of the last, and draw the classes that take part.

        What is drawn depends on the generator alone, not on the number of processes.

        Args:
            labels: (N,) of the whole update, all parts of the batch of this process: their classes take part. Best on
                the CPU, where they are looked at.
            rate: probability with which each other class does; 1: all do.
            generator: on the CPU; the same in each process. None: the global one, in one process only.
            margin_share: each score is that much of the one with margin, from 0, and for the rest the one without. What
                a margin adds to the loss (``penalty``, ``pull``) is added whole.

        Raises:
            ValueError: there are several processes and no generator.
        """
        if generator is None and self.shard.group is not None:
            raise ValueError("several processes must draw the same: give begin() a generator, alike in each")
        self.gradient.parts.clear()
        sample = None
        if rate < 1.0:
            shard = self.shard
            taken = torch.rand(shard.total, generator=generator) < rate
            taken[shard.gather(labels.long()).cpu()] = True
            sample = sent(taken[shard.start : shard.stop].nonzero().squeeze(1), self.weight.device)
        if generator is not None:
            self._margin_seed = int(torch.randint(1 << 62, (), generator=generator))
        self._classes = self._classes_of(sample, margin_share)

    def _classes_of(self, sample: Tensor | None, margin_share: float) -> Classes:
        return Classes(self.margin, self.shard, sample, self.chunk, self.products, margin_share)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Loss:
        """The cross-entropy of ``embeddings`` (N, D) of any floating type and integer ``labels`` (N,).

        Computed in the weight's precision even under autocast: with a scale of 64, the 8 bits of a bfloat16 cosine
        would be steps of 0.25 in the logit. Before :meth:`begin`, all classes take part.

        Raises:
            TypeError: labels are not integers.
            ValueError: the shapes do not fit, or a label is not among the classes.
        """
        self._check(embeddings, labels)
        margin, shard = self.margin, self.shard
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, labels = shard.gather(embeddings.to(self.weight.dtype)), shard.gather(labels.long())
            norms = torch.linalg.vector_norm(embeddings, dim=1)  # (N,)
            inputs = l2_normalise(embeddings) if margin.cosine else embeddings
            pending = self.gradient if self.deferred else None
            scores = BatchScores(inputs, self.weight, self.bias, self._classes, labels, pending)
            own = scores.own()
            with self._randomness():
                with_margin = margin.own(own, norms)
            check_like(with_margin, own, margin, "own")
            with_margin = self._classes.mixed(own, with_margin)
            others, highest = scores.others(own)
            logit = with_margin * margin.scale
            loss = functional.softplus(others - logit, threshold=LINEAR_FROM).mean()
            for term in (margin.penalty(norms), margin.pull(own)):
                if term is not None:
                    loss = loss + term.mean()
        return Loss(loss, (shard.own(logit) > shard.own(highest)).sum())

    @property
    def sample(self) -> Tensor | None:
        """The rows of :attr:`weight` (K,) that :meth:`begin` drew; None: all."""
        return self._classes.sample

    @contextlib.contextmanager
    def _randomness(self) -> Iterator[None]:
        """What the margin draws is the same in each process, and the network's own draws are not changed by it."""
        if self._margin_seed is None:
            yield
            return
        devices = [self.weight.device] if self.weight.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(self._margin_seed)
            self._margin_seed += 1  # the next part of the batch has draws of its own
            yield

    def row_parameters(self) -> list[nn.Parameter]:
        """Weight, and bias if there is one: a row of each class held."""
        return list(self.parameters(recurse=False))

    def global_rows(self, rows: Tensor) -> Tensor:
        """As :meth:`lwface.losses.shards.ClassShard.global_tensor`."""
        return self.shard.global_tensor(rows)

    def gradients(self) -> Iterator[tuple[ClassBlock, list[tuple[nn.Parameter, Tensor]]]]:
        """Where it is deferred, the gradient of the update: block by block, of each parameter with rows of classes.

        A block's rows may be changed before the next is asked for; afterwards nothing is left.
        """
        for block, of_weight, of_bias in self.gradient.blocks(self.weight, self.bias):
            found = [(self.weight, of_weight)]
            if self.bias is not None and of_bias is not None:
                found.append((self.bias, of_bias))
            yield block, found
        self.gradient.parts.clear()

    def logits(self, embeddings: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """All logits (N, C) at once of ``embeddings`` (N, D) with ``labels`` (N,) int64, in the weight's precision.

        For looking at them where all classes are held; the loss is their cross-entropy, and never has them.
        """
        margin, scores = self.margin, self._scores(embeddings)
        index = labels[:, None]  # (N, 1)
        own = scores.gather(1, index).squeeze(1)  # (N,)
        with_margin = margin.own(own, norms)  # comes first, as in forward()
        return margin.others(scores, own).scatter(1, index, with_margin[:, None]) * margin.scale

    def plain_logits(self, embeddings: Tensor) -> Tensor:
        """Logits (N, C) as :meth:`logits` has them, without any margin: no label is known."""
        return self._scores(embeddings) * self.margin.scale

    def _scores(self, embeddings: Tensor) -> Tensor:
        """(N, C), of each class that of its nearest centre."""
        weight = self.weight.flatten(0, -2)
        if self.margin.cosine:
            scores = l2_normalise(embeddings) @ l2_normalise(weight).T
        else:
            scores = functional.linear(embeddings, weight, self.bias)
        return scores.unflatten(1, (-1, self.margin.centres)).amax(dim=2)

    def get_extra_state(self) -> Tensor:
        """The classes held: start, stop, total."""
        return torch.tensor([self.shard.start, self.shard.stop, self.shard.total])

    def set_extra_state(self, state: Any) -> None:
        """Check that what is loaded is of the same classes.

        Raises:
            UserError: it is of others.
        """
        found, expected = state.tolist(), self.get_extra_state().tolist()
        if found != expected:
            said, held = (f"classes {start} to {stop - 1} of {total}" for start, stop, total in (found, expected))
            raise UserError(f"the state is of {said}, this process holds {held}")

    def global_state(self) -> dict[str, Tensor]:
        """Weight and bias as :meth:`lwface.losses.shards.ClassShard.global_tensor` has them, to be saved or filled."""
        return {
            name: self.shard.global_tensor(tensor.detach()) for name, tensor in self.named_parameters(recurse=False)
        }

    def _check(self, embeddings: Tensor, labels: Tensor) -> None:
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise TypeError(f"labels must be integers, got {labels.dtype}")
        width = self.weight.shape[-1]
        if embeddings.ndim != 2 or embeddings.shape[1] != width or labels.shape != embeddings.shape[:1]:
            shapes = f"{tuple(embeddings.shape)} and {tuple(labels.shape)}"
            raise ValueError(f"expected embeddings (N, {width}) and labels (N,), got {shapes}")


def _initial_weight(shard: ClassShard, size: tuple[int, ...]) -> Tensor:
    """The rows of the shard, (classes held, ...), of one draw from the global generator, whoever holds them."""
    weight = torch.empty(len(shard), *size)
    if shard.group is None:
        return weight.normal_(std=WEIGHT_STD)
    numbers = torch.Size(size).numel()
    # A multiple of 16 rows at a time: PyTorch draws that many normal numbers together.
    rows = max(1, DRAWN_AT_ONCE // numbers // 16) * 16
    for start in range(0, shard.total, rows):
        drawn = torch.empty(min(rows, shard.total - start), *size).normal_(std=WEIGHT_STD)
        first, last = max(start, shard.start), min(start + len(drawn), shard.stop)
        if first < last:
            weight[first - shard.start : last - shard.start] = drawn[first - start : last - start]
    return weight


def _add_rows(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """States of before classes could be sharded do not say which they are: all."""
    assert isinstance(module, Classifier)
    state.setdefault(f"{prefix}_extra_state", module.get_extra_state())
