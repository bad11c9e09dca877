"""Faces with points, in memory."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.formats.image import read_rgb
from lwface.formats.text_files import table_rows
from lwface.training.task import Batch

ANNOTATIONS = "annotations.csv"
FIVE = [f"five_{axis}{point}" for point in range(5) for axis in "xy"]


class PointImages:
    """Images of one size, each with the same number of points.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        points: (N, K, 2) float32, x then y, in pixels of the image.
    """

    def __init__(self, images: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
        if images.ndim != 4 or points.shape != (len(images), points.shape[1], 2):
            shapes = f"{images.shape} and {points.shape}"
            raise ValueError(f"expected images (N, H, W, 3) and points (N, K, 2), got {shapes}")
        self.images, self.points = images, points

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, positions: NDArray[np.int64]) -> Batch:
        """The images and points (N, K, 2) at ``positions``."""
        return Batch(torch.from_numpy(self.images[positions]), torch.from_numpy(self.points[positions]), {})


def read_synthetic(folder: Path, split: str, size: int) -> PointImages:
    """Whole frames of the procedural faces with five points, shrunk to ``size`` x ``size``.

    Args:
        folder: what ``datasets/make_synthetic.py --frames`` made.
        split: ``train``, ``image``, ``video`` or ``pack``, whose people are different ones.

    Raises:
        UserError: the frames are not there, or no picture is of this split.
    """
    images, points = [], []
    rows = table_rows(folder / ANNOTATIONS)
    _, header = next(rows, (0, []))
    for _, fields in rows:
        row = dict(zip(header, fields, strict=True))
        if row["split"] != split:
            continue
        path = folder / "frames" / row["image"]
        if not path.is_file():
            raise UserError(f"{path}: no such frame: make the set with --frames")
        frame = read_rgb(path)
        scale = size / frame.shape[0]
        images.append(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA))
        points.append(np.array([float(row[name]) for name in FIVE], np.float32).reshape(5, 2) * scale)
    if not images:
        raise UserError(f"{folder / ANNOTATIONS}: no picture of the split {split!r}")
    return PointImages(np.stack(images), np.stack(points).astype(np.float32))
