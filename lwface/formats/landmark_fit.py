"""How well landmarks fit a face: the residual of the similarity onto the template, and how far it turns.

The residual tells points in another order from those of a face, except where the other order is a face turned: an
upright picture has upright faces, so the turn tells the rest. Everything here is in arrays over many faces.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np

from lwface.formats.alignment import ARCFACE_TEMPLATE, EYES_AND_NOSE_BASE
from lwface.formats.landmark_order import DLIB5, NAMED, LandmarkOrder
from lwface.formats.orientation import is_mirrored, shown_points

FILE_SHARE = 0.75  # of the residual of a face: what the median of a file may be
MAX_TURN = 45.0  # degrees; real frames come to 28

# Three points leave two degrees of freedom to disagree in, of six coordinates; five leave six of ten.
_AS_OF_FIVE = np.sqrt((3 / 2) / (5 / 6))
_UNNAMED = 2.0  # an order that no tool is known for must fit so much better to be offered
_MIRROR = {3: (1, 0, 2), 5: (1, 0, 2, 4, 3)}


class Fit(NamedTuple):
    """``residual (N,)`` in crop pixels, root mean square over the points; ``turn (N,)`` in degrees, 0 to 180."""

    residual: np.ndarray
    turn: np.ndarray

    def medians(self) -> tuple[float, float]:
        """Of the residual and of the turn."""
        return float(np.median(self.residual)), float(np.median(self.turn))


def fit(points: np.ndarray) -> Fit:
    """The fit of ``points (N, 5, 2)`` in our order, or ``(N, 3, 2)`` of eyes and nose base, to the template.

    The residual of three points is scaled to what five would have. Points all at one place have an infinite one.
    """
    template = (ARCFACE_TEMPLATE if points.shape[1] == 5 else EYES_AND_NOSE_BASE).astype(np.float64)
    face, wanted = points[..., 0] + 1j * points[..., 1], template[:, 0] + 1j * template[:, 1]
    face, wanted = face - face.mean(axis=1, keepdims=True), wanted - wanted.mean()
    power = (np.abs(face) ** 2).sum(axis=1)
    common = face.conj() @ wanted
    with np.errstate(divide="ignore", invalid="ignore"):
        left = (np.abs(wanted) ** 2).sum() - np.abs(common) ** 2 / power
    residual = np.sqrt(np.maximum(left, 0) / len(wanted)) * (1.0 if len(wanted) == 5 else _AS_OF_FIVE)
    return Fit(np.where(power > 0, residual, np.inf), np.abs(np.degrees(np.angle(common))))


def face_points(
    points: np.ndarray, order: LandmarkOrder, turned: int = 1, size: tuple[int, int] = (1, 1)
) -> np.ndarray:
    """``(N, 5, 2)`` in our order, or ``(N, 3, 2)`` for dlib5, of rows ``(N, 5 or 68, 2)`` of a csv.

    The rows of pixels as they are stored become those of the picture shown, of ``size`` (height, width), by its EXIF
    orientation ``turned``.
    """
    found = points[..., ::-1] if order.y_first else points
    if points.shape[1] == 68:
        eyes = found[:, 36:42].mean(axis=1), found[:, 42:48].mean(axis=1)
        found = np.stack([*eyes, found[:, 30], found[:, 48], found[:, 54]], axis=1)
    if order.columns == DLIB5:
        found = np.stack([found[:, 2:4].mean(axis=1), found[:, :2].mean(axis=1), found[:, 4]], axis=1)
    else:
        found = found[:, [int(column) for column in order.columns]]
    found = shown_points(found, turned, size)
    return found[:, _MIRROR[found.shape[1]]] if is_mirrored(turned) else found


def best_upright_order(points: np.ndarray) -> tuple[LandmarkOrder, float] | None:
    """The order under which rows ``(N, 5 or 68, 2)`` are upright faces with the least median residual, and that."""
    columns = [NAMED["arcface"], NAMED["subject"]]
    if points.shape[1] == 5:
        columns = [*map("".join, permutations("01234")), DLIB5]
    found: list[tuple[float, LandmarkOrder, float]] = []
    for order in (LandmarkOrder(text, y_first) for text in columns for y_first in (False, True)):
        residual, turn = fit(face_points(points, order)).medians()
        if turn <= MAX_TURN:
            found.append((residual * (1.0 if order.is_named else _UNNAMED), order, residual))
    if not found:
        return None
    _, order, residual = min(found, key=lambda item: item[0])
    return order, residual
