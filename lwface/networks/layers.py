"""Layers of the MXNet networks, under the names their tensors have there, and how the original initialises them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.base.errors import UserError, unknown_name
from lwface.networks.prelu import ChannelPReLU

EPS = 2e-5  # what the original passes wherever it passes one
MXNET_EPS = 1e-3  # MXNet's own default, in the convolution blocks of the mobile families, which pass none
GLUON_EPS = 1e-5  # Gluon's default
PRELU_SLOPE = 0.25

# The activations MXNet's Activation operator knows, by its names; prelu is the one that learns.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "softrelu": nn.Softplus,
    "softsign": nn.Softsign,
    "tanh": nn.Tanh,
}


def activation(name: str, channels: int) -> nn.Module:
    """The activation ``net_act`` asks for; PReLU learns a slope a channel (``channels=1``: one for all)."""
    if name == "prelu":
        return (nn.PReLU if channels == 1 else ChannelPReLU)(channels, init=PRELU_SLOPE)
    if name not in ACTIVATIONS:
        raise unknown_name("activation (net_act)", name, [*ACTIVATIONS, "prelu"])
    return ACTIVATIONS[name]()


class BatchNorm(nn.Module):
    """Batch norm of a map (N, C, H, W) or of features (N, C), with MXNet's options.

    Args:
        bn_mom: share of the running statistics that stays at each step (PyTorch's momentum is ``1 - bn_mom``).
        fix_gamma: the scale is 1 for ever; it remains a parameter, because MXNet stores and counts it as one.

    Unlike PyTorch's it keeps no count of batches, so its tensors are exactly MXNet's four.
    """

    def __init__(self, channels: int, *, eps: float = EPS, bn_mom: float = 0.9, fix_gamma: bool = False) -> None:
        super().__init__()
        if not 0 <= bn_mom < 1:
            raise UserError(f"bn_mom is {bn_mom!r}: expected the share that stays, at least 0 and below 1")
        self.eps = eps
        self.momentum = 1.0 - bn_mom
        self.fix_gamma = fix_gamma
        self.weight = nn.Parameter(torch.ones(channels), requires_grad=not fix_gamma)
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` normalised a channel: by the batch in training, by the running statistics in evaluation."""
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.fix_gamma:  # MXNet ignores the stored value, and files exist where it is not 1
            nn.init.ones_(self.weight)

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return f"{self.weight.numel()}, eps={self.eps}, momentum={self.momentum:g}, fix_gamma={self.fix_gamma}"


class InstanceNorm(nn.InstanceNorm2d):
    """Each channel of each picture normalised by itself, with a scale and a shift a channel; the same in evaluation.

    It is computed as a group norm of one channel a group, which is the same and on a CPU faster. ONNX has an instance
    norm of its own, while a group norm becomes several layers there.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=MXNET_EPS, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) normalised; same shape."""
        if torch.onnx.is_in_onnx_export():
            normalised: Tensor = super().forward(x)
            return normalised
        last = x.stride(1) == 1
        y = F.group_norm(x.contiguous(), self.num_features, self.weight, self.bias, self.eps).to(x.dtype)
        return y.contiguous(memory_format=torch.channels_last) if last else y


class InstanceBatchNorm(nn.Module):
    """The first half of the channels normalised a picture, the others by the batch (IBN-Net: Pan et al., ECCV 2018).

    Light, colour and camera, which tell one set of pictures from another, are in the means and variances of early maps:
    a network that reads half of them without these does better on pictures unlike those of its training (arXiv
    1807.09441, section 3).
    """

    def __init__(self, channels: int, *, bn_mom: float = 0.9) -> None:
        super().__init__()
        self.first = channels // 2
        self.instance = InstanceNorm(self.first)
        self.batch = BatchNorm(channels - self.first, bn_mom=bn_mom)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) normalised; same shape."""
        return torch.cat([self.instance(x[:, : self.first]), self.batch(x[:, self.first :])], dim=1)


def named(**layers: nn.Module | None) -> nn.Sequential:
    """A sequence of layers under their MXNet names; ``None`` leaves one out."""
    return nn.Sequential(OrderedDict((name, layer) for name, layer in layers.items() if layer is not None))


def convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, padding: int | None = None, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias; it keeps the map's size at stride 1 unless ``padding`` says otherwise."""
    pad = kernel // 2 if padding is None else padding
    return nn.Conv2d(inputs, outputs, kernel, stride, pad, groups=groups, bias=False)


