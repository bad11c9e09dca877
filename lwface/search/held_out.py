"""What a tried network is judged by: exact TAR on people it was not trained on.

Where the data set's folder has ``images/filelist.txt`` and ``images/labels.txt``, all pairs of these images count: a
few hundred images make hundreds of thousands of impostor pairs, and a low FAR needs them. Elsewhere it is the pairs of
all its verification packs (``val_targets``) together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.file_list import LIST_NAME, read_image_list
from lwface.formats.image import read_rgb
from lwface.formats.person_labels import read_labels
from lwface.formats.verification_pack import read_pack
from lwface.scoring.exact.comparisons import Comparisons, PairList
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.operating_points import operating_points

LABELS_NAME = "labels.txt"
IMAGES_AT_ONCE = 1024  # decoded at a time
ENOUGH_ACCEPTED = 100  # impostor pairs that a FAR should let in: a threshold set by fewer moves with each of them
LOWEST_FAR, HIGHEST_FAR = -8, -1  # powers of ten


class HeldOut:
    """The images of a data set that are not trained on, and who is on them.

    Attributes:
        words: what is compared, for people.
        genuine_pairs, impostor_pairs: how many pairs of each kind there are.

    Args:
        folder: of the data set.
        packs: names of its verification packs.
        image_size: (height, width) of the images.

    Raises:
        UserError: there is neither, or what is there is damaged or has no genuine or no impostor pair.
    """

    def __init__(self, folder: Path, packs: list[str], image_size: tuple[int, int]) -> None:
        self.image_size = image_size
        self._images = folder / "images"
        self._names: list[str] = []
        self._labels: np.ndarray | None = None
        self._packs = []
        if (self._images / LIST_NAME).is_file() and (self._images / LABELS_NAME).is_file():
            self._names = read_image_list(self._images)
            self._labels = read_labels(self._images / LABELS_NAME, len(self._names))
            self.words = f"all pairs of the {len(self._names)} images of {self._images}"
        else:
            paths = [folder / f"{name}.bin" for name in packs]
            self._packs = [read_pack(path) for path in paths if path.is_file()]
            self.words = f"the pairs of {', '.join(pack.name for pack in self._packs)}"
        if not self._names and not self._packs:
            raise UserError(
                f"{folder}: nothing to judge networks by: expected images/{LIST_NAME} with images/{LABELS_NAME}, "
                f"or one of the packs {', '.join(packs) or '(val_targets names none)'}"
            )
        rows = len(self._names) or sum(len(pack.images) for pack in self._packs)
        pairs = self._comparisons(np.ones((rows, 1), np.float32))
        self.genuine_pairs, self.impostor_pairs = pairs.genuine_pairs, pairs.impostor_pairs
        if not (self.genuine_pairs and self.impostor_pairs):
            raise UserError(
                f"{folder}: {self.words}: {self.genuine_pairs} genuine and {self.impostor_pairs} impostor pairs: "
                "both kinds are needed to judge a network"
            )

    def usual_far(self) -> Fraction:
        """The lowest power of ten at which :data:`ENOUGH_ACCEPTED` impostor pairs are let in; at most 0.1."""
        exponent = math.ceil(math.log10(ENOUGH_ACCEPTED / self.impostor_pairs))
        return Fraction(10) ** min(max(exponent, LOWEST_FAR), HIGHEST_FAR)

    def check(self, far: Fraction) -> None:
        """Stop unless the pairs can tell ``far``."""
        if far * self.impostor_pairs < 1:
            raise UserError(
                f"--far {float(far):g} needs at least {-(-1 // far)} impostor pairs, {self.words} have "
                f"{self.impostor_pairs}: give a higher one, such as {float(self.usual_far()):g}"
            )

    def tar(self, network: nn.Module, far: Fraction, *, device: torch.device, batch_size: int) -> float:
        """TAR of ``network`` at ``far``, of features without the mirror image; 0 where a feature has no direction."""
        embedder = Embedder(network, device=device, batch_size=batch_size)
        features = np.concatenate([embedder.embed(images, flip=False) for images in self._decoded()])  # (N, D)
        with np.errstate(over="ignore", invalid="ignore"):
            norms = np.linalg.norm(features.astype(np.float64), axis=1)
        if not np.isfinite(norms).all() or not norms.all():
            return 0.0  # the training went astray: no threshold accepts what is no number
        point = operating_points(self._comparisons(features), [far])[0]
        if point.tar is None:
            raise AssertionError(f"FAR {far} was checked and cannot be told: {point.reason}")
        return point.tar

    def _comparisons(self, features: np.ndarray) -> Comparisons:
        if self._labels is not None:
            return Grid(FeatureSet(features, self._labels, self._images), None)
        same = np.concatenate([pack.issame for pack in self._packs])
        rows = np.arange(len(features))
        people = FeatureSet(features, np.zeros(len(features), np.int64), "packs")  # who is who is in the pairs
        return PairList(people, rows[0::2], rows[1::2], same)

    def _decoded(self) -> Iterator[np.ndarray]:
        """All images in order, (n, H, W, 3) uint8 at a time."""
        for pack in self._packs:
            yield pack.decode(self.image_size)
        for start in range(0, len(self._names), IMAGES_AT_ONCE):
            images = [self._read(name) for name in self._names[start : start + IMAGES_AT_ONCE]]
            yield np.stack(images)

    def _read(self, name: str) -> np.ndarray:
        image = read_rgb(self._images / name)
        if image.shape[:2] != self.image_size:
            raise UserError(f"{self._images / name} is {image.shape[1]}x{image.shape[0]}: expected an aligned face")
        return image
