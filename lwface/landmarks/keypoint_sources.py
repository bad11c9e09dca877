"""The sets of faces with 68 points that a keypoint set can be made of; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from lwface.base.errors import UserError
from lwface.making.youtube_names import tables

ANNOTATIONS = "annotations.csv"  # of procedural faces


def is_procedural(source: Path) -> bool:
    """Whether ``source`` is what ``datasets/make_synthetic.py`` made."""
    return (source / ANNOTATIONS).is_file()


def check_source(source: Path) -> None:
    """:class:`UserError` where ``source`` is no set that is known here."""
    if not is_procedural(source) and not all(path.is_file() for path in tables(source)):
        names = " and ".join(path.name for path in tables(source))
        raise UserError(
            f"{source}: expected {names} of the YouTube Faces teaching set, or {ANNOTATIONS} of "
            "datasets/make_synthetic.py --frames"
        )


def check_output(output: Path) -> None:
    """:class:`UserError` where something is there already: nothing is written over."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output}: is already there; delete it, or choose another --output")
