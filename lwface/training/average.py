"""A moving average of the weights, which is often better than the weights themselves while the rate is high.

After update ``t`` (from 1) ``a = d a + (1 - d) w``, with ``d = min(ema, t / (t + 9))``: the first weights, which mean
nothing, do not linger (Polyak and Juditsky 1992; the rising decay is that of TensorFlow's
``ExponentialMovingAverage``, ``(1 + n) / (10 + n)`` after ``n = t - 1`` updates before). What is averaged is all of a
module's state in floating point, running statistics of batch norms included.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average over ``modules``; it begins with their present state.

    Args:
        modules: by name.
        decay: at most, from 0 (the latest weights) to less than 1.
    """

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self.modules, self.decay = modules, decay
        self.average = [tensor.detach().clone() for tensor in self._tensors()]

    def names(self) -> list[str]:
        """``MODULE/NAME`` of each tensor of :attr:`average`."""
        states = ((name, *found) for name, module in self.modules.items() for found in module.state_dict().items())
        return [f"{name}/{key}" for name, key, tensor in states if tensor.is_floating_point()]

    def _tensors(self) -> list[Tensor]:
        states = (module.state_dict() for module in self.modules.values())
        return [tensor for state in states for tensor in state.values() if tensor.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after update number ``step``, counted from 1."""
        decay = min(self.decay, step / (step + 9))
        torch._foreach_lerp_(self.average, self._tensors(), 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The modules have the averaged state inside the block, and their own again after it."""
        own = [tensor.detach().clone() for tensor in self._tensors()]
        self._put(self.average)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: list[Tensor]) -> None:
        for tensor, value in zip(self._tensors(), values, strict=True):
            tensor.copy_(value)
