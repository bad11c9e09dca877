"""How a csv of landmarks is read, and what shows that it was read wrongly: before a job begins, and face by face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.formats.landmark_fit import FILE_SHARE, MAX_TURN, Fit, best_upright_order, face_points, fit
from lwface.formats.landmark_order import DLIB5, MAX_RESIDUAL, LandmarkOrder, landmark_order, order_for
from lwface.formats.orientation import HEADER_BYTES, UPRIGHT, orientation

SAMPLE = 300  # faces by whose median a file is judged
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
    known = [name for name in names if name in landmarks]
    if not known:
        raise _no_name_fits(table, root, landmarks, names)
    known = [name for name in known if np.ptp(landmarks[name], axis=0).any()]  # else: a face that was not found
    if not known:
        raise UserError(f"{table}: the points of each face are all at one place: no alignment follows from them")
    known = [known[i] for i in np.unique(np.linspace(0, len(known) - 1, SAMPLE).astype(int))]
    rows = np.stack([landmarks[name] for name in known])
    order = reading.order or LandmarkOrder()
    order_for(order, rows.shape[1])
    if np.median(np.abs(rows).max(axis=(1, 2))) <= 1:
        raise UserError(f"{table}: its coordinates are from {rows.min():g} to {rows.max():g}; {_SHARES}")
    tags = [_tag(Path(root) / name) for name in known]
    found = _fit(rows, tags, reading)
    residual, turn = found.medians()
    limit = FILE_SHARE * reading.max_residual
    best = best_upright_order(rows)
    better = best is not None and best[0] != order and best[1] < _BETTER * residual
    doubtful = turn > MAX_TURN or order.columns == DLIB5  # three points fit too much
    if residual <= limit and not (better and doubtful) and not (turn > MAX_TURN and reading.order is None):
        return
    what = f"{table}: read as {order}, {len(rows)} faces have a median residual of {residual:.1f} pixels"
    what += f" (up to {limit:.1f} can be right) and are turned by {turn:.0f} degrees"
    other = replace(reading, stored=not reading.stored)
    other_residual, other_turn = _fit(rows, tags, other).medians()
    if set(tags) != {UPRIGHT} and other_residual <= limit and other_turn <= MAX_TURN:
        raise UserError(
            f"{what}; under --landmark-pixels {other.pixels} it is {other_residual:.1f} and they are upright"
        )
    raise UserError(f"{what}; {_remedy(best, order, residual, limit)}")


def _remedy(best: tuple[LandmarkOrder, float] | None, order: LandmarkOrder, residual: float, limit: float) -> str:
    """What to do about a file that does not fit."""
    if best is not None and best[0] != order and best[1] <= limit:
        text = f"under --landmark-order {best[0]} the median residual is {best[1]:.1f} and they are upright"
        return text if residual > limit else f"{text}; if the pictures do lie so, say --landmark-order {order}"
    if residual <= limit:
        return f"if the pictures do lie so, say --landmark-order {order}"
    return (
        "no known order fits: the points are of other pictures, of other sizes of them, or of other parts of the face"
        " (only for faces in profile: --max-residual 21)"
    )


def _fit(rows: np.ndarray, tags: Sequence[int], reading: LandmarkReading) -> Fit:
    faces = np.stack([reading.face(row, tag, (1, 1)) for row, tag in zip(rows, tags, strict=True)])
    return fit(faces)  # where the picture's edges are shifts the points and changes no fit


def _tag(path: Path) -> int:
    with open(path, "rb") as file:
        return orientation(file.read(HEADER_BYTES))


def _no_name_fits(table: PathLike, root: PathLike, landmarks: dict[str, np.ndarray], names: Sequence[str]) -> UserError:
    if not landmarks or not names:
        return UserError(f"{table}: {len(landmarks)} rows for {len(names)} images in {root}: nothing to align")
    return UserError(
        f"{table}: none of its {len(landmarks)} names (such as {next(iter(landmarks))!r}) is one of the {len(names)} "
        f"images in {root} (such as {names[0]!r}); a name is the path below that folder, with its ending"
    )
