"""Which modules of this package a program needs, and that they need nothing but NumPy and Python 3.9."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

OLDEST = (3, 9)  # Python's version on the platform's images
ALLOWED = {"numpy", *sys.stdlib_module_names}
PACKAGE = "lwface"
_UNDERSTOOD = {"tomllib"}  # newer than OLDEST


def packed_modules(roots: Iterable[str]) -> dict[str, Path]:
    """Files of the modules that ``roots`` import when they are imported, by their place in an archive.

    What a function imports when it is called is left out: those are the parts that a server does without.

    Raises:
        ValueError: one of them needs more than NumPy, or a newer Python: a fault of ours.
    """
    found: dict[str, Path] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ValueError(f"{name}: no such module")
        path = Path(spec.origin)
        place = name.replace(".", "/") + ("/__init__.py" if path.name == "__init__.py" else ".py")
        if place in found:
            continue
        found[place] = path
        for other in _imports(path):
            top = other.split(".")[0]
            if top == PACKAGE:
                waiting.append(other)
            elif top not in ALLOWED or top in _UNDERSTOOD:
                raise ValueError(f"{path}: imports {other}, which a challenge's server has not")
        if "." in name:
            waiting.append(name.rpartition(".")[0])
    return dict(sorted(found.items()))


def _imports(path: Path) -> Iterator[str]:
    """Modules that a file imports at its top level, not under TYPE_CHECKING."""
    for node in ast.parse(path.read_text(encoding="utf-8"), feature_version=OLDEST).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module.split(".")[0] == PACKAGE:
                whole = (f"{node.module}.{alias.name}" for alias in node.names)
                yield from (name for name in whole if _is_module(name))


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # an attribute of a module that is no package
        return False
