"""How a frame of the database is moved onto the query's face, and where its landmarks are then.

A :class:`~lwface.montage.places.Move` says all of it, so that a picture can be drawn again from its source and held
against what was shown: the honest cost believes nothing else.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.montage.places import Move, Points, unbent_places

GRID = 4  # pixels between the places where the bending is worked out; between them it is linear
STIFFNESS = 1e-4  # of the thin plate: landmarks that lie on each other must not tear it
_ROUNDS, _NEAR = 40, 0.01  # of turning a bent place back, and when it is there, pixels


def draw(image: NDArray[np.uint8], points: Points, move: Move, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The source (h, w, 3), with landmarks ``points`` (68, 2), as an output frame of ``size`` (height, width)."""
    return _drawn(image, move, size, _plate_of(points, move, size))


def moved_points(points: Points, move: Move, source_size: tuple[int, int], size: tuple[int, int]) -> Points:
    """Where the source's landmarks (68, 2) are in the output: where :func:`draw` puts the pixels that they mark."""
    return _places(points, move, source_size, size, _plate_of(points, move, size))


def placed_frame(
    image: NDArray[np.uint8], points: Points, move: Move, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], Points]:
    """:func:`draw` and :func:`moved_points`, which share most of the work."""
    plate = _plate_of(points, move, size)
    return _drawn(image, move, size, plate), _places(points, move, (image.shape[0], image.shape[1]), size, plate)


_Plate = NDArray[np.float32] | None


def _plate_of(points: Points, move: Move, size: tuple[int, int]) -> _Plate:
    if move.matrix is None or move.bend is None:
        return None
    return _plate(unbent_places(points, move, size, size), move.bend, size)


def _drawn(image: NDArray[np.uint8], move: Move, size: tuple[int, int], plate: _Plate) -> NDArray[np.uint8]:
    height, width = size
    if move.matrix is None:
        shown = cv2.resize(image, (width, height))
    elif plate is None:
        shown = cv2.warpAffine(image, move.matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=_BORDER)
    else:
        back = cv2.invertAffineTransform(move.matrix).astype(np.float32)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        bent = _bent(plate, x, y)
        x, y = x + bent[..., 0], y + bent[..., 1]
        source = [row[0] * x + row[1] * y + row[2] for row in back]
        shown = cv2.remap(image, source[0], source[1], cv2.INTER_LINEAR, borderMode=_BORDER)
    found = np.asarray(shown, np.uint8)
    return found if move.colour is None else coloured(found, move.colour)


_BORDER = cv2.BORDER_REPLICATE  # what lies beside the source: a mirrored head would grow out of the head


def _places(points: Points, move: Move, source_size: tuple[int, int], size: tuple[int, int], plate: _Plate) -> Points:
    flat = unbent_places(points, move, source_size, size)
    if plate is None or move.bend is None:
        return flat
    # An output place q shows q + d(q) of the flat picture: the place that shows a landmark is sought.
    place = move.bend.copy()
    best, off = place, np.full(len(place), np.inf)
    for _ in range(_ROUNDS):
        x, y = place[:, 0].astype(np.float32), place[:, 1].astype(np.float32)
        missed = flat - place - _bent(plate, x[None], y[None])[0]
        length = np.hypot(*missed.T)
        best = np.where((length < off)[:, None], place, best)
        off = np.minimum(off, length)
        if off.max() < _NEAR:
            break
        place = place + 0.7 * missed
    return best


def _plate(flat: Points, wanted: Points, size: tuple[int, int]) -> NDArray[np.float32]:
    """What to add to an output place to find it in the flat picture, on a grid (rows, columns, 2) of :data:`GRID`."""
    height, width = size
    sides = [(x * (width - 1) / 2, y * (height - 1) / 2) for x in range(3) for y in range(3) if (x, y) != (1, 1)]
    known = np.concatenate([wanted, sides])
    value = np.concatenate([flat - wanted, np.zeros((len(sides), 2))])
    scale = float(max(size))
    known = known / scale
    count = len(known)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(known, known) + STIFFNESS * np.eye(count)
    system[:count, count:] = np.column_stack([np.ones(count), known])
    system[count:, :count] = system[:count, count:].T
    weight = np.linalg.solve(system, np.concatenate([value, np.zeros((3, 2))]))
    rows, columns = -(-height // GRID) + 1, -(-width // GRID) + 1
    y, x = np.mgrid[:rows, :columns] * (GRID / scale)
    where = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    flat_part = np.column_stack([np.ones(len(where)), where]) @ weight[count:]
    grid = _kernel(where, known.astype(np.float32)) @ weight[:count].astype(np.float32) + flat_part
    return np.asarray(grid, np.float32).reshape(rows, columns, 2)


def _kernel(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    """``r**2 * log(r**2)`` of all distances."""
    squares = (a[:, 0, None] - b[:, 0]) ** 2 + (a[:, 1, None] - b[:, 1]) ** 2
    return np.asarray(squares * np.log(np.maximum(squares, 1e-12)))


def _bent(grid: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """The grid at output places ``x`` and ``y`` (H, W), linear between its nodes."""
    found = cv2.remap(grid, x / GRID, y / GRID, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32).reshape(*x.shape, 2)


def similarity(source: Points, target: Points) -> Points:
    """The (2, 3) of turn, scale and shift that brings ``source`` (K, 2) nearest to ``target``, by least squares."""
    a, b = source @ [1, 1j], target @ [1, 1j]
    centre_a, centre_b = a.mean(), b.mean()
    spread = np.vdot(a - centre_a, a - centre_a).real
    factor = np.vdot(a - centre_a, b - centre_b) / spread if spread > 0 else 1.0
    shift = centre_b - factor * centre_a
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def colour_match(image: NDArray[np.uint8], there: Points, like: NDArray[np.uint8], asked: Points) -> Points:
    """(2, 3): factor and offset that give the face of ``image`` the mean and the contrast of that of ``like``.

    The faces are the boxes around the landmarks ``there`` and ``asked`` (68, 2). A factor stays between 0.5 and 2.
    """
    own, other = _face_pixels(image, there), _face_pixels(like, asked)
    factor = np.clip(other.std(axis=0) / np.maximum(own.std(axis=0), 1.0), 0.5, 2.0)
    return np.stack([factor, other.mean(axis=0) - factor * own.mean(axis=0)])


def _face_pixels(image: NDArray[np.uint8], points: Points) -> NDArray[np.uint8]:
    """The pixels (N, 3) of the box around the points, as far as it lies in the image; at least one."""
    height, width = image.shape[:2]
    left, top = np.clip(points.min(axis=0), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int) + 1, (left + 1, top + 1), (width, height))
    return image[top:bottom, left:right].reshape(-1, 3)


def coloured(image: NDArray[np.uint8], colour: Points) -> NDArray[np.uint8]:
    """The image with a factor and an offset on each channel, ``colour`` (2, 3)."""
    levels = np.arange(256)[:, None] * colour[0] + colour[1]
    return np.asarray(cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]), np.uint8)
