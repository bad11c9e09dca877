"""How a csv of landmarks is read, and what shows that it was read wrongly: before a job begins, and face by face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.image import image_size
from lwface.formats.landmark_fit import FILE_SHARE, MAX_TURN, Fit, best_upright_order, face_points, fit
from lwface.formats.landmark_order import DLIB5, MAX_RESIDUAL, LandmarkOrder, landmark_order, order_for
from lwface.formats.orientation import HEADER_BYTES, UPRIGHT, orientation

SAMPLE = 300  # faces by whose median a file is judged
FEW = 5  # faces that may be anywhere in their pictures
_BETTER = 0.95  # of the median residual: the other order fits better, not just as its mirror image
_SHARES = "--landmarks are pixels: multiply x by the width of each picture and y by its height"


@dataclass(frozen=True)
class LandmarkReading:
    """What the numbers of a csv mean.

    Attributes:
        order: of the points; None: ours, as nothing was said about it.
        stored: they are in the pixels as stored, before the turn that EXIF asks for.
        max_residual: of a face that is taken, in crop pixels.
    """

    order: LandmarkOrder | None = None
    stored: bool = False
    max_residual: float = MAX_RESIDUAL

    def face(self, points: np.ndarray, turned: int, size: tuple[int, int]) -> np.ndarray:
        """The points ``(5 or 3, 2)`` in our order of a row ``(5 or 68, 2)``, in the picture shown of ``size``."""
        tag = turned if self.stored else UPRIGHT
        return face_points(points[None], self.order or LandmarkOrder(), tag, size)[0]

    def fault(self, points: np.ndarray, turned: int, size: tuple[int, int]) -> str | None:
        """Why a row cannot be of a face in the picture of ``size`` (height, width); None when it can.

        ``turned`` is the picture's EXIF orientation.
        """
        if not np.ptp(points, axis=0).any():
            return "its points are all at one place"
        if np.abs(points).max() <= 1:
            return "its points are from -1 to 1, no pixels"
        seen = self._fault_of(self.face(points, turned, size), size)
        if turned != UPRIGHT and (seen or self._turn(points, turned, size) > MAX_TURN):
            other = replace(self, stored=not self.stored)
            fits = other._fault_of(other.face(points, turned, size), size) is None
            if fits and other._turn(points, turned, size) <= MAX_TURN:
                return f"its points fit with --landmark-pixels {other.pixels}, before or after the turn of EXIF"
        return seen

    @property
    def pixels(self) -> str:
        """How the flag calls it."""
        return "stored" if self.stored else "shown"

    def _turn(self, points: np.ndarray, turned: int, size: tuple[int, int]) -> float:
        return float(fit(self.face(points, turned, size)[None]).turn[0])

    def _fault_of(self, face: np.ndarray, size: tuple[int, int]) -> str | None:
        outside = ((face < -0.5) | (face > [size[1] - 0.5, size[0] - 0.5])).any(axis=1)
        if outside.sum() > 1:
            return "its points lie outside the picture"
        residual = fit(face[None]).residual[0]
        if np.isfinite(residual) and residual > self.max_residual:
            return f"its points do not fit a face: more than {self.max_residual:g} pixels off (--max-residual)"
        return None


def landmark_reading(order: str | None, pixels: str, max_residual: float) -> LandmarkReading:
    """The reading by the values of the flags; :class:`UserError` for an order that is not known."""
    return LandmarkReading(landmark_order(order) if order else None, pixels == "stored", max_residual)


def check_landmarks(
    table: PathLike, root: PathLike, landmarks: dict[str, np.ndarray], names: Sequence[str], reading: LandmarkReading
) -> None:
    """:class:`UserError` where the whole csv ``table`` cannot be right for the images ``names`` below ``root``."""
    known = _sample(table, root, landmarks, names)
    rows = np.stack([landmarks[name] for name in known])
    order = reading.order or LandmarkOrder()
    order_for(order, rows.shape[1])
    if np.median(np.abs(rows).max(axis=(1, 2))) <= 1:
        raise UserError(f"{table}: its coordinates are from {rows.min():g} to {rows.max():g}; {_SHARES}")
    heads = [tag_and_size(Path(root) / name) for name in known]
    tags = [tag for tag, _ in heads]
    residual, turn = _fit(rows, tags, reading).medians()
    limit = FILE_SHARE * reading.max_residual
    best = best_upright_order(rows)
    better = best is not None and best[0] != order and best[1] < _BETTER * residual
    doubtful = turn > MAX_TURN or order.columns == DLIB5  # three points fit too much
    if residual <= limit and not (better and doubtful) and not (turn > MAX_TURN and reading.order is None):
        if reading.order is None:
            _check_places(table, rows, heads, reading)
        return
    what = f"{table}: read as {order}, {len(rows)} faces have a median residual of {residual:.1f} pixels"
    what += f" (up to {limit:.1f} can be right) and are turned by {turn:.0f} degrees"
    other = replace(reading, stored=not reading.stored)
    other_residual, other_turn = _fit(rows, tags, other).medians()
    if set(tags) != {UPRIGHT} and other_residual <= limit and other_turn <= MAX_TURN:
        remedy = f"under --landmark-pixels {other.pixels} it is {other_residual:.1f} and they are upright"
    else:
        remedy = _remedy(rows, order, residual, limit)
    raise UserError(f"{what}; {remedy}")


def _sample(table: PathLike, root: PathLike, landmarks: dict[str, np.ndarray], names: Sequence[str]) -> list[str]:
    """Up to :data:`SAMPLE` names of images that have points, evenly spread."""
    known = [name for name in names if name in landmarks]
    if not known:
        raise no_name_fits(table, root, list(landmarks), names)
    known = [name for name in known if np.ptp(landmarks[name], axis=0).any()]  # else: a face that was not found
    if not known:
        raise UserError(f"{table}: the points of each face are all at one place: no alignment follows from them")
    return [known[i] for i in np.unique(np.linspace(0, len(known) - 1, SAMPLE).astype(int))]


def _check_places(
    table: PathLike, rows: np.ndarray, heads: Sequence[tuple[int, tuple[int, int] | None]], reading: LandmarkReading
) -> None:
    """:class:`UserError` where the faces crowd in the upper left quarter: the points are of smaller copies.

    Of 3387 real frames 0.2 % have all their points there.
    """
    ends = [
        reading.face(row, tag, size).max(axis=0) / size[::-1]
        for row, (tag, size) in zip(rows, heads, strict=True)
        if size is not None
    ]
    if len(ends) >= FEW and (np.median(ends, axis=0) < 0.5).all():
        raise UserError(
            f"{table}: more than half of {len(ends)} faces lie in the upper left quarter of their pictures: the points "
            "may be of smaller copies, or percent; where they are right, say --landmark-order arcface"
        )


def _remedy(rows: np.ndarray, order: LandmarkOrder, residual: float, limit: float) -> str:
    """What to do about a file that does not fit."""
    best, below = best_upright_order(rows), best_upright_order(rows * [1, -1])
    least = best[1] if best else np.inf
    ways = []
    if best is not None and best[0] != order and least <= limit and least < 1.05 * residual:
        ways.append(f"under --landmark-order {best[0]} the median residual is {least:.1f} and they are upright")
    if below is not None and below[1] <= min(limit, 1.05 * residual, 1.25 * least):
        if below[1] < 0.8 * least:
            ways.clear()
        ways.append(
            "if y is counted from the bottom of the picture, subtract it from the height: "
            f"then it is {below[1]:.1f} under --landmark-order {below[0]}"
        )
    if residual <= limit:
        ways.append(f"if the pictures do lie so, say --landmark-order {order}")
    return "; ".join(ways) or (
        "no known order fits: the points are of other pictures, of other sizes of them, or of other parts of the face"
        " (only for faces in profile: --max-residual 21)"
    )


def _fit(rows: np.ndarray, tags: Sequence[int], reading: LandmarkReading) -> Fit:
    faces = np.stack([reading.face(row, tag, (1, 1)) for row, tag in zip(rows, tags, strict=True)])
    return fit(faces)  # where the picture's edges are shifts the points and changes no fit


def tag_and_size(path: Path) -> tuple[int, tuple[int, int] | None]:
    """The EXIF orientation, and the (height, width) of the picture shown where the file's header says it."""
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    tag, size = orientation(head), image_size(head)
    return tag, size[::-1] if size and tag >= 5 else size


def no_name_fits(table: PathLike, root: PathLike, landmarks: Sequence[str], names: Sequence[str]) -> UserError:
    """The error for a csv of which no name in ``landmarks`` is one of the images ``names`` below ``root``."""
    if not landmarks or not names:
        return UserError(f"{table}: {len(landmarks)} rows for {len(names)} images in {root}: nothing to align")
    return UserError(
        f"{table}: none of its {len(landmarks)} names (such as {landmarks[0]!r}) is one of the {len(names)} "
        f"images in {root} (such as {names[0]!r}); a name is the path below that folder, with its ending"
    )
