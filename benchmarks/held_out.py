"""What the scripts that train several networks share: people held out who judge, kept features, and differences."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lwface.base.errors import UserError
from lwface.features.embedder import Embedder
from lwface.formats.face_records import FaceRecords
from lwface.formats.file_list import names_of_rows
from lwface.formats.image import read_rgb
from lwface.formats.person_labels import read_labels
from lwface.models.store import load_model
from lwface.networks import FaceNetwork
from lwface.scoring.exact.feature_set import FeatureSet
from lwface.scoring.exact.grid import Grid
from lwface.scoring.intervals import percentiles
from lwface.scoring.tar_far import score_pairs

FARS = (Fraction(1, 100), Fraction(1, 1000))


class Scores(NamedTuple):
    """Of several seeds, or of one network: (S, F) TARs, and (S, F, B) of the bootstrap's replicates."""

    tars: np.ndarray
    replicates: np.ndarray


class HeldOut:
    """The images and people that judge: of a folder with filelist.txt and labels.txt, or of a train.rec."""

    def __init__(self, folder: Path) -> None:
        labels = folder / "labels.txt"
        if labels.is_file():
            rows = len(labels.read_text().split())
            self.people = read_labels(labels, rows)
            self.images = np.stack([read_rgb(folder / name) for name in names_of_rows(folder, rows)])
        else:
            records = FaceRecords(folder)
            self.people = records.labels().astype(np.int64)
            self.images = np.stack([image for image, _ in records])

    def features(self, model: str | FaceNetwork) -> np.ndarray:
        """Unit features (N, D) float32 of a saved model or of a network, image and mirror added."""
        network = load_model(model)[0] if isinstance(model, str) else model
        found = Embedder(network, device=torch.device("cpu"), batch_size=32).embed(self.images, flip=True)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def scores(self, each: Sequence[np.ndarray]) -> Scores:
        """Of several networks' features."""
        results = [score_pairs(Grid(FeatureSet(rows, self.people, "features"), None), FARS) for rows in each]
        tars = [[np.nan if point.tar is None else point.tar for point in found.result.points] for found in results]
        return Scores(np.array(tars), np.stack([found.tars for found in results]))


def kept(path: Path, held_out: HeldOut, model: str | FaceNetwork) -> np.ndarray:
    """The features at ``path``, made of ``model`` where they are not there.

    Raises:
        UserError: they are of other images.
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npy")
        np.save(part, held_out.features(model))
        part.rename(path)
    found: np.ndarray = np.load(path)
    images = len(held_out.images)
    if len(found) != images:
        raise UserError(f"{path}: of {len(found)} images, not the {images} that judge; name another --output")
    return found


def told(scores: Scores, other: Scores, far: int) -> str:
    """The difference of the first from the other at one of ``FARS``: mean, interval over people, range of the seeds.

    Bold where the interval leaves out 0.
    """
    change = (scores.tars - other.tars)[:, far]
    around = percentiles((scores.replicates - other.replicates)[:, far].mean(axis=0))
    within = "no interval" if around is None else f"{around.low:+.3f} to {around.high:+.3f}"
    mark = "**" if around is not None and (around.low > 0 or around.high < 0) else ""
    between = f"; seeds {change.min():+.3f} to {change.max():+.3f}" if len(change) > 1 else ""
    return f"{mark}{change.mean():+.3f}{mark} ({within}{between})"
