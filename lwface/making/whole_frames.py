"""Whether images that are to be resized look like whole pictures, which resizing does not turn into aligned faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lwface.base.files import PathLike
from lwface.formats.alignment import CROP_SIZE
from lwface.making.landmark_reading import SAMPLE, tag_and_size

SQUARE = 1.05  # sides of an aligned face differ by less, whatever cropped it
LARGEST = 224  # pixels of a side; aligned faces are published with 96 to 224


def squashed_frames(root: PathLike, names: Sequence[str]) -> str:
    """What is to be said before the images ``names`` below ``root`` are resized; nothing where all may be faces.

    A guess, by the sizes in the headers of up to 300 of them, evenly spread: an aligned face is square and small.
    """
    seen = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, min(SAMPLE, len(names))).astype(int))]
    sizes = [(name, tag_and_size(Path(root) / name)[1]) for name in seen]
    whole = [(name, size) for name, size in sizes if size is not None and _is_whole(size)]
    if not whole:
        return ""
    name, (height, width) = whole[0]
    share = f"{len(whole)} of {len(seen)} images" + (" looked at" if len(seen) < len(names) else "")
    return (
        f"--resize aligns nothing: {share} look like whole pictures ({name} is {width}x{height}), which are squashed "
        f"to {CROP_SIZE}x{CROP_SIZE}; align_faces.py finds and aligns faces, --landmarks aligns them, and "
        "where these are aligned faces, --aligned says so"
    )


def _is_whole(size: tuple[int, int]) -> bool:
    return max(size) > SQUARE * min(size) or max(size) > LARGEST
