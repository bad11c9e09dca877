"""What is inside a record file, printed, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lwface.base.progress import progress
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import decode_rgb, image_damage
from lwface.formats.orientation import carries_turn
from lwface.formats.record_files import RecordError
from lwface.making.image_folder import ordered_map

SHOWN_PROBLEMS = 10


class _Turned(str):
    """Not damage: an image whose EXIF turns it, by the name of where it is."""


def problem_of(records: FaceRecords, index: int) -> str | None:
    """What is wrong with the image at ``index``; None when nothing is."""
    key = int(records.keys[index])
    try:
        _, data = records.read(index)
        image = decode_rgb(data)
        if image is None:
            raise records.reader.error(key, image_damage(data) or "its image cannot be decoded")
        if records.has_property and image.shape[:2] != records.image_size:
            height, width = image.shape[:2]
            wanted = f"{records.image_size[1]}x{records.image_size[0]}"
            raise records.reader.error(key, f"its image is {width}x{height}, not {wanted}")
    except RecordError as error:
        return str(error)
    return _Turned(f"record {key}") if carries_turn(data) else None


def describe(records: FaceRecords, shown: int) -> None:
    """Print the layout, the counts and the first ``shown`` records."""
    size = records.path.stat().st_size
    print(f"file        {records.path}, {size} bytes, {len(records.reader)} records")
    print(f"layout      {'InsightFace (record 0 describes identities)' if records.insightface else 'plain'}")
    if records.has_property:
        print(f"property    {records.num_classes} classes, images of {records.image_size[1]}x{records.image_size[0]}")
    else:
        print("property    missing: labels are not checked against a number of classes")
    print(f"images      {len(records)}")
    if records.identities is not None:
        print(f"identities  {len(records.identities)}")
    for index in range(min(shown, len(records))):
        label, data = records.read(index)
        image = decode_rgb(data)
        picture = "cannot be decoded" if image is None else f"{image.shape[1]}x{image.shape[0]}"
        print(f"record      key {records.keys[index]}, label {label}, {len(data)} bytes, {picture}")


def describe_labels(records: FaceRecords) -> None:
    """Print how the images spread over the labels."""
    counts = np.unique(records.labels(), return_counts=True)[1]
    if counts.size:
        spread = f"{counts.min()} to {counts.max()} images each, median {np.median(counts):g}"
        print(f"labels      {counts.size} in use, {spread}")


def check(count: int, problem: Callable[[int], str | None], workers: int) -> int:
    """Go through ``problem`` of all ``count`` images; print the first problems; returns the exit status.

    Images that EXIF turns are counted apart: they are no damage, but MXNet's own reader does not turn them.
    """
    bad, turned = 0, list[str]()
    for found in progress(ordered_map(problem, range(count), workers), total=count, label="check", unit="image"):
        if isinstance(found, _Turned):
            turned.append(found)
        elif found is not None:
            bad += 1
            if bad <= SHOWN_PROBLEMS:
                print(f"damaged     {found}")
    if turned:
        examples = ", ".join(turned[:3]) + (", ..." if len(turned) > 3 else "")
        print(f"turned      {len(turned)} images by an EXIF orientation ({examples}): other readers, such as MXNet's,")
        print("            show them unturned; a set that is built again from the images holds them upright")
    print(f"checked     {count} images: {bad} damaged")
    return 1 if bad else 0
