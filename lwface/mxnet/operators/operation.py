"""What an MXNet operator with given options does: the registry of operators, and what an entry of it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lwface.base.registry import Registry
from lwface.mxnet.options import NodeOptions

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """How to compute an operator, and what its arrays must look like.

    Attributes:
        compute: takes the inputs as tensors and gives a tensor, or a tuple where ``outputs`` is more than 1.
        inputs: their names; an array among them becomes a tensor of the layer under this name. Inputs of the node
            beyond these, such as the labels of a loss, are not looked at.
        outputs: how many outputs other nodes can use.
        expected: from the shapes of all inputs, the shape each must have (None: any), so that an array of another
            shape is an error that names it and not a wrong result.
        statistics: inputs that are running statistics: saved and counted apart, changed by training.
        constants: arrays that have a fixed value whatever the file says.
        has_mode: ``compute`` takes ``training`` as a keyword.
        terms: from the inputs, how many numbers go into one number of the output, where that is not a few.
        laid_out: from the inputs and the output, how many numbers PyTorch may copy out for one image before it
            multiplies, none of which a pass without numbers sees.
    """

    compute: Callable[..., Any]
    inputs: tuple[str, ...] = ("data",)
    outputs: int = 1
    expected: Callable[[Sequence[Shape]], Sequence[Shape | None]] | None = None
    statistics: tuple[str, ...] = ()
    constants: dict[str, float] = field(default_factory=dict)
    has_mode: bool = False
    terms: Callable[[Sequence[Tensor]], int] | None = None
    laid_out: Callable[[Sequence[Tensor], Tensor], int] | None = None


Build = Callable[[NodeOptions], Operation]
OPERATORS: Registry[Build] = Registry("MXNet operator")


def operator(*names: str) -> Callable[[Build], Build]:
    """Decorator: register what makes an :class:`Operation` of a node's options under MXNet's name and its aliases."""

    def add(build: Build) -> Build:
        for name in names:
            OPERATORS.register_as(name)(build)
        return build

    return add


def numbered(options: NodeOptions, minimum: int = 1) -> tuple[str, ...]:
    """Names ``arg0 arg1 ...`` for an operator that takes as many inputs as the node has."""
    count = len(options.node.inputs)
    given = options.integer("num_args", count, low=minimum)
    if given != count or count < minimum:
        raise options.error(f"it has {count} inputs, expected {max(given, minimum)}")
    return tuple(f"arg{i}" for i in range(count))


def all_equal(shapes: Sequence[Shape]) -> Sequence[Shape]:
    """Every input has the shape of the first."""
    return [shapes[0]] * len(shapes)
