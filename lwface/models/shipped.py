"""The trained models that come inside the package: by what they do, where they are, and that they are whole.

All were trained on rendered faces and nothing else (``make models``), so that their licence is the package's own. Each
is a file of this project in ``weights/``, ``NAME-0001.safetensors``, with its card beside it; matrices are stored as
float16, read as float32. Nothing heavy is imported here.
"""

from __future__ import annotations

import functools
from pathlib import Path

from lwface.base.errors import UserError, unknown_name
from lwface.base.origin import file_sha256

WEIGHTS = Path(__file__).with_name("weights")
DETECTOR, LANDMARKS, FACE = "detector", "landmarks", "face"
REMEDY = "install the package again"

# What each does -> SHA-256 of its file. A card beside a file is held against the same digest by read_card.
SHIPPED: dict[str, str] = {}


def shipped_file(name: str) -> Path:
    """Where the model ``name`` lies, whether it is there or not."""
    return WEIGHTS / f"{name}-0001.safetensors"


@functools.cache
def shipped_path(name: str) -> Path:
    """The file of the model that does ``name``: ``detector``, ``landmarks`` or ``face``; its bytes are checked once.

    Raises:
        UserError: there is no such model, or the file is missing or not the one that was shipped.
    """
    if name not in SHIPPED:
        raise unknown_name("model of the package", name, SHIPPED)
    path = shipped_file(name)
    if not path.is_file():
        raise UserError(f"{path}: missing, though it is a part of the package: {REMEDY}")
    if file_sha256(path) != SHIPPED[name]:
        raise UserError(f"{path}: damaged, it is not the file that came with the package: {REMEDY}")
    return path
