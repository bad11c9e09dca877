"""Networks as MXNet models: ``PREFIX-symbol.json`` and ``PREFIX-%04d.params``, as the official tools read them.

The graph takes RGB pixels 0..255 under the name ``data``, normalises them itself and puts out ``fc1_output``; it takes
any batch. Weights keep the names the original gives them, and so do the operators of the original's networks.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from common.errors import UserError
from common.files import PathLike
from common.mxnet_network import MxnetNetwork
from common.mxnet_params import params_path, write_params
from common.mxnet_symbol import Node, Symbol, symbol_path, write_symbol
from common.mxnet_writing import OUTPUT, Names, draw
from recognition.networks import FaceNetwork, mxnet_names


class FaceNetworkNames(Names):
    """The names of the original: those of :func:`~recognition.networks.mxnet_names`, and of operators beside them."""

    def __init__(self, network: FaceNetwork) -> None:
        self._tensors = mxnet_names(network)
        self._gluon_prefix = network.gluon_prefix

    def tensor(self, path: str) -> str:
        """Of a weight."""
        return self._tensors[path]

    def layer(self, path: str) -> str:
        """Of a layer: Gluon's end in ``_fwd``."""
        part, _, rest = path.partition(".")
        name = rest.replace(".", "_")
        return f"{self._gluon_prefix}{name}_fwd" if self._in_gluon(part) else name or part

    def scope(self, path: str) -> str | None:
        """Gluon numbers unnamed operators in each block, the symbol API through the whole network."""
        part, _, rest = path.partition(".")
        return f"{self._gluon_prefix}{rest.replace('.', '_')}_" if self._in_gluon(part) else None

    def _in_gluon(self, part: str) -> bool:
        return bool(self._gluon_prefix) and part == "body"


def to_mxnet(network: nn.Module) -> tuple[Symbol, dict[str, np.ndarray]]:
    """The graph of ``network`` in evaluation mode, and its weights and running statistics (``arg:NAME``, ``aux:NAME``).

    The network is not run, only followed, and left as it was; it may be on any device. One that was read from MXNet's
    files keeps their graph.

    Raises:
        UserError: an operator has no counterpart in MXNet; the message names it and the module it is in.
    """
    if isinstance(network, MxnetNetwork):
        return _with_output(network.symbol), network.arrays()
    names = FaceNetworkNames(network) if isinstance(network, FaceNetwork) else Names()
    return draw(network, names)


def _with_output(symbol: Symbol) -> Symbol:
    """``symbol`` with its output called ``fc1``, whichever layer the user chose."""
    head = symbol.heads[0]
    if symbol.nodes[head[0]].name == OUTPUT:
        return symbol
    if any(node.name == OUTPUT for node in symbol.nodes):
        raise UserError(f"cannot be written as an MXNet model: the layer {OUTPUT!r} comes before the chosen output")
    return Symbol((*symbol.nodes, Node("_copy", OUTPUT, {}, (head,))), ((len(symbol.nodes), 0),))


def save_mxnet(prefix: PathLike, epoch: int, network: nn.Module) -> None:
    """Write ``PREFIX-symbol.json`` and ``PREFIX-%04d.params``, the graph first: without it weights are of no use.

    Raises:
        UserError: the network has an operator without counterpart in MXNet; nothing is written.
    """
    symbol, arrays = to_mxnet(network)
    write_symbol(symbol_path(prefix), symbol)
    write_params(params_path(prefix, epoch), arrays)


def mxnet_problem(network: nn.Module) -> str | None:
    """Why ``network`` cannot be written as an MXNet model; None when it can."""
    try:
        to_mxnet(network)
    except UserError as error:
        return str(error)
    return None
