"""Exact scores of 1:1 and 1:N protocols, from arrays and files; :func:`tar_at_far` is the shortest way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwface.scoring.from_arrays import TarAtFar, tar_at_far

__all__ = ["TarAtFar", "tar_at_far"]


def __getattr__(name: str) -> Any:  # imported when it is asked for: the commands start without PyTorch
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lwface.scoring import from_arrays

    return getattr(from_arrays, name)
