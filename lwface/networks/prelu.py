"""PReLU whose gradient is made in three passes over memory where PyTorch takes many: on processors, in training.

``y = x`` where ``x > 0``, else ``w x``, with a slope ``w`` a channel (He et al. 2015, arXiv 1502.01852, equation 1).
With the part ``n`` of the gradient ``g`` of ``y`` that lies where ``x <= 0`` (equation 11)::

    gradient of x = g + (w - 1) n          gradient of w = sum of n x over all but the channel

PyTorch's kernel for processors makes ``n x`` as a whole map, number by number; it took a quarter of a training step of
MobileFaceNet. Here ``n`` comes from the derivative of ``hardtanh`` between minus infinity and the least positive
number, and the sum from batch norm's kernel, which sums ``n (x - mean) / deviation``: with a mean of 0 and a deviation
of 1.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional


class ChannelPReLU(nn.PReLU):
    """As :class:`torch.nn.PReLU` with a slope a channel, in every respect but the time of its gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same shape."""
        # Whoever follows the network to write it down is given PyTorch's own operation.
        followed = torch.jit.is_tracing() or torch.compiler.is_compiling() or type(x) is not Tensor
        if self.training and torch.is_grad_enabled() and x.device.type == "cpu" and x.ndim > 1 and not followed:
            found: Tensor = _ChannelPReLU.apply(x, self.weight)
            return found
        return functional.prelu(x, self.weight.to(x.dtype))


class _ChannelPReLU(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.prelu(x, weight.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        low = torch.ops.aten.hardtanh_backward(gradient, x, -math.inf, torch.finfo(x.dtype).tiny)
        of_x = of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = _sum_of_products(low, x).to(weight.dtype)
        if ctx.needs_input_grad[0]:  # in the memory of the part
            shape = (-1, *(1 for _ in x.shape[2:]))
            of_x = torch.addcmul(gradient, low, (weight - 1).to(x.dtype).view(shape), out=low)
        return of_x, of_weight


def _sum_of_products(a: Tensor, b: Tensor) -> Tensor:
    """(C,) of (N, C, ...): sums of ``a * b`` over all axes but the second, at least in float32."""
    kind = torch.float64 if a.dtype == torch.float64 else torch.float32
    zero, one = (torch.full((a.shape[1],), value, dtype=kind) for value in (0.0, 1.0))
    parts = (False, True, False)  # of the gradients of input, factor and offset
    found: Tensor = torch.ops.aten.native_batch_norm_backward(a, b, one, None, None, zero, one, True, 0.0, parts)[1]
    return found
