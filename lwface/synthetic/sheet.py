"""Contact sheets: many pictures on one, to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lwface.synthetic.options import USUAL, Ranges
from lwface.synthetic.render import Picture, sample_image
from lwface.synthetic.video import video


def tile(images: Iterable[NDArray[np.uint8]], columns: int, gap: int = 2) -> NDArray[np.uint8]:
    """Images of one size, row by row, ``columns`` a row, with a white gap between."""
    tiles: list[Any] = [
        cv2.copyMakeBorder(i, gap, gap, gap, gap, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for i in images
    ]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.vstack(rows)


def with_landmarks(sample: Picture) -> NDArray[np.uint8]:
    """The frame with its 68 points in green and its 5 in red."""
    image = sample.frame.copy()
    for points, colour, radius in ((sample.landmarks68, (60, 255, 60), 14), (sample.landmarks5, (255, 40, 40), 22)):
        for point in points:
            cv2.circle(image, np.rint(point * 16).astype(int).tolist(), radius, colour, -1, cv2.LINE_AA, 4)
    return image


def contact_sheet(seed: int = 0, columns: int = 8, *, difficulty: float = 1.0) -> NDArray[np.uint8]:
    """A sheet (H, W, 3) of five bands: different people, one person, its crops, points, and a video.

    The first two rows show different people; the third one person's images; the fourth landmarks; the fifth every
    fifth frame of a video. Below them are aligned crops, a row a person.
    """
    people = [sample_image(seed, i, i, difficulty=difficulty).frame for i in range(2 * columns)]
    same = [sample_image(seed, 2 * columns, j, difficulty=difficulty).frame for j in range(columns)]
    marked = [with_landmarks(sample_image(seed, 20 + i, 3, difficulty=difficulty)) for i in range(columns)]
    moving = list(video(seed, 40, 0, frames=5 * columns, difficulty=difficulty))[::5]
    frames = tile([*people, *same, *marked, *(s.frame for s in moving)], columns)
    across = 2 * columns - 2
    crops = tile(
        [sample_image(seed, 60 + i, j, difficulty=difficulty).crop for i in range(4) for j in range(across)], across
    )
    scale = frames.shape[1] / crops.shape[1]
    fitted = cv2.resize(crops, (frames.shape[1], round(crops.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    return np.vstack((frames, fitted))


def look_sheet(seed: int = 0, columns: int = 12, *, difficulty: float = 0.4) -> NDArray[np.uint8]:
    """Crops (H, W, 3) of the same pictures in six rows: as usual, with more of each range, and in old videos.

    First people and light as usual; the same with other heads, skin and looks; with other light and backgrounds too;
    half of them in old videos. Then, in the last two rows, one person each.
    """
    people = Ranges(form=1, looks=1, skin=1)
    places = replace(people, lights=1, background=1)
    rows = [
        [sample_image(seed, i, i, difficulty=difficulty, ranges=ranges).crop for i in range(columns)]
        for ranges in (USUAL, people, places, replace(places, video=0.7))
    ]
    mixed = replace(places, video=0.3)
    rows += [
        [sample_image(seed, columns + who, i, difficulty=difficulty, ranges=mixed).crop for i in range(columns)]
        for who in range(2)
    ]
    return tile([crop for row in rows for crop in row], columns, 1)
