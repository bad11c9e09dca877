"""The loss of the detector against naive formulas, and what must not change it."""

import math

import numpy as np
import pytest
import torch

from lwface.detection.base import overlap
from lwface.detection_training.losses import BOX_WEIGHT, POINT_WEIGHT, SMOOTH, detection_loss, overlaps, quality_focal
from lwface.detection_training.targets import LEFT_OUT, NOBODY, WIDTH
from lwface.networks.face_detector import Found


def boxes(generator: np.random.Generator, count: int) -> np.ndarray:
    corner = generator.uniform(0, 50, (count, 2))
    return np.concatenate((corner, corner + generator.uniform(5, 60, (count, 2))), axis=1)


def hull_share(one: np.ndarray, other: np.ndarray) -> float:
    """Of the least box around both, the share that neither covers (Rezatofighi et al. 2019)."""
    hull = np.prod(np.maximum(one[2:], other[2:]) - np.minimum(one[:2], other[:2]))
    inner = np.prod(np.clip(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0, None))
    union = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - inner
    return float((hull - union) / hull)


def test_overlaps() -> None:
    generator = np.random.default_rng(0)
    one, other = boxes(generator, 200), boxes(generator, 200)
    iou, generalised = overlaps(torch.from_numpy(one), torch.from_numpy(other))
    expected = np.diag(overlap(one, other))
    np.testing.assert_allclose(iou, expected, atol=1e-12)
    lost = [hull_share(a, b) for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(generalised, expected - lost, atol=1e-12)


def focal(logit: float, quality: float) -> float:
    """Equation 2 of Li et al. 2020, number by number."""
    sure = 1 / (1 + math.exp(-logit))
    return (quality - sure) ** 2 * -((1 - quality) * math.log(1 - sure) + quality * math.log(sure))


def test_quality_focal() -> None:
    generator = np.random.default_rng(1)
    logits, quality = generator.normal(0, 3, 50), generator.uniform(0, 1, 50)
    found = quality_focal(torch.from_numpy(logits), torch.from_numpy(quality))
    np.testing.assert_allclose(found, [focal(a, b) for a, b in zip(logits, quality, strict=True)], rtol=1e-9)


def problem(generator: np.random.Generator) -> tuple[Found, torch.Tensor, torch.Tensor]:
    """Two pictures of nine places and three faces, in float64."""
    true = np.zeros((2, 3, WIDTH))
    true[..., 1:5] = boxes(generator, 6).reshape(2, 3, 4)
    true[..., 5:] = generator.uniform(0, 60, (2, 3, 10))
    said = boxes(generator, 18).reshape(2, 9, 4), generator.uniform(0, 60, (2, 9, 5, 2))
    found = Found(torch.from_numpy(generator.normal(0, 2, (2, 9))), *map(torch.from_numpy, said))
    owner = torch.tensor([[0, NOBODY, 1, 1, LEFT_OUT, NOBODY, 2, NOBODY, NOBODY], [NOBODY] * 7 + [2, LEFT_OUT]])
    return found, torch.from_numpy(true), owner


def smooth(distance: float) -> float:
    return distance**2 / (2 * SMOOTH) if abs(distance) < SMOOTH else abs(distance) - SMOOTH / 2


def test_the_whole_loss_is_that_of_a_loop() -> None:
    found, targets, owner = problem(np.random.default_rng(2))
    total, count, ious = 0.0, int((owner >= 0).sum()), []
    for picture in range(2):
        for place in range(9):
            whose, quality = int(owner[picture, place]), 0.0
            if whose >= 0:
                row, box = targets[picture, whose].numpy(), found.boxes[picture, place].numpy()
                quality = float(overlap(box[None], row[None, 1:5])[0, 0])
                ious.append(quality)
                total += BOX_WEIGHT * (1 - quality + hull_share(box, row[1:5]))
                size = math.sqrt(float(np.prod(row[3:5] - row[1:3])))
                apart = (found.points[picture, place].numpy().ravel() - row[5:]) / size
                total += POINT_WEIGHT * sum(smooth(float(value)) for value in apart)
            if whose != LEFT_OUT:
                total += focal(float(found.logits[picture, place]), quality)
    loss, overlap_sum = detection_loss(found, targets, owner)
    assert float(loss) == pytest.approx(total / count, rel=1e-9)
    assert float(overlap_sum) == pytest.approx(2 * float(np.mean(ious)))


def test_what_is_left_out_has_no_gradient_and_nobody_is_no_error() -> None:
    found, targets, owner = problem(np.random.default_rng(4))
    found.logits.requires_grad_()
    detection_loss(found, targets, owner)[0].backward()
    assert found.logits.grad is not None
    assert (found.logits.grad[owner == LEFT_OUT] == 0).all()
    assert (found.logits.grad[owner != LEFT_OUT] != 0).all()
    loss, _ = detection_loss(found, targets, torch.full_like(owner, NOBODY))
    assert loss.isfinite()
