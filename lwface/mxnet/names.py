"""What the two files of a model of MXNet are called, and whether they are there; nothing heavy is imported here."""

from __future__ import annotations

import os
from pathlib import Path

from lwface.base.errors import UserError
from lwface.base.files import PathLike


def symbol_path(prefix: PathLike) -> Path:
    """The file of the graph of the model ``prefix``."""
    return Path(f"{os.fspath(prefix)}-symbol.json")


def params_path(prefix: PathLike, epoch: int) -> Path:
    """The file of epoch ``epoch`` of the model ``prefix``."""
    return Path(f"{os.fspath(prefix)}-{epoch:04d}.params")


def find_mxnet(prefix: PathLike, epoch: int) -> tuple[Path, Path]:
    """The graph and the parameters of a model; :class:`UserError` naming the one that is not there."""
    graph, params = symbol_path(prefix), params_path(prefix, epoch)
    for path in (graph, params):
        if not path.is_file():
            raise UserError(f"{path}: no such file; a model of MXNet is {graph.name} and {params.name} side by side")
    return graph, params
