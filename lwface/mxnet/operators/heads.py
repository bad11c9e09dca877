"""What a training graph ends in: softmax and the losses, whose labels are not looked at."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lwface.mxnet.operators.operation import Operation, operator
from lwface.mxnet.options import NodeOptions

# Operators that only a training graph ends in: without a name, the output of a network is what goes into them.
HEADS = (
    "Softmax",
    "SoftmaxOutput",
    "SoftmaxActivation",
    "softmax",
    "log_softmax",
    "softmax_cross_entropy",
    "LinearRegressionOutput",
    "LogisticRegressionOutput",
    "MAERegressionOutput",
    "SVMOutput",
    "MakeLoss",
    "make_loss",
    "BlockGrad",
    "stop_gradient",
)


@operator("BlockGrad", "stop_gradient")
def block_gradient(options: NodeOptions) -> Operation:
    """The same numbers; training does not go through it."""
    return Operation(Tensor.detach)


@operator("MakeLoss", "make_loss", "LinearRegressionOutput", "MAERegressionOutput", "SVMOutput")
def loss(options: NodeOptions) -> Operation:
    """The same numbers: the options say what training makes of them."""
    options.ignore("grad_scale", "valid_thresh", "normalization", "margin", "regularization_coefficient", "use_linear")
    return Operation(lambda x: x)


@operator("LogisticRegressionOutput")
def logistic(options: NodeOptions) -> Operation:
    """The sigmoid."""
    options.ignore("grad_scale")
    return Operation(torch.sigmoid)


@operator("SoftmaxOutput", "Softmax")
def softmax_output(options: NodeOptions) -> Operation:
    """Softmax of everything an image has, of each position (``multi_output``) or of the last axis."""
    positions, last = options.flag("multi_output", False), options.flag("preserve_shape", False)
    options.ignore("grad_scale", "ignore_label", "use_ignore", "normalization", "out_grad", "smooth_alpha")

    def compute(x: Tensor) -> Tensor:
        if positions or last:
            return torch.softmax(x, 1 if positions else -1)
        return torch.softmax(x.flatten(1), 1).reshape(x.shape)

    return Operation(compute)


@operator("SoftmaxActivation")
def softmax_activation(options: NodeOptions) -> Operation:
    """Softmax of the last axis (``instance``; MXNet on CUDA wants rows here), or of the channels of each position."""
    axis = 1 if options.choice("mode", ("instance", "channel"), "instance") == "channel" else -1
    return Operation(lambda x: torch.softmax(x, axis))


def _register_softmax(name: str, compute: Callable[[Tensor, int], Tensor]) -> None:
    @operator(name)
    def softmax(options: NodeOptions) -> Operation:
        axis, temperature = options.integer("axis", -1), options.number("temperature", 1.0)
        options.choice("dtype", ("None",), "None")
        if options.flag("use_length", False) or temperature == 0:
            raise options.error("use_length and a temperature of 0 are not supported")

        def along(x: Tensor) -> Tensor:
            if not -x.ndim <= axis < x.ndim:
                raise options.error(f"axis {axis} does not fit an input of shape {tuple(x.shape)}")
            return compute(x / temperature if temperature != 1 else x, axis)

        return Operation(along)


_register_softmax("softmax", torch.softmax)
_register_softmax("log_softmax", torch.log_softmax)
_register_softmax("softmin", lambda x, axis: torch.softmax(-x, axis))
