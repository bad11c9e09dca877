"""The classifier's centres at the persons' mean embeddings: where a trained network already sees them.

With random centres the first gradients say nothing of the people, and go through the whole network; with these the loss
begins where the network is (weight imprinting: Qi, Brown and Lowe, "Low-Shot Learning with Imprinted Weights", CVPR
2018, section 3).
"""

from __future__ import annotations

from contextlib import closing

import numpy as np
import torch
from torch import Tensor, nn

from lwface.base.progress import progress
from lwface.losses import Classifier
from lwface.losses.classes import l2_normalise
from lwface.losses.classifier import WEIGHT_STD
from lwface.recognition.dataset import FaceData, to_network_input
from lwface.settings.run import Run
from lwface.training.loader import load_batches
from lwface.training.sampler import ListedBatches
from lwface.training.task import autocast

IMAGES = 32  # of a person at most, evenly spread over the person's images
ROWS = 1 << 16  # of the weight at a time


@torch.no_grad()
def start_at_means(
    network: nn.Module, classifier: Classifier, data: FaceData, run: Run, device: torch.device, *, first: int = 0
) -> tuple[int, int]:
    """Put the centre of each person with images at the mean over them, mirrored ones included; how many, of whom.

    * Where the margin is on cosines: the direction of the mean of unit embeddings, of the length that fresh centres
      have on average (``0.01 sqrt(D)``), so that rate and weight decay mean what they mean there.
    * Else, with ``mu`` the mean embedding and ``s2`` the variance about the means, of a number, over all people:
      ``w = mu / s2`` and ``b = -|mu|^2 / (2 s2)``, the linear discriminant of spheres (Hastie, Tibshirani and
      Friedman, "The Elements of Statistical Learning", section 4.3, with equal shares).
    * Of several centres a class the first: the others stay random, and so free for the images that are unlike the
      rest, which is what they are for (Deng et al., "Sub-center ArcFace", ECCV 2020, section 3.2).

    The sums are made in the weight itself, so nothing of the size of the classes is needed beside it. Random numbers
    are neither drawn nor skipped; the network keeps its mode.

    Args:
        network: on ``device``.
        classifier: there too; it holds all classes, or a shard of them.
        data: the training images.
        run: batch, loading and arithmetic.
        device: of both.
        first: the label of the data that is the classifier's label 0.

    Returns:
        Images, without their mirrors; people.
    """
    shard, cosine = classifier.shard, classifier.margin.cosine
    labels = data.labels() - first
    people = torch.from_numpy(np.unique(labels[(labels >= shard.start) & (labels < shard.stop)]) - shard.start).to(
        device
    )
    weight = classifier.weight.detach().view(len(shard), classifier.margin.centres, -1)[:, 0]  # (C, D), a view
    for rows in people.split(ROWS):
        weight[rows] = 0.0
    counts = torch.zeros(len(shard), dtype=torch.float32, device=device)
    squares = torch.zeros((), dtype=torch.float64, device=device)
    chosen = spread(labels)
    chosen = chosen[(labels[chosen] >= 0) & (labels[chosen] < shard.total)]
    batches = np.split(chosen, range(run.per_batch_size, len(chosen), run.per_batch_size))
    training = network.training
    network.eval()
    with progress(total=len(chosen), label="mean embeddings", unit="image") as bar:
        loaded = load_batches(data, ListedBatches(batches), num_workers=run.num_workers)
        with closing(loaded):  # type: ignore[type-var]  # a generator has close()
            for batch in loaded:
                images = to_network_input(batch.images.to(device))
                places = batch.targets.to(device) - first - shard.start
                here = (places >= 0) & (places < len(shard))
                for seen in (images, images.flip(3)):
                    with autocast(device, run.precision):
                        found = network(seen).float()[here]  # (N, D)
                    found = l2_normalise(found) if cosine else found
                    weight.index_add_(0, places[here], found.to(weight.dtype))
                    counts.index_add_(0, places[here], torch.ones_like(found[:, 0]))
                    squares += found.double().square().sum()
                bar.update(len(batch.images))
    network.train(training)
    if cosine:
        length = WEIGHT_STD * weight.shape[1] ** 0.5
        for rows in people.split(ROWS):
            weight[rows] = l2_normalise(weight[rows]) * length
    else:
        _discriminant(classifier, weight, people, counts, squares)
    return len(chosen), len(people)


def _discriminant(classifier: Classifier, weight: Tensor, people: Tensor, counts: Tensor, squares: Tensor) -> None:
    """From sums (C, D) of the embeddings of ``people``, their counts (C,) and the sum of all squares to w and b."""
    between = torch.zeros_like(squares)
    for rows in people.split(ROWS):
        weight[rows] /= counts[rows].clamp(min=1)[:, None]
        between += (counts[rows] * weight[rows].square().sum(dim=1)).double().sum()
    spare = (counts.sum().item() - len(people)) * weight.shape[1]  # degrees of freedom; mirrors are images of their own
    variance = max(float(squares - between) / max(spare, 1), 1e-6)
    for rows in people.split(ROWS):
        if classifier.bias is not None:
            classifier.bias.detach()[rows] = -weight[rows].square().sum(dim=1) / (2 * variance)
        weight[rows] /= variance


def spread(labels: np.ndarray, most: int = IMAGES) -> np.ndarray:
    """Positions of at most ``most`` images of each label, evenly spread over those of the label, rising."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    first = np.searchsorted(ordered, ordered)
    rank = np.arange(len(order)) - first  # of an image among its person's
    images = np.searchsorted(ordered, ordered, side="right") - first
    taken = np.minimum(images, most)
    # The k-th of n images is taken where a new multiple of n / taken begins with it.
    return np.sort(order[(rank * taken) // images != ((rank - 1) * taken) // images])
