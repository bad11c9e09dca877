"""A processor of the user's own, from a Python file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from lwface.base.errors import UserError
from lwface.montage.processor import Processor

CLASS = "Processor"


def own_processor(path: Path, videos: Path) -> Processor:
    """An object of the class ``Processor`` in ``path``, made for the csv ``videos``. The file is run.

    Raises:
        UserError: it is not Python, or has no such class that is a ``lwface.montage.processor.Processor``.
    """
    spec = importlib.util.spec_from_file_location("own_montage_processor", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--processor {path}: is no Python file; its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(f"--processor {path}, line {error.lineno}: {error.msg}") from None
    found = getattr(module, CLASS, None)
    if not isinstance(found, type) or not issubclass(found, Processor) or found is Processor:
        raise UserError(
            f"--processor {path}: has no class {CLASS} of its own; write class {CLASS}(montage.Processor) after "
            "import lwface.montage.processor as montage"
        )
    return found(videos)
