"""What can be asked of the scorers: the defaults, and how rates, ranks and columns are written on a command line.

Light on purpose: the commands read it before anything that computes is imported.
"""

from __future__ import annotations

import math
from fractions import Fraction

from lwface.base.errors import UserError

REPLICATES = 1000  # of the bootstrap over people
BLOCK_SIZE = 512  # columns of a block of pairs, gallery rows of a block of searches
FOLDS = 10  # of a verification pack
VALIDATION_FAR = 1e-3  # of its validation rate
IJB_GALLERIES = {"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")}  # of each protocol


def parse_fars(text: str) -> list[Fraction]:
    """The exact FARs of a comma-separated list such as ``1e-3,1e-4``; each above 0 and below 1."""
    return [exact_rate(part.strip(), "FAR") for part in text.split(",")]


def parse_fpirs(text: str) -> list[Fraction]:
    """The exact FPIRs of a comma-separated list; each above 0 and below 1."""
    return [exact_rate(part.strip(), "FPIR") for part in text.split(",")]


def exact_rate(text: str, kind: str) -> Fraction:
    """The fraction that is written; :class:`UserError` unless it is above 0 and below 1. ``kind`` is FAR or FPIR."""
    try:
        in_range = 0 < float(text) < 1  # first: the fraction of a huge exponent would fill the memory
    except ValueError:
        in_range = False
    if not in_range:
        raise UserError(f"{kind} {text!r} is not a number above 0 and below 1; give them as in 1e-3,1e-4")
    return Fraction(text)


def parse_ranks(text: str) -> list[int]:
    """The ranks of a comma-separated list such as ``1,5,10``."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part.isdecimal() or int(part) < 1:
            raise UserError(f"rank {part!r} is not a whole number from 1 on; give them as in 1,5,10")
    return [int(part) for part in parts]


def parse_columns(text: str) -> list[tuple[str, float | None]]:
    """Columns to break down by: ``camera,age:10`` is the values of camera, and age in bands of 10.

    Raises:
        UserError: a band is not a number above 0.
    """
    columns: list[tuple[str, float | None]] = []
    for part in text.split(","):
        name, colon, width = part.strip().rpartition(":")
        columns.append((name, _band_width(width, part)) if colon else (width, None))
    return columns


def _band_width(text: str, part: str) -> float:
    try:
        width = float(text)
    except ValueError:
        width = 0
    if not 0 < width < math.inf:
        raise UserError(
            f"{part.strip()!r}: {text!r} is not the width of a band; give COLUMN or COLUMN:WIDTH, as in age:10"
        )
    return width
