"""A solution file beside the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lwface.base.errors import UserError
from lwface.formats.point_solution import read_solution
from lwface.landmarks.point_errors import NORMS, FoundPoints
from lwface.landmarks.point_sets import PointPicture, read_point_set, split_by_person


def read_faces(
    solution: Path, truth: Path, held_out: float | None = None, seed: int = 0
) -> tuple[FoundPoints, list[PointPicture]]:
    """The faces of ``truth`` with the points of ``solution``, and their pictures, in the same order.

    The pictures themselves need not be there.

    Args:
        held_out: score only this share of the people, drawn by ``seed``; None: all.

    Raises:
        UserError: the solution lacks a picture, or has one that the truth lacks; or a true face has no length that
            its errors could be divided by.
    """
    pictures = read_point_set(truth, "val", opened=False).pictures
    everything = {picture.name for picture in pictures}
    if held_out is not None:
        pictures = split_by_person(pictures, held_out, seed)[1]
    names = [picture.name for picture in pictures]
    found = read_solution(solution, names if held_out is None else None)
    unknown = [name for name in found if name not in everything]
    lacking = [name for name in names if name not in found]
    if unknown or lacking:
        which = f"has {unknown[0]}, which the truth has not" if unknown else f"has no row for {lacking[0]}"
        raise UserError(f"{solution}: {which} ({len(unknown)} more than expected, {len(lacking)} missing)")
    tracks: dict[str, list[int]] = {}
    for position, picture in sorted(enumerate(pictures), key=lambda item: Path(item[1].name).name):
        if picture.track:
            tracks.setdefault(picture.track, []).append(position)
    faces = FoundPoints(
        names,
        np.stack([found[name] for name in names]),
        np.stack([picture.points for picture in pictures]),
        [picture.person for picture in pictures],
        tracks,
    )
    for norm in NORMS:
        if not (faces.lengths(norm) > 0).all():
            name = names[int(np.argmin(faces.lengths(norm)))]
            raise UserError(f"{truth}: {name}: true points that should lie apart are at one place: no {norm} error")
    return faces, pictures
