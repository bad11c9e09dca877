"""Optional packages: imported where they are used, and one clear line where they are missing."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from lwface.base.errors import UserError

DISTRIBUTION = "lightweight-face-recognition"


def available(module: str) -> bool:
    """Whether ``module`` is installed; it is not imported."""
    return importlib.util.find_spec(module) is not None


def require(module: str, extra: str) -> ModuleType:
    """Import the optional ``module``.

    Args:
        extra: the group of ``pyproject.toml`` that brings it, such as ``onnx``.

    Raises:
        UserError: it is not installed, with what to type.
    """
    if not available(module):
        raise missing(module, extra)
    return importlib.import_module(module)


def missing(what: str, extra: str, otherwise: str = "") -> UserError:
    """The error for ``what`` is not installed; ``otherwise`` is what else a user can do."""
    remedy = f"in a checkout make setup installs it, elsewhere pip install '{DISTRIBUTION}[{extra}]'"
    return UserError(f"{what} is not installed: {remedy}{otherwise}")
