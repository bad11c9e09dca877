"""A submission to Kaggle's "Facial Keypoints Detection": ``RowId,Location``, a row for each of ``IdLookupTable.csv``.

A location is a coordinate in pixels, from 0 to 96.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.base.files import PathLike, replacing
from lwface.formats.keypoint_lookup import Lookup
from lwface.formats.keypoint_tables import FEATURES, HIGHEST, LOWEST, coordinate, identifier, table

COLUMNS = ("RowId", "Location")


def read_submission(path: PathLike, lookup: Lookup) -> NDArray[np.float64]:
    """The locations (R,) in the order of ``lookup``, whatever the submission's order is.

    Raises:
        UserError: a RowId is there twice, is not asked for or is missing, or a location is none or outside of 0 to 96;
            names file, line and column.
    """
    places_of_rows = {int(row): place for place, row in enumerate(lookup.rows)}
    seen: dict[int, int] = {}
    locations = np.full(len(lookup.rows), np.nan)
    for line, places, fields in table(path, COLUMNS):
        row = identifier(path, line, "RowId", fields[places["RowId"]])
        if row in seen:
            raise UserError(f"{path}, line {line}, column RowId: {row} is there twice, first in line {seen[row]}")
        if row not in places_of_rows:
            raise UserError(f"{path}, line {line}, column RowId: {row} is not in the lookup table")
        seen[row] = line
        cell = fields[places["Location"]]
        value = coordinate(path, line, "Location", cell)
        if not LOWEST <= value <= HIGHEST:
            what = "is empty" if np.isnan(value) else f"{cell.strip()} is outside"
            raise UserError(f"{path}, line {line}, column Location: {what}; expected {LOWEST:g} to {HIGHEST:g}")
        locations[places_of_rows[row]] = value
    missing = [place for row, place in places_of_rows.items() if row not in seen]
    if missing:
        place = missing[0]
        what = f"RowId {lookup.rows[place]} ({FEATURES[lookup.features[place]]} of image {lookup.images[place]})"
        raise UserError(f"{path}: {what} is missing, {len(missing)} of {len(lookup.rows)} rows in all")
    return locations


def write_submission(path: PathLike, lookup: Lookup, locations: NDArray[np.floating]) -> int:
    """Write ``locations`` (R,), in the order of ``lookup``, beside and renamed; how many were clipped to 0..96."""
    clipped = np.clip(locations, LOWEST, HIGHEST)
    with replacing(path, "w", encoding="ascii", newline="\n") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(f"{row},{value:.5f}\n" for row, value in zip(lookup.rows, clipped, strict=True))
    return int(np.count_nonzero(clipped != locations))
