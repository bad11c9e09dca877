"""The trained models that come inside the package: by what they do, where they are, and that they are whole.

All were trained on rendered faces and nothing else (``make models``), so that their licence is the package's own. Each
is a file of this project in ``weights/``, ``NAME-0001.safetensors``, with its card beside it; matrices are stored as
float16, read as float32. ``weights/sha256.json`` says which there are: name to SHA-256 of the file. Nothing heavy is
imported here.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from lwface.base.errors import UserError, unknown_name
from lwface.base.origin import file_sha256

WEIGHTS = Path(__file__).with_name("weights")
DETECTOR, LANDMARKS, FACE = "detector", "landmarks", "face"
DIGESTS = "sha256.json"
REMEDY = "install the package again"
RENDERED = "rendered by this package: no picture of a real person, so the package's own licence, Apache-2.0"


def shipped_file(name: str, folder: Path | None = None) -> Path:
    """Where the model ``name`` lies in the package, or in another ``folder``, whether it is there or not."""
    return (folder or WEIGHTS) / f"{name}-0001.safetensors"


@functools.cache
def digests() -> dict[str, str]:
    """Name to SHA-256 of each model that came with the package.

    Raises:
        UserError: the list itself is missing or damaged.
    """
    path = WEIGHTS / DIGESTS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(digest) for name, digest in found.items()}
    except (OSError, ValueError, AttributeError):
        raise UserError(f"{path}: missing or damaged, though it is a part of the package: {REMEDY}") from None


@functools.cache
def shipped_path(name: str) -> Path:
    """The file of the model that does ``name``: ``detector``, ``landmarks`` or ``face``; its bytes are checked once.

    Raises:
        UserError: there is no such model, or the file is missing or not the one that was shipped.
    """
    if name not in digests():
        raise unknown_name("model of the package", name, digests())
    path = shipped_file(name)
    if not path.is_file():
        raise UserError(f"{path}: missing, though it is a part of the package: {REMEDY}")
    if file_sha256(path) != digests()[name]:
        raise UserError(f"{path}: damaged, it is not the file that came with the package: {REMEDY}")
    return path
