"""Networks as MXNet models: ``PREFIX-symbol.json`` and ``PREFIX-%04d.params``, as the official tools read them.

The graph takes RGB pixels 0..255 under the name ``data``, normalises them itself and puts out ``fc1_output``; it takes
any batch. Weights keep the names the original gives them, and so do the operators of the original's networks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.gate.flops import count_flops, flops_text
from lwface.mxnet.names import params_path, symbol_path
from lwface.mxnet.network import IMAGE_SHAPE, MxnetNetwork
from lwface.mxnet.params import write_params
from lwface.mxnet.symbol import Node, Symbol, write_symbol
from lwface.mxnet.writing import OUTPUT, Names, draw
from lwface.networks import FaceNetwork, mxnet_names

TOLERANCE = 1e-4  # of the embeddings' norm, when a model is converted


class FaceNetworkNames(Names):
    """The names of the original: those of :func:`~lwface.networks.mxnet_names`, and of operators beside them."""

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
    files keeps their graph. The arrays may share the network's memory.

    Raises:
        UserError: an operator has no counterpart in MXNet; the message names it and the module it is in.
    """
    if isinstance(network, MxnetNetwork):
        symbol, arrays = _with_output(network.symbol), network.arrays()
        names = [f"{kind}:{node.name}" for kind in ("arg", "aux") for node in symbol.nodes]  # as MXNet orders them
        return symbol, {name: arrays[name] for name in names if name in arrays}
    return draw(network, FaceNetworkNames(network) if isinstance(network, FaceNetwork) else Names())


def _with_output(symbol: Symbol) -> Symbol:
    """``symbol`` with its output called ``fc1``, whichever layer the user chose."""
    head = symbol.heads[0]
    if symbol.nodes[head[0]].name == OUTPUT:
        return symbol
    if any(node.name == OUTPUT for node in symbol.nodes):
        raise UserError(f"cannot be written as an MXNet model: the layer {OUTPUT!r} comes before the chosen output")
    return Symbol((*symbol.nodes, Node("_copy", OUTPUT, {}, (head,))), ((len(symbol.nodes), 0),))


def mxnet_problem(network: nn.Module) -> str | None:
    """Why ``network`` cannot be written as an MXNet model; None when it can."""
    try:
        to_mxnet(network)
    except UserError as error:
        return str(error)
    return None


def save_mxnet(prefix: PathLike, epoch: int, network: nn.Module) -> None:
    """Write ``PREFIX-symbol.json`` and ``PREFIX-%04d.params``, the graph first: without it weights are of no use.

    Raises:
        UserError: the network has an operator without counterpart in MXNet; nothing is written.
    """
    _write(prefix, epoch, *to_mxnet(network))


def convert(network: nn.Module, prefix: str, epoch: int) -> list[str]:
    """Like :func:`save_mxnet`, once the graph is found to compute what ``network`` does; what was found, in lines.

    Args:
        network: in evaluation mode, on the CPU.

    Raises:
        UserError: it cannot be written, the graph computes something else or costs something else, or the files would
            replace those of another MXNet model.
    """
    paths = [symbol_path(prefix), params_path(prefix, epoch)]
    if isinstance(network, MxnetNetwork) and any(path.exists() for path in paths):
        raise UserError(f"{prefix}: there is an MXNet model of that name: give another --output")
    symbol, arrays = to_mxnet(network)
    written = MxnetNetwork(symbol, arrays, f"{OUTPUT}_output").eval()
    images = torch.randint(0, 256, (3, *IMAGE_SHAPE), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = network(images), written(images)
    difference = float((found - expected).norm() / expected.norm())
    flops, counted = count_flops(network).flops, count_flops(written).flops
    if not difference < TOLERANCE or flops != counted:
        found_out = f"differs from the network by {difference:.1e} of the embeddings' norm, {TOLERANCE:g} at most"
        raise UserError(f"the MXNet graph {found_out}, and counts {counted} FLOPs, not {flops}: nothing is written")
    _write(prefix, epoch, symbol, arrays)
    return [
        *(f"{path}: {path.stat().st_size} bytes" for path in paths),
        f"embeddings differ by {difference:.1e} of their norm (3 random images)",
        f"FLOPs: {flops} ({flops_text(flops)})",
    ]


def _write(prefix: PathLike, epoch: int, symbol: Symbol, arrays: dict[str, np.ndarray]) -> None:
    write_symbol(symbol_path(prefix), symbol)
    write_params(params_path(prefix, epoch), arrays)
