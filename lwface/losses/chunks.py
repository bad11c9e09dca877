"""Scores of a batch against any number of classes, a block of classes at a time, forward and backward.

What a loss needs of all scores ``S`` (N, C) is each row's score with its own class and one number for all others::

    L_n = log sum_(j != y_n) exp(scale * others(S)_nj)        loss_n = log(1 + exp(L_n - scale * own(S_ny)))

:class:`BatchScores` gives both. Their memory is that of one block of scores, and of the gradients:

* forward: the blocks one after the other with a running maximum (Milakov and Gimelshein, "Online normalizer calculation
  for softmax", 2018), and dL_n/dx_n beside it, as in Rabe and Staats, "Self-attention does not need O(n^2) memory",
  2021: that is known up to a factor of each row, which the backward pass multiplies by;
* backward: the blocks again, now with the final L, for the gradient of the weight. So there are four products with
  (N, D, C) instead of the plain three. :class:`WeightGradient` puts that off until the weight is updated, and then no
  gradient of all classes is kept either.

Gradients are the exact ones, of the margin too. Where a margin changes the other classes' scores, autograd
differentiates that for the block at hand. Classes may be spread over processes and sampled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from lwface.base.errors import UserError
from lwface.losses.base import Margin
from lwface.losses.classes import ClassBlock, Classes, inverse_norms, l2_normalise

_State = list[tuple[nn.Module, str, Tensor]]  # buffers: where each is, and its value


@contextlib.contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Products of float32 matrices with inputs of ``precision`` inside the block; sums are float32 all the same."""
    before = torch.get_float32_matmul_precision()
    if precision == before:
        yield
        return
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class _Scores:
    """Scores of embeddings (N, D) with one block of classes, and the way back to the block's weight.

    A class has ``margin.centres`` centres, of which the nearest counts (Deng et al., "Sub-center ArcFace", ECCV 2020).
    """

    def __init__(
        self, classes: Classes, block: ClassBlock, inputs: Tensor, weight: Tensor, bias: Tensor | None
    ) -> None:
        self.margin, self.inputs = classes.margin, inputs
        rows = block.of(weight)
        self.shape = rows.shape
        rows = rows.reshape(-1, inputs.shape[1])  # (classes * centres, D)
        self.inverse = inverse_norms(rows) if self.margin.cosine else None
        self.rows = rows if self.inverse is None else rows * self.inverse
        scores = inputs @ self.rows.T
        if bias is not None:
            scores += block.of(bias)
        self.nearest: Tensor | None = None
        if self.margin.centres > 1:
            scores, self.nearest = scores.view(len(inputs), -1, self.margin.centres).max(dim=2)
        self.scores = scores  # (N, classes)

    def to_centres(self, gradient: Tensor) -> Tensor:
        """The gradient of scores (N, classes) as that of each centre's (N, classes * centres)."""
        if self.nearest is None:
            return gradient
        spread = gradient.new_zeros((*gradient.shape, self.margin.centres))
        return spread.scatter_(2, self.nearest[:, :, None], gradient[:, :, None]).flatten(1)

    def weight_gradient(self, gradient: Tensor) -> Tensor:
        """The gradient of the block's weight, of that of its scores (N, classes)."""
        found = self.to_centres(gradient).T @ self.inputs  # (classes * centres, D)
        if self.inverse is not None:
            along = (found * self.rows).sum(dim=1, keepdim=True)
            found.addcmul_(self.rows, along, value=-1).mul_(self.inverse)
        return found.view(self.shape)


