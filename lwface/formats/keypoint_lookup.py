"""``IdLookupTable.csv`` of Kaggle's "Facial Keypoints Detection": which coordinates of which test images are asked for.

Columns ``RowId,ImageId,FeatureName,Location``; ``FeatureName`` is such as ``left_eye_center_x``, ``Location`` is empty
(or ``?``). With ``Location`` filled in, the same table is the truth that a submission is scored against; where it is
empty there, the coordinate is not known and does not count. The challenge's own has 27124 rows of 1783 images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lwface.base.errors import UserError, unknown_name
from lwface.base.files import PathLike, replacing
from lwface.formats.keypoint_images import coordinate_text
from lwface.formats.keypoint_tables import FEATURES, coordinate, identifier, table

COLUMNS = ("RowId", "ImageId", "FeatureName")
_PLACES = {name: number for number, name in enumerate(FEATURES)}


class Lookup(NamedTuple):
    """One entry a row.

    Attributes:
        rows: (R,) int64, the RowIds, no two alike.
        images: (R,) int64, the ImageIds.
        features: (R,) int64, positions in ``FEATURES``: point ``features // 2``, x or y by ``features % 2``.
        locations: (R,) float64 in pixels; NaN where not known.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.int64]
    features: NDArray[np.int64]
    locations: NDArray[np.float64]


def read_lookup(path: PathLike) -> Lookup:
    """Read the table.

    Raises:
        UserError: a cell is wrong, a RowId or a coordinate of an image is asked for twice, or there is no such
            FeatureName; names file, line and column.
    """
    rows: dict[int, int] = {}
    asked: dict[tuple[int, int], int] = {}
    locations = []
    for line, places, fields in table(path, COLUMNS, ("Location",)):
        row, image = (identifier(path, line, name, fields[places[name]]) for name in COLUMNS[:2])
        name = fields[places["FeatureName"]].strip()
        if name not in _PLACES:
            raise UserError(f"{path}, line {line}, column FeatureName: {unknown_name('feature', name, FEATURES)}")
        if row in rows:
            raise UserError(f"{path}, line {line}, column RowId: {row} is there twice, first in line {rows[row]}")
        key = image, _PLACES[name]
        if key in asked:
            first = f"is asked for twice, first in line {asked[key]}"
            raise UserError(f"{path}, line {line}, column FeatureName: {name} of image {image} {first}")
        rows[row] = asked[key] = line
        cell = fields[places["Location"]] if "Location" in places else ""
        locations.append(coordinate(path, line, "Location", "" if cell.strip() == "?" else cell))
    images, features = np.array(list(asked), np.int64).T
    return Lookup(np.array(list(rows), np.int64), images, features, np.array(locations))


def write_lookup(path: PathLike, lookup: Lookup) -> None:
    """Write the table, beside and renamed."""
    with replacing(path, "w", encoding="ascii", newline="\n") as file:
        file.write(",".join((*COLUMNS, "Location")) + "\n")
        for row, image, feature, location in zip(*lookup, strict=True):
            file.write(f"{row},{image},{FEATURES[feature]},{coordinate_text(location)}\n")
