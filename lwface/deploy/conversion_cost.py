"""What a converted model costs in recognition: its TAR and accuracy beside those of the float32 model.

Both models see the same images in the same batches, and every pair is scored exactly
(:mod:`lwface.scoring.operating_points`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

import numpy as np
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.base.files import PathLike
from lwface.base.progress import progress
from lwface.features.embedder import Embedder
from lwface.formats.file_list import read_image_list
from lwface.formats.image import read_rgb
from lwface.formats.pack_folds import folds_for
from lwface.formats.person_labels import read_labels
from lwface.formats.verification_pack import read_pack
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.operating_points import OperatingPoint, operating_points
from lwface.scoring.pack_accuracy import verify
from lwface.scoring.parameters import FOLDS

IMAGE_SIZE = (112, 112)
BATCH = 32
LOWEST_FAR = 8  # the decade at which the challenge's image tracks rank


def read_faces(folder: PathLike, names: Iterable[str]) -> np.ndarray:
    """(N, 112, 112, 3) uint8: the images ``names`` of ``folder``; :class:`UserError` at one that is not aligned."""
    images = []
    for name in names:
        image = read_rgb(f"{folder}/{name}")
        if image.shape != (*IMAGE_SIZE, 3):
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise UserError(f"{folder}/{name}: is {size}; expected an aligned face of 112x112")
        images.append(image)
    return np.stack(images)


def tar_cost(models: Mapping[str, nn.Module], folder: PathLike, labels_file: PathLike) -> str:
    """A table of TAR at FAR 1e-1, 1e-2, ... for each model, as far as the pairs of the images tell.

    The feature of an image is f(x) + f(mirrored x), as the image track has it; pairs are all pairs of images.

    Args:
        models: by name; the first is what the others are held against.
        folder: its ``filelist.txt`` lists aligned images.
        labels_file: one integer a line, who is on each.

    Raises:
        UserError: an image cannot be used, or labels and list do not fit.
    """
    names = read_image_list(folder)
    labels = read_labels(labels_file, len(names))
    embedders = {name: _embedder(model) for name, model in models.items()}
    features = {name: np.empty((len(names), e.embedding_size), np.float32) for name, e in embedders.items()}
    for start in progress(range(0, len(names), BATCH), label="images scored", unit="batch"):
        images = read_faces(folder, names[start : start + BATCH])
        for name, embedder in embedders.items():
            features[name][start : start + BATCH] = embedder.embed(images, flip=True)
    points = {}
    for name, rows in features.items():
        pairs = Grid(FeatureSet(rows, labels, f"{folder} by the {name} model"), None)
        fars = [far for far in _decades() if far * pairs.impostor_pairs >= 1] or _decades()[:1]
        points[name] = operating_points(pairs, fars)
    title = f"{folder}: {len(names)} images, {pairs.genuine_pairs} genuine and {pairs.impostor_pairs} impostor pairs"
    return "\n".join([title, *_tar_lines(points)])


def pack_cost(models: Mapping[str, nn.Module], path: PathLike) -> str:
    """One line: the ten-fold accuracy of each model on the verification pack ``path``.

    Raises:
        UserError: it is no pack, or of one kind of pairs.
    """
    pack = read_pack(path)
    folds = folds_for(pack.issame, path, FOLDS)
    images = pack.decode(IMAGE_SIZE)
    scores = {name: verify(*_embedder(model).embed_both(images), pack.issame, folds) for name, model in models.items()}
    texts = [f"{name} {score.accuracy:.5f}+-{score.std:.5f}" for name, score in scores.items()]
    first, last = (list(scores.values())[i].accuracy for i in (0, -1))
    return f"{path}: {len(pack)} pairs, accuracy {', '.join(texts)}, lost {first - last:+.5f}"


def _embedder(model: nn.Module) -> Embedder:
    return Embedder(model, device=torch.device("cpu"), batch_size=BATCH)


def _decades() -> list[Fraction]:
    return [Fraction(1, 10**power) for power in range(1, LOWEST_FAR + 1)]


def _tar_lines(points: Mapping[str, list[OperatingPoint]]) -> list[str]:
    """FARs down, models across, and what the last loses against the first: share and genuine pairs."""
    lines = [f"{'FAR':>8}" + "".join(f"{name + ' TAR':>14}" for name in points) + f"{'TAR lost':>12}{'pairs lost':>12}"]
    for row in zip(*points.values(), strict=True):
        first, last = row[0], row[-1]
        if first.tar is None or last.tar is None or first.true_accepts is None or last.true_accepts is None:
            lines.append(f"{float(first.far):>8.0e}  not resolvable: {first.reason}")
            continue
        lost = first.true_accepts - last.true_accepts
        cells = "".join(f"{point.tar:>14.6f}" for point in row)
        lines.append(f"{float(first.far):>8.0e}{cells}{first.tar - last.tar:>+12.6f}{lost:>+12d}")
    return lines