def _logits(classes: Classes, scores: Tensor, own: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Logits (N, classes) of ``scores``, and the two that they are to be differentiated by; None: by neither.

    Where nothing is done to them the scores become the logits in place.
    """
    margin = classes.margin
    with torch.enable_grad():
        variable, own = scores.detach().requires_grad_(), own.detach().requires_grad_()
        others = margin.others(variable, own)
        if others is variable:
            return scores.mul_(margin.scale), None, None
        check_like(others, scores, margin, "others")
        return classes.mixed(variable, others) * margin.scale, variable, own


def _back(logits: Tensor, scores: Tensor | None, own: Tensor | None, gradient: Tensor, scale: float) -> Any:
    """Gradients of scores (N, classes) and of ``own`` (N,) or None, from that of the logits, which is written over."""
    if scores is None or own is None:
        return gradient.mul_(scale), None
    if not logits.requires_grad:  # the margin makes something constant of them
        return torch.zeros_like(gradient), None
    by_scores, by_own = torch.autograd.grad(logits, (scores, own), gradient, allow_unused=True)
    return torch.zeros_like(gradient) if by_scores is None else by_scores, by_own


def check_like(found: object, given: Tensor, margin: Margin, method: str) -> None:
    """A margin changes scores, not what they are.

    Raises:
        UserError: what ``method`` gave has another shape or type.
    """
    if not isinstance(found, Tensor) or (found.shape, found.dtype) != (given.shape, given.dtype):
        gave = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
        expected = f"{tuple(given.shape)} {given.dtype}"
        raise UserError(f"the loss {type(margin).__name__}: its {method}() gave {gave}, expected {expected}")


class _Part(NamedTuple):
    """What the gradient of the weight takes of one backward pass."""

    classes: Classes
    state: _State  # of the margin, as it was in the forward pass
    inputs: Tensor  # (N, D)
    places: Tensor  # (N,)
    own: Tensor  # (N,)
    others: Tensor  # (N,) L
    by_own: Tensor  # (N,) gradient of the loss by own
    by_others: Tensor  # (N,) and by L

    def gradient_of(self, scores: _Scores, block: ClassBlock) -> Tensor:
        """The gradient of the loss by the block's scores (N, classes)."""
        margin = self.classes.margin
        with _in_state(self.state):
            logits, variable, own = _logits(self.classes, scores.scores, self.own)
        shares = logits.detach().sub_(self.others[:, None]).exp_().mul_(self.by_others[:, None])
        block.fill_own(shares, self.places, 0.0)
        found, _ = _back(logits, variable, own, shares, margin.scale)
        block.fill_own(found, self.places, self.by_own)
        return found


def _state_of(margin: Margin) -> _State:
    """What ``others`` may depend on beside its arguments."""
    if type(margin).others is Margin.others:
        return []
    buffers = ((module, name, buffer) for module in margin.modules() for name, buffer in module._buffers.items())
    return [(module, name, buffer.clone()) for module, name, buffer in buffers if buffer is not None]


@contextlib.contextmanager
def _in_state(state: _State) -> Iterator[None]:
    """The margin has ``state`` inside the block: parts of a batch that came later have changed it.

    Its own tensors are put aside and not written to: autograd may have saved them.
    """
    now = [module._buffers[name] for module, name, _ in state]
    for module, name, buffer in state:
        module._buffers[name] = buffer
    try:
        yield
    finally:
        for (module, name, _), mine in zip(state, now, strict=True):
            module._buffers[name] = mine


@dataclass
class WeightGradient:
    """The gradient of the classes' weight, not yet made: what the backward passes of one update leave for it."""

    parts: list[_Part] = field(default_factory=list)

    def factors(self) -> list[Tensor]:
        """What it will be made of, the weight apart: where all of this is finite, the gradient is."""
        return [tensor for part in self.parts for tensor in (part.inputs, part.own, part.others, *part[-2:])]

    @torch.no_grad()
    def blocks(self, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[ClassBlock, Tensor, Tensor | None]]:
        """A block of classes with the gradient of its rows of ``weight`` and ``bias``, one after the other.

        The rows of a block may be changed before the next is asked for.

        Raises:
            ValueError: the parts are of different samples.
        """
        if not self.parts:
            return
        classes = self.parts[0].classes
        if any(part.classes is not classes for part in self.parts):
            raise ValueError("backward passes over different samples: begin an update before the first of them")
        for block in classes.blocks(max(len(part.inputs) for part in self.parts), weight):
            total, total_bias = None, None
            for part in self.parts:
                with float32_products(classes.products):
                    scores = _Scores(classes, block, part.inputs, weight, bias)
                    gradient = part.gradient_of(scores, block)
                    found = scores.weight_gradient(gradient)
                total = found if total is None else total.add_(found)
                if bias is not None:
                    found = gradient.sum(dim=0)
                    total_bias = found if total_bias is None else total_bias.add_(found)
            assert total is not None
            yield block, total, total_bias


class BatchScores:
    """The scores of one batch, as far as a loss takes them: see this module's docstring.

    :meth:`own` comes first, then the margin on it, then :meth:`others`: a margin that learns of each batch has learnt
    of this one by then. Values are the same in each process; autograd goes through both, which a loss must use.

    Args:
        inputs: (N, D), normalised where the margin is on cosines; those of all processes, the same in each.
        weight: (classes held, D), or (classes held, centres, D).
        bias: (classes held,), or None.
        classes: which of them take part.
        labels: (N,) int64, of all classes.
        pending: takes the gradient of weight and bias, which then get none; None: they get it as usual.

    Raises:
        ValueError: a label is no class, or not in the sample.
    """

    def __init__(
        self,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        classes: Classes,
        labels: Tensor,
        pending: WeightGradient | None = None,
    ) -> None:
        self.inputs, self.weight, self.bias = inputs, weight, bias
        self.classes, self.pending = classes, pending
        self.places = classes.places(labels)
        # What the backward pass of others leaves for that of own, which comes after it.
        self.found: _Others | None = None
        self.by_others: Tensor | None = None

    def own(self) -> Tensor:
        """Scores (N,) of each row with its own class, without a margin."""
        own: Tensor = _OwnFunction.apply(self.inputs, self.weight, self.bias, self)
        return own

    def others(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """Of the other classes' logits: L (N,), the logarithm of the sum of their exponentials, and the largest (N,).

        The largest has no gradient.

        Args:
            own: what :meth:`own` gave.
        """
        others, highest = _OthersFunction.apply(own, self)
        return others, highest


class _Others(NamedTuple):
    """What the forward pass finds of the other classes."""

    value: Tensor  # (N,) L
    highest: Tensor  # (N,)
    by_own: Tensor  # (N,) gradient of L by own
    by_inputs: Tensor | None  # (N, D) and by the embeddings, as far as it comes from the classes held
    state: _State  # of the margin


class _OwnFunction(Function):
    """Forward: the own classes' scores. Backward: all that goes to embeddings, weight and bias."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, batch: BatchScores) -> Tensor:
        with float32_products(batch.classes.products):
            own, rows = _own_scores(batch.classes, inputs, weight, bias, batch.places)
        ctx.save_for_backward(inputs, weight, bias, own, rows)
        ctx.batch = batch
        return own

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_own: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        batch: BatchScores = ctx.batch
        inputs, weight, bias, own, rows = ctx.saved_tensors
        by_inputs = by_weight = by_bias = None
        found, by_others = batch.found, batch.by_others
        batch.by_others = None
        if found is None or by_others is None:
            raise RuntimeError("a backward pass through the scores of the own classes alone: use others() too")
        if ctx.needs_input_grad[0]:
            assert found.by_inputs is not None
            by_inputs = found.by_inputs * by_others[:, None] + rows * by_own[:, None]
            batch.classes.shard.sum_(by_inputs)
        if ctx.needs_input_grad[1]:
            values = (inputs, batch.places, own, found.value, by_own, by_others)
            part = _Part(batch.classes, found.state, *(tensor.detach() for tensor in values))
            if batch.pending is not None:
                batch.pending.parts.append(part)
            else:
                by_weight, by_bias = _whole_gradient(part, weight, bias)
        return by_inputs, by_weight, by_bias, None


class _OthersFunction(Function):
    """Forward: the blocks with a running maximum. Backward: to own, and word to :class:`_OwnFunction`."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, batch: BatchScores) -> tuple[Tensor, Tensor]:
        with float32_products(batch.classes.products):
            found = _others(batch, own)
        if ctx.needs_input_grad[0]:
            # Not the tensor that is returned: that one leads back to ctx, and a circle through autograd is never freed.
            batch.found = found._replace(value=found.value.detach())
        ctx.batch, ctx.by_own = batch, found.by_own
        ctx.mark_non_differentiable(found.highest)
        return found.value, found.highest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_others: Tensor, _: Any) -> tuple[Tensor, None]:
        ctx.batch.by_others = by_others
        return by_others * ctx.by_own, None


def _others(batch: BatchScores, own: Tensor) -> _Others:
    """What the forward pass finds: over the blocks, then over the processes."""
    inputs, weight, bias, classes = batch.inputs, batch.weight, batch.bias, batch.classes
    margin = classes.margin
    highest, total = inputs.new_full((len(inputs),), torch.finfo(inputs.dtype).min), inputs.new_zeros(len(inputs))
    by_own = torch.zeros_like(total)
    by_inputs = torch.zeros_like(inputs) if inputs.requires_grad else None
    for block in classes.blocks(len(inputs), weight):
        scores = _Scores(classes, block, inputs, weight, bias)
        logits, variable, own_variable = _logits(classes, scores.scores, own)
        shares = logits.detach()
        block.fill_own(shares, batch.places, -torch.inf)
        before, highest = highest, torch.maximum(highest, shares.amax(dim=1))
        fall = (before - highest).exp_()
        shares.sub_(highest[:, None]).exp_()  # in the memory of the logits, whose values nobody needs any more
        total = total * fall + shares.sum(dim=1)
        if by_inputs is not None or variable is not None:
            found, added = _back(logits, variable, own_variable, shares, margin.scale)
            by_own.mul_(fall)
            if added is not None:
                by_own += added
            if by_inputs is not None:
                by_inputs.mul_(fall[:, None]).addmm_(scores.to_centres(found), scores.rows)
    peak = classes.shard.maximum_(highest.clone())
    fall = (highest - peak).exp_()
    total, by_own = classes.shard.sum_(torch.stack([total * fall, by_own * fall]))
    total = total.clamp(min=torch.finfo(total.dtype).tiny)  # there may be no other class in the sample
    if by_inputs is not None:
        by_inputs *= (fall / total)[:, None]
    return _Others(peak + total.log(), peak, by_own / total, by_inputs, _state_of(margin))


def _own_scores(
    classes: Classes, inputs: Tensor, weight: Tensor, bias: Tensor | None, places: Tensor
) -> tuple[Tensor, Tensor]:
    """Scores (N,) of embeddings with their own classes, and the rows (N, D), zero if held elsewhere, they are of."""
    held = places >= 0
    if not len(classes):
        own, rows = inputs.new_zeros(len(inputs)), torch.zeros_like(inputs)
    else:
        index = places.clamp(min=0)
        index = index if classes.sample is None else classes.sample[index]
        rows = weight[index].view(len(inputs), -1, inputs.shape[1])  # (N, centres, D)
        if classes.margin.cosine:
            rows = l2_normalise(rows)
        own, nearest = torch.linalg.vecdot(rows, inputs[:, None]).max(dim=1)
        rows = rows.gather(1, nearest[:, None, None].expand(-1, 1, inputs.shape[1])).squeeze(1)
        if bias is not None:
            own = own + bias[index]
        own, rows = torch.where(held, own, 0.0), torch.where(held[:, None], rows, 0.0)
    return classes.shard.sum_(own), rows


def _whole_gradient(part: _Part, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The gradient of all classes held; zero for those that the sample leaves out."""
    whole, whole_bias = torch.zeros_like(weight), None if bias is None else torch.zeros_like(bias)
    for block, found, found_bias in WeightGradient([part]).blocks(weight, bias):
        whole[block.rows] = found
        if whole_bias is not None and found_bias is not None:
            whole_bias[block.rows] = found_bias
    return whole, whole_bias
