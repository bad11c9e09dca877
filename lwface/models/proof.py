"""Whether a network gives the embeddings of the file that its weights are from: both run on a few images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lwface.base.evaluating import evaluating
from lwface.networks.base import IMAGE_SIZE

ENOUGH = 0.999  # a cosine below it is no rounding
SAME = 1e-4  # two embeddings that differ by less of their norm tell nothing by their difference


def probe_images() -> Tensor:
    """(4, 3, 112, 112) float, whole numbers 0..255: two of noise, two smooth ones of other colours and shapes."""
    noise = torch.randint(0, 256, (2, 3, IMAGE_SIZE, IMAGE_SIZE), generator=torch.Generator().manual_seed(0)).float()
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, IMAGE_SIZE)] * 2, indexing="ij")
    faces = []
    for width, light, colour in ((0.6, 0.5, (225.0, 165.0, 130.0)), (0.8, -0.4, (90.0, 120.0, 200.0))):
        oval = torch.sigmoid(12 * (1 - (x / width) ** 2 - y**2)) * (1 + light * x) / 1.5
        dark = sum(torch.exp(-60 * ((x - at) ** 2 + (y + 0.25) ** 2)) for at in (-0.3 * width, 0.3 * width))
        faces.append(torch.stack([(value * oval * (1 - 0.8 * dark) + 20).clamp(0, 255) for value in colour]))
    return torch.cat([noise, torch.stack(faces).round()])


def worst_cosine(network: nn.Module, reference: nn.Module) -> float:
    """The smallest cosine between the embeddings of two networks, and between the differences of two images'.

    The differences count because networks with a large bias give all images nearly the same embedding.
    """
    images = probe_images()
    with evaluating(network), evaluating(reference), torch.inference_mode():
        ours, theirs = network(images).double(), reference(images).double()
    if ours.shape != theirs.shape or not (ours.isfinite().all() and theirs.isfinite().all()):
        return -1.0
    worst = F.cosine_similarity(ours, theirs).min()
    apart = theirs - theirs.roll(1, 0)
    telling = apart.norm(dim=1) > SAME * theirs.norm(dim=1)
    if telling.any():
        worst = torch.minimum(worst, F.cosine_similarity(ours - ours.roll(1, 0), apart)[telling].min())
    return float(worst)
