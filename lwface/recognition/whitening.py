"""What differs between images of one person made small in the same way everywhere, by a map inside the last layer.

Within-class covariance normalisation (Hatch, Kajarekar and Stolcke, "Within-class covariance normalization for
SVM-based speaker recognition", Interspeech 2006): features are multiplied by a root of the inverse of the scatter
within people, so that a direction in which one person's images differ much counts little in a cosine. The map is
linear and goes into the weights of the embedding: the model has the same layers, FLOPs and size as before.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.features.embedder import Embedder
from lwface.formats.face_records import FaceRecords
from lwface.models.card import card_path, read_card, write_card
from lwface.models.names import model_file, parse_model
from lwface.models.store import load_model, save_model
from lwface.networks import FaceNetwork
from lwface.networks.layers import BatchNorm
from lwface.recognition.dataset import FaceDataset

AT_ONCE = 64  # images
LEAST = 2  # images of a person who says anything of the scatter within


class Whitening(NamedTuple):
    """``(x - mean) @ matrix`` of features x (N, D)."""

    mean: NDArray[np.float64]  # (D,)
    matrix: NDArray[np.float64]  # (D, D)


def within_people(features: NDArray[np.float32], labels: NDArray[np.int64], shrink: float) -> Whitening:
    """The map that makes the scatter within people the identity, times its mean before.

    Args:
        features: (N, D), not normalised.
        labels: (N,) who each row is of; people with one row are left out.
        shrink: share of a sphere of the same size in the scatter, 0 to 1; 1 maps nothing but the mean.

    Raises:
        UserError: the rows say nothing of all directions.
    """
    _, people, counts = np.unique(labels, return_inverse=True, return_counts=True)
    several = counts[people] >= LEAST
    rows, people = features[several].astype(np.float64), people[several]
    width = features.shape[1]
    if len(rows) - len(np.unique(people)) < width:
        raise UserError(
            f"{len(rows)} images of {len(np.unique(people))} people with two or more: too few for features of {width} "
            "numbers: take more images"
        )
    sums = np.zeros((len(counts), width))
    np.add.at(sums, people, rows)
    apart = rows - (sums / np.maximum(counts, 1)[:, None])[people]
    scatter = apart.T @ apart / len(rows)
    size = float(np.trace(scatter)) / width
    mixed = (1 - shrink) * scatter + shrink * size * np.eye(width)
    return Whitening(features.mean(axis=0, dtype=np.float64), np.linalg.cholesky(np.linalg.inv(mixed)) * size**0.5)


@torch.no_grad()
def whiten(network: FaceNetwork, by: Whitening) -> None:
    """Put the map into the last layers of ``network``, a linear one and, in most networks, a batch norm.

    Raises:
        UserError: the embedding does not come out of a linear layer.
    """
    layers = {path.rpartition(".")[2]: module for path, module in network.named_modules()}
    norm, linear = layers.get("fc1"), layers.get("pre_fc1")
    if isinstance(norm, nn.Linear):
        norm, linear = None, norm
    if not isinstance(linear, nn.Linear) or not (norm is None or isinstance(norm, BatchNorm)):
        raise UserError("the embedding of this network does not come out of a linear layer: it cannot be mapped there")
    weight, bias = linear.weight.double(), linear.bias.double()
    if norm is not None:
        factor = (norm.running_var.double() + norm.eps).rsqrt() * norm.weight.double()
        weight, bias = factor[:, None] * weight, factor * (bias - norm.running_mean.double()) + norm.bias.double()
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1.0)
        norm.bias.zero_()
    matrix = torch.from_numpy(by.matrix).to(weight)
    linear.weight.copy_(matrix.T @ weight)
    linear.bias.copy_((bias - torch.from_numpy(by.mean).to(bias)) @ matrix)


def whiten_model(model: str, data: Path, images: int, shrink: float, output: str) -> None:
    """Fit the map on images of ``data`` and their mirrors, and write the model with it as ``output``.

    Args:
        images: how many at most, those of the first people.

    Raises:
        UserError: no face network of this project, images of another size, or too few.
    """
    network, config = load_model(model)
    if not isinstance(network, FaceNetwork):
        raise UserError(f"{model}: no face network that was trained here")
    records = FaceRecords(data)
    faces = FaceDataset(records, image_size=tuple(config["image_shape"][:2]))
    labels = faces.labels()
    chosen = np.argsort(labels, kind="stable")[:images]
    embedder = Embedder(network, device=torch.device("cpu"), batch_size=AT_ONCE)
    parts = progress(np.split(chosen, range(AT_ONCE, len(chosen), AT_ONCE)), label="features", unit="batch")
    found = [embedder.embed(faces[part].images.numpy(), flip=True) for part in parts]
    by = within_people(np.concatenate(found) / 2, labels[chosen], shrink)  # of an image's and its mirror's the mean
    whiten(network, by)
    prefix, epoch = parse_model(output)
    told = {"whitened_by": f"{len(chosen)} images of {data.name}, shrink {shrink:g}"}
    file = save_model(prefix, epoch, network, {**config, **told})
    if card_path(model_file(model)).is_file():
        write_card(file, {**read_card(model), **told})
    print(f"{len(chosen)} images of {len(np.unique(labels[chosen]))} people; written: {file}")
