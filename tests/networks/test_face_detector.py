"""The network of the detector: places, decoding, folding, size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lwface.networks.face_detector import NUMBERS, STRIDES, FaceDetector, decoded, folded, places_of


def test_places_are_the_middles_of_cells() -> None:
    middles, strides = places_of(64, 96)
    expected = [
        (column * stride + (stride - 1) / 2, row * stride + (stride - 1) / 2, stride)
        for stride in STRIDES
        for row in range(64 // stride)
        for column in range(96 // stride)
    ]
    np.testing.assert_array_equal(torch.cat((middles, strides[:, None]), 1), expected)


def test_decoding_is_that_of_a_loop() -> None:
    generator = np.random.default_rng(0)
    middles, strides = places_of(32, 64)
    numbers = generator.normal(0, 1, (2, len(strides), NUMBERS)).astype(np.float32)
    found = decoded(torch.from_numpy(numbers), middles, strides)
    for picture in range(2):
        for place, (middle, stride) in enumerate(zip(middles.numpy(), strides.numpy(), strict=True)):
            row = numbers[picture, place]
            left, top, right, bottom = np.exp(row[1:5]) * stride
            box = middle[0] - left, middle[1] - top, middle[0] + right, middle[1] + bottom
            np.testing.assert_allclose(found.boxes[picture, place], box, rtol=1e-5, atol=1e-4)
            points = middle + row[5:].reshape(5, 2) * stride
            np.testing.assert_allclose(found.points[picture, place], points, rtol=1e-5, atol=1e-4)
            assert float(found.logits[picture, place]) == row[0]


@pytest.fixture(scope="module")
def network() -> FaceDetector:
    """With running statistics that are not those it began with."""
    torch.manual_seed(1)
    network = FaceDetector()
    for _ in range(3):
        network(torch.randint(0, 256, (2, 3, 64, 64)))
    return network


def test_folding_changes_no_answer(network: FaceDetector) -> None:
    images = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)
    with torch.inference_mode():
        expected = network.eval()(images)
    copy = FaceDetector()
    copy.load_state_dict(network.state_dict())
    with torch.inference_mode():
        found = folded(copy)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in copy.modules())


def test_every_parameter_learns_and_all_fits_into_1_5_megabytes(network: FaceDetector) -> None:
    network.train()
    numbers = network(torch.randint(0, 256, (2, 3, 64, 64)))
    assert numbers.shape == (2, 64 + 16 + 4, NUMBERS)
    numbers.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert sum(p.numel() for p in network.state_dict().values()) * 2 <= 1_500_000  # as float16, which ships
