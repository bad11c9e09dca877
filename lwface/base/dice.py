"""Draws that are the same on every version of Python, which promises to keep only ``random()`` so."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def below(limit: int, dice: random.Random) -> int:
    """A number from 0 to ``limit - 1``."""
    return int(dice.random() * limit)


def shuffled(items: Sequence[T], dice: random.Random) -> list[T]:
    """A copy of ``items`` in an order that ``dice`` decides."""
    result = list(items)
    for i in range(len(result) - 1, 0, -1):
        j = below(i + 1, dice)
        result[i], result[j] = result[j], result[i]
    return result
