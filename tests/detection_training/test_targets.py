"""Which place learns which face, against loops written from the rule."""

import numpy as np
import torch

from lwface.detection_training.targets import FACE, INNER, LEFT_OUT, NEAR, NOBODY, REACH, UNCLEAR, WIDTH, owners
from lwface.networks.face_detector import places_of


def naive(rows: np.ndarray, place: np.ndarray, stride: float) -> int:
    """The owner of one place, for faces (M, 15)."""
    best, size_of_best, unclear = NOBODY, np.inf, False
    for number, row in enumerate(rows):
        left, top, right, bottom = row[1:5]
        if row[0] == UNCLEAR and left < place[0] < right and top < place[1] < bottom:
            unclear = True
        if row[0] != FACE:
            continue
        width, height = right - left, bottom - top
        size = np.sqrt(width * height)
        near_x = abs(place[0] - (left + right) / 2) <= max(INNER * width, NEAR * stride)
        near_y = abs(place[1] - (top + bottom) / 2) <= max(INNER * height, NEAR * stride)
        low, high = REACH[int(stride)]
        if near_x and near_y and low * stride <= size < high * stride and size < size_of_best:
            best, size_of_best = number, size
    return LEFT_OUT if best == NOBODY and unclear else best


def faces(generator: np.random.Generator, count: int) -> np.ndarray:
    """Rows of faces of all sizes and states in a picture of 96 pixels."""
    rows = np.zeros((count, WIDTH), np.float32)
    rows[:, 0] = generator.integers(0, 3, count)
    middle, size = generator.uniform(-10, 106, (count, 2)), np.exp(generator.uniform(1.5, 5, (count, 1)))
    half = size * generator.uniform(0.4, 0.6, (count, 2))
    rows[:, 1:5] = np.concatenate((middle - half, middle + half), axis=1)
    return rows


def test_owners_are_those_of_a_loop() -> None:
    generator = np.random.default_rng(3)
    rows = np.stack([faces(generator, 6) for _ in range(12)])
    middles, strides = places_of(96, 64)
    found = owners(torch.from_numpy(rows), middles, strides)
    expected = [
        [naive(picture, place, float(stride)) for place, stride in zip(middles.numpy(), strides, strict=True)]
        for picture in rows
    ]
    np.testing.assert_array_equal(found.numpy(), expected)
    assert {LEFT_OUT, NOBODY, 0} < set(found.unique().tolist())


def test_every_size_has_a_map() -> None:
    """A face of any size from 10 pixels to 400 in the middle of a picture is learnt somewhere."""
    middles, strides = places_of(448, 448)
    for size in np.exp(np.linspace(np.log(10), np.log(400), 60)):
        for shift in (0.0, 3.0, 7.5):
            row = np.zeros((1, 1, WIDTH), np.float32)
            row[0, 0, :5] = (FACE, *(200 + shift - size / 2,) * 2, *(200 + shift + size / 2,) * 2)
            assert (owners(torch.from_numpy(row), middles, strides) == 0).any(), (size, shift)
