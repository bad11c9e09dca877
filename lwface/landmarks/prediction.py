"""The points of a folder of pictures as a solution file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lwface.base.account import Account, print_summary
from lwface.base.errors import UserError
from lwface.base.files import replacing
from lwface.base.progress import progress
from lwface.features.choices import AUTO, EAGER
from lwface.formats.image import encode_jpeg, read_rgb
from lwface.formats.image_walk import walk_images
from lwface.formats.point_solution import write_solution, zip_solution
from lwface.formats.text_files import table_rows
from lwface.landmarks.cropping import box_of
from lwface.landmarks.drawing import draw_points
from lwface.landmarks.point_sets import read_point_set
from lwface.landmarks.predictor import PointPredictor

BOX_COLUMNS = ["image", "left", "top", "right", "bottom"]


def predict_folder(
    model: str,
    folder: Path,
    output: Path,
    *,
    zipped: bool = False,
    boxes: Path | None = None,
    truth: Path | None = None,
    draw: Path | None = None,
    mirror: bool = False,
    backend: str = AUTO,
) -> None:
    """Write ``output``, its zip and the drawings, and say what was read and what was not.

    Args:
        boxes: csv of the faces' boxes.
        truth: annotations whose boxes are taken.

    Raises:
        UserError: no picture with a box, or what the model or a file refuses.
    """
    predictor = PointPredictor.load(model, mirror=mirror, backend=EAGER if backend == AUTO else backend)
    walk = walk_images(folder)
    known = _boxes(boxes, truth)
    if known is not None:
        _check_names(set(walk.names), known, boxes or truth)
    account, found = Account(), {}
    account.leave_out(walk.account)
    for name in progress(walk.names, label="points", unit="image"):
        if known is not None and name not in known:
            account.skip("no box", name)
            continue
        try:
            image = read_rgb(folder / name)
        except UserError as error:
            account.skip(str(error).partition(": ")[2] or "unreadable", name)
            continue
        found[name] = predictor.whole(image) if known is None else predictor(image, known[name][None])[0]
        if draw is not None:
            target = draw / Path(name).with_suffix(".jpg")
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as file:
                file.write(encode_jpeg(draw_points(image, found[name])))
    if known is not None:
        account.skip("a box of no picture", *sorted(known.keys() - set(walk.names)))
    account.taken = len(found)
    if not found:
        raise UserError(f"{folder}: no picture of it could be used")
    write_solution(output, found)
    print_summary(account.as_json(), "pictures")
    print(f"written: {output}")
    if zipped:
        archive = output.with_suffix(".zip")
        zip_solution(archive, output)
        print(f"written: {archive}")


def read_boxes(path: Path) -> dict[str, np.ndarray]:
    """The box (4,) of each picture of a csv with the columns image, left, top, right, bottom, and others.

    Where there is a column ``use``, as in the ``faces.csv`` of ``align_faces.py``, lines with 0 in it are no faces.

    Raises:
        UserError: the line that is wrong.
    """
    rows = table_rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    lacking = [name for name in BOX_COLUMNS if name not in header]
    if lacking:
        raise UserError(f"{path}: line 1 has no column {lacking[0]}; expected {','.join(BOX_COLUMNS)}")
    place = [header.index(name) for name in BOX_COLUMNS]
    use = header.index("use") if "use" in header else None
    found: dict[str, np.ndarray] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}: line {line} has {len(row)} columns, not {len(header)}")
        if use is not None and row[use].strip() in ("", "0"):
            continue
        name, *values = (row[position] for position in place)
        try:
            box = np.array(values, np.float64)
        except ValueError:
            raise UserError(f"{path}: line {line}: a box of {', '.join(values)} is not four numbers") from None
        if not np.isfinite(box).all() or not (box[2:] > box[:2]).all():
            raise UserError(f"{path}: line {line}: left < right and top < bottom expected, not {', '.join(values)}")
        if name in found:
            raise UserError(f"{path}: line {line}: {name} is there twice; a solution has one face a picture")
        found[name] = box
    return found


def _boxes(boxes: Path | None, truth: Path | None) -> dict[str, np.ndarray] | None:
    if boxes is not None:
        return read_boxes(boxes)
    if truth is None:
        return None
    return {picture.name: box_of(picture.points) for picture in read_point_set(truth, "val", opened=False).pictures}


def _check_names(names: set[str], boxes: Mapping[str, np.ndarray], where: Path | None) -> None:
    """Where no name of the boxes is a picture's, names are meant otherwise."""
    if not names & boxes.keys():
        shown = next(iter(boxes), "nothing")
        raise UserError(
            f"{where}: none of its names, such as {shown}, is a picture's, such as {min(names, default='')}"
        )
