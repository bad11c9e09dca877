"""What the two files of a model of MXNet are called."""

from __future__ import annotations

import os
from pathlib import Path

from lwface.base.files import PathLike


def symbol_path(prefix: PathLike) -> Path:
    """The file of the graph of the model ``prefix``."""
    return Path(f"{os.fspath(prefix)}-symbol.json")


def params_path(prefix: PathLike, epoch: int) -> Path:
    """The file of epoch ``epoch`` of the model ``prefix``."""
    return Path(f"{os.fspath(prefix)}-{epoch:04d}.params")
