"""The values of a column that a breakdown shows."""

from __future__ import annotations

import numpy as np

from lwface.base.errors import UserError
from lwface.formats.person_labels import Codes, in_bands

MOST_VALUES = 200


def chosen_values(column: Codes, name: str, width: float | None) -> Codes:
    """The column in bands of ``width``, or its values in order: numbers by size, else by text.

    Raises:
        UserError: there are more than ``MOST_VALUES``, or a value to put in a band is not a number.
    """
    banded = column if width is None else in_bands(column, width, name)
    if len(banded.values) > MOST_VALUES:
        raise UserError(
            f"column {name!r} has {len(banded.values)} values, a breakdown shows {MOST_VALUES} at most; "
            f"give {name}:WIDTH for bands of numbers, or a column with fewer"
        )
    if width is not None:
        return banded
    order = sorted(range(len(column.values)), key=lambda code: _sorting_key(column.values[code]))
    places = np.empty(len(order) + 1, dtype=np.int64)
    places[order], places[-1] = np.arange(len(order)), -1
    return Codes(places[column.codes], [column.values[code] for code in order])


def _sorting_key(value: str) -> tuple[bool, float, str]:
    try:
        number = float(value)
    except ValueError:
        return True, 0, value
    return (False, number, value) if number == number else (True, 0, value)
