"""Any network as a graph of MXNet: :func:`draw` follows a forward pass and writes down what equals it."""

from __future__ import annotations

import numpy as np
from torch import nn

from lwface.mxnet.symbol import Symbol
from lwface.mxnet.writing import elementwise, layers
from lwface.mxnet.writing.tracing import OUTPUT, Names, trace

__all__ = ["OUTPUT", "Names", "draw"]


def draw(
    network: nn.Module, names: Names, image_shape: tuple[int, ...] = (3, 112, 112)
) -> tuple[Symbol, dict[str, np.ndarray]]:
    """The graph of ``network`` in evaluation mode, and the values of its variables (``arg:NAME``, ``aux:NAME``).

    The graph takes ``data`` (N, ``*image_shape``), any N, and puts out ``fc1_output``. The network is only followed,
    not computed, and left as it was; it may be on any device.

    Raises:
        UserError: an operator has no counterpart in MXNet; the message names it and the module it is in.
    """
    tracer = trace(network, {**elementwise.TRANSLATIONS, **layers.TRANSLATIONS}, names, image_shape)
    return tracer.graph.finish(tracer.output.entry, OUTPUT)
