"""People in sequences of small crops without a face: the faceless recognition challenge (Orcam, DataHack 2019).

What its own programs import by name is here: ``from lwface.sequences import Images, read_signatures, split_by``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwface.formats.sequence_pickles import read_pose, read_signatures, write_pose, write_signatures
    from lwface.sequences.images import Images
    from lwface.sequences.splits import enumerate_paths, split_by, train_test_split

__all__ = [
    "Images",
    "enumerate_paths",
    "read_pose",
    "read_signatures",
    "split_by",
    "train_test_split",
    "write_pose",
    "write_signatures",
]

_HOMES = {
    "Images": "lwface.sequences.images",
    "enumerate_paths": "lwface.sequences.splits",
    "read_pose": "lwface.formats.sequence_pickles",
    "read_signatures": "lwface.formats.sequence_pickles",
    "split_by": "lwface.sequences.splits",
    "train_test_split": "lwface.sequences.splits",
    "write_pose": "lwface.formats.sequence_pickles",
    "write_signatures": "lwface.formats.sequence_pickles",
}


def __getattr__(name: str) -> Any:  # imported when it is asked for: the commands start without NumPy and OpenCV
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