def conv_block(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    padding: int | None = None,
    groups: int = 1,
    act: str | None,
    bn_mom: float,
    fix_gamma: bool = False,
) -> nn.Sequential:
    """Convolution, batch norm and activation as the mobile families name them; ``act=None`` is a linear block."""
    return named(
        conv2d=convolution(inputs, outputs, kernel, stride, padding=padding, groups=groups),
        batchnorm=BatchNorm(outputs, eps=MXNET_EPS, bn_mom=bn_mom, fix_gamma=fix_gamma),
        relu=None if act is None else activation(act, outputs),
    )


class SqueezeExcite(nn.Sequential):
    """Scale each channel by a gate computed from all channels' means (Hu et al. 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, act: str, reduction: int = 16, *, act_name: str = "relu1") -> None:
        hidden = max(channels // reduction, 1)
        super().__init__(
            OrderedDict(
                [
                    ("pool1", nn.AdaptiveAvgPool2d(1)),  # (N, C, 1, 1)
                    ("conv1", nn.Conv2d(channels, hidden, 1)),
                    (act_name, activation(act, hidden)),
                    ("conv2", nn.Conv2d(hidden, channels, 1)),
                    ("sigmoid", nn.Sigmoid()),
                ]
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W) gated; same shape."""
        return x * super().forward(x)


class StochasticDepth(nn.Module):
    """In training, leave an image's residual branch out with probability ``rate``.

    What is kept is divided by the probability of being kept, so that nothing is left to do in evaluation (Huang et al.
    2016, arXiv 1603.09382).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise UserError(f"net_drop_path is {rate!r}: expected a probability of at least 0 and below 1")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, ...) with the rows of some images 0; same shape."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.empty((x.shape[0], *(1 for _ in x.shape[1:])), dtype=x.dtype, device=x.device)
        return x * (kept.bernoulli_(1 - self.rate) / (1 - self.rate))

    def extra_repr(self) -> str:
        """What ``print(network)`` shows."""
        return f"rate={self.rate}"


def initialise_gaussian_out(network: nn.Module) -> None:
    """Weights from N(0, 2 / fan_out), biases 0: the original's start for the residual and MobileFaceNet families."""
    _initialise(network, lambda weight, fan_in, fan_out: nn.init.normal_(weight, 0.0, math.sqrt(2.0 / fan_out)))


def initialise_uniform_in(network: nn.Module, gain: float = 2.0) -> None:
    """Weights uniform in +-sqrt(gain / fan_in), biases 0: with a gain of 2 the original's start for all others."""

    def fill(weight: Tensor, fan_in: int, fan_out: int) -> Tensor:
        bound = math.sqrt(gain / fan_in)
        return nn.init.uniform_(weight, -bound, bound)

    _initialise(network, fill)


def _initialise(network: nn.Module, fill: Callable[[Tensor, int, int], Tensor]) -> None:
    """Fill every convolution's and linear layer's weight; batch norms and PReLUs are made with their start values.

    The fans are MXNet's: of the weight's own shape, so a depthwise layer's fan_out is of all its channels together.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and not module.weight.is_meta:  # meta weights hold no values
            receptive = math.prod(module.weight.shape[2:])
            fill(module.weight, module.weight.shape[1] * receptive, module.weight.shape[0] * receptive)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
