"""Runs a face-recognition network in MXNet's files as a PyTorch module built from its graph, without MXNet.

Names, shapes and number types are checked by a pass without numbers before memory is spent on computing. The module is
an ordinary one: it can be trained, moved, counted and exported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.evaluating import evaluating
from lwface.base.files import PathLike
from lwface.mxnet.graph import cut, find_output
from lwface.mxnet.names import find_mxnet
from lwface.mxnet.operators import Operation
from lwface.mxnet.params import read_params
from lwface.mxnet.plan import Call, Trial, make_plan
from lwface.mxnet.symbol import Symbol, read_symbol

IMAGE_SHAPE = (3, 112, 112)


class Layer(nn.Module):
    """One operator with the arrays that are its own; ``own`` by position among the inputs."""

    def __init__(self, operation: Operation, own: Mapping[int, Tensor]) -> None:
        super().__init__()
        self._compute, self._has_mode = operation.compute, operation.has_mode
        self._names: list[str | None] = [None] * len(operation.inputs)
        for position, tensor in own.items():
            name = operation.inputs[position]
            self._names[position] = name
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)

    def forward(self, *inputs: Tensor) -> Any:
        """The operator's output, or a tuple of them."""
        given = iter(inputs)
        arguments = [next(given) if name is None else getattr(self, name) for name in self._names]
        return self._compute(*arguments, training=self.training) if self._has_mode else self._compute(*arguments)


class MxnetNetwork(nn.Module):
    """The part of ``symbol`` that computes ``output``, with the ``arrays`` it needs.

    Weights are parameters and running statistics are buffers of ``layers``, in float32; where the graph casts to
    another type, in that. The scale of a ``fix_gamma`` batch norm is 1, whatever the file says, and is not trained.

    Args:
        symbol: a graph that begins with the images.
        arrays: by name, ``arg:NAME`` or ``aux:NAME`` (or ``NAME``); those that the output does not need are left out.
        output: as for :func:`lwface.mxnet.graph.find_output`.
        image_shape: (3, H, W) of the images.

    Attributes:
        embedding_size: D, numbers a feature has.
        symbol: the part of the graph that is used.

    Raises:
        UserError: an unknown operator or option, an array that is missing or has another shape than its layer needs,
            a graph that does not give one row an image or needs too much memory or time.
    """

    def __init__(
        self,
        symbol: Symbol,
        arrays: Mapping[str, np.ndarray],
        output: str | None = None,
        image_shape: tuple[int, int, int] = IMAGE_SHAPE,
    ) -> None:
        super().__init__()
        self.symbol = cut(symbol, find_output(symbol, output))
        self.image_shape = image_shape
        plan = make_plan(self.symbol, arrays)
        trial = Trial(plan)
        with torch.inference_mode():
            self.embedding_size = trial.embedding_size(image_shape)
        self._slots, self._result = plan.slots, plan.result
        self.layers = nn.ModuleDict()
        self._calls: list[tuple[str, Call]] = []
        self._sources: dict[str, str] = {}  # name in state_dict() -> name in MXNet
        tensors: dict[tuple[int, torch.dtype, bool, float | None], Tensor] = {}  # an array may serve several layers
        for call in plan.calls:
            node, operation = self.symbol.nodes[call.node], plan.operations[call.node]
            layer_name = self._free_name(node.name)
            own = {}
            for position, slot in enumerate(call.inputs):
                if slot is None:
                    source, name = node.inputs[position][0], operation.inputs[position]
                    dtype, statistic = trial.dtypes[call.node, position], name in operation.statistics
                    key = (source, dtype, statistic, operation.constants.get(name))
                    if key not in tensors:
                        tensors[key] = _tensor(plan.arrays[source].values, *key[1:])
                    own[position] = tensors[key]
                    prefix = "aux:" if statistic else "arg:"
                    self._sources[f"layers.{layer_name}.{name}"] = prefix + self.symbol.nodes[source].name
            self.layers[layer_name] = Layer(operation, own)
            self._calls.append((layer_name, call))
        self._pixels: Tensor  # empty: has the type that the images are brought to, and changes with the network's
        self.register_buffer("_pixels", torch.empty(0), persistent=False)
        if trial.casts:
            self._try_out()

    def _try_out(self) -> None:
        """Compute one image: PyTorch does not know every operator in every number type, and only finds out then."""
        try:
            with evaluating(self), torch.inference_mode():
                self(torch.zeros(1, *self.image_shape))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"the network cannot be computed in the number types that it casts to: {reason}") from None

    def _free_name(self, name: str) -> str:
        """``name`` as PyTorch takes it for a module, and not given yet."""
        name = name.replace(".", "_")
        while name in self.layers or hasattr(self.layers, name):
            name += "_"
        return name

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings (N, D), not normalised, of RGB ``images`` (N, 3, H, W), uint8 or float, 0..255."""
        if images.shape[1:] != self.image_shape:
            expected = f"(N, {', '.join(map(str, self.image_shape))})"
            raise UserError(f"images of shape {tuple(images.shape)}: the network takes {expected}, cropped and aligned")
        values: list[Any] = [None] * self._slots
        values[0] = images.to(self._pixels.dtype)
        for name, call in self._calls:
            found = self.layers[name](*[values[slot] for slot in call.inputs if slot is not None])
            if len(call.outputs) == 1:
                values[call.outputs[0]] = found
            else:
                for slot, value in zip(call.outputs, found, strict=True):
                    values[slot] = value
            for slot in call.releases:
                values[slot] = None
        return values[self._result].flatten(1)

    @property
    def array_names(self) -> dict[str, str]:
        """MXNet's name, ``arg:NAME`` or ``aux:NAME``, of the array behind each tensor of ``state_dict()``."""
        return dict(self._sources)

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights and statistics as they are now, by MXNet's names: with ``symbol``, a model for MXNet."""
        state = self.state_dict()
        return {source: state[name].detach().cpu().numpy().copy() for name, source in self._sources.items()}


def _tensor(values: np.ndarray, dtype: torch.dtype, statistic: bool, constant: float | None) -> Tensor:
    """A running statistic as a buffer, anything else as a parameter; a constant one is not trained."""
    if constant is not None:
        return nn.Parameter(torch.full(values.shape, constant, dtype=dtype), requires_grad=False)
    tensor = torch.tensor(values.astype(values.dtype.newbyteorder("="), copy=False)).to(dtype)
    return tensor if statistic else nn.Parameter(tensor)


def load_mxnet(prefix: PathLike, epoch: int, output: str | None = None) -> MxnetNetwork:
    """The network in ``PREFIX-symbol.json`` and ``PREFIX-%04d.params``, in evaluation mode.

    Args:
        output: the layer that gives the embedding, where it is not the usual one.

    Raises:
        UserError: naming the file, when one of them is missing, damaged or cannot be run.
    """
    graph, params = find_mxnet(prefix, epoch)
    symbol, arrays = read_symbol(graph), read_params(params)
    try:
        return MxnetNetwork(symbol, arrays, output).eval()
    except UserError as error:
        raise UserError(f"{os.fspath(graph)} with {params.name}: {error}") from None
