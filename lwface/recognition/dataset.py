"""Aligned training faces from a RecordIO file, decoded a batch at a time; the device mirrors and lays out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from lwface.base.errors import UserError
from lwface.formats.face_records import FaceRecords
from lwface.formats.image import decode_rgb, image_damage
from lwface.recognition.held_images import HeldImages
from lwface.recognition.leaving_out import LeftOut
from lwface.training.sampler import random_stream
from lwface.training.task import Batch

LISTED = 10  # bad images named in one line
KEPT_BYTES = 2**28  # of decoded images at most: a data set of up to 7133 faces


class BadImage(UserError):
    """Images that cannot be decoded."""


class FaceData(Protocol):
    """Training faces: what :class:`FaceTask` learns from."""

    @property
    def parts(self) -> Sequence[FaceDataset]:
        """The data sets that it is of."""

    def __len__(self) -> int:
        """How many images there are."""

    def batch(self, positions: np.ndarray, step: int, first: int = 0) -> Batch:
        """The images at ``positions`` (N,), which are ``first`` and on of the step's."""

    def labels(self) -> np.ndarray:
        """The labels of all images, int64, by position."""

    def keys(self, positions: np.ndarray) -> list[int]:
        """By what a user finds the images at ``positions`` (N,)."""


class FaceDataset(Dataset[Batch]):
    """Indexed by an array of positions, gives the whole :class:`Batch` of these images.

    Args:
        records: the record file.
        image_size: (height, width) that every image must have: nothing is resized.
        images_filter: leave out identities with fewer images; labels stay as they are.
        left_out: what a list of ``datasets/clean.py`` leaves out and joins, before the identities are counted.
        skip_bad: in place of an image that does not decode, take the next of the batch that does; ``Batch.bad`` tells.
        keep: decode each image of a data set of at most :data:`KEPT_BYTES` once. For the process that trains: several
            that load would each keep all.

    Attributes:
        held: all images decoded, after :meth:`hold`.
    """

    def __init__(
        self,
        records: FaceRecords,
        *,
        image_size: tuple[int, int],
        images_filter: int = 0,
        skip_bad: bool = False,
        keep: bool = False,
        left_out: LeftOut | None = None,
    ) -> None:
        self.records, self.image_size, self.skip_bad = records, image_size, skip_bad
        fits = len(records) * math.prod(image_size) * 3 <= KEPT_BYTES
        self.decoded: dict[int, tuple[int, np.ndarray]] | None = {} if keep and fits else None  # label and image
        self.held: HeldImages | None = None
        self.kept: np.ndarray | None = None  # positions in records; None: all
        self.joined = None if left_out is None else left_out.labels  # (N,) in place of the records' own
        used = None if left_out is None else left_out.used
        if images_filter > 1:
            labels = records.labels() if left_out is None else left_out.labels
            counts = np.bincount(labels if used is None else labels[used], minlength=int(labels.max()) + 1)
            enough = counts[labels] >= images_filter
            used = enough if used is None else used & enough
            if not used.any():
                raise UserError(f"{records.path}: no identity has data_images_filter = {images_filter} images")
        if used is not None and not (left_out is not None and used.all()):
            self.kept = np.flatnonzero(used)

    def __len__(self) -> int:
        return len(self.records) if self.kept is None else len(self.kept)

    def __getitem__(self, positions: np.ndarray) -> Batch:
        """The batch of the images at ``positions``.

        Raises:
            BadImage: an image does not decode and ``skip_bad`` is off, or no image of the batch decodes.
            UserError: an image has another size; a record is damaged.
        """
        if self.held is not None and self.held.held[positions].all():
            return Batch(
                torch.from_numpy(self.held.images[positions]), torch.from_numpy(self.held.labels[positions]), {}
            )
        indices = positions if self.kept is None else self.kept[positions]
        images = np.empty((len(indices), *self.image_size, 3), dtype=np.uint8)
        labels = np.empty(len(indices), dtype=np.int64)
        bad: dict[int, str] = {}
        good_rows = np.ones(len(indices), dtype=bool)
        for row, index in enumerate(indices):
            if self.decoded is not None and index in self.decoded:
                labels[row], images[row] = self.decoded[index]
                continue
            labels[row], data, image = self._read(int(index))
            if image is None:
                bad[self._key(index)] = image_damage(data) or "not an image that can be decoded"
                good_rows[row] = False
                continue
            if image.shape[:2] != self.image_size:
                raise self._wrong_size(index, image.shape)
            images[row] = image
            if self.decoded is not None:
                self.decoded[int(index)] = int(labels[row]), image
        if bad:
            self._replace_bad(images, labels, good_rows, bad)
        return Batch(torch.from_numpy(images), torch.from_numpy(labels), bad)

    def hold(self) -> None:
        """Decode all images now, into memory that loading processes share where they are forked.

        What cannot be read is told when its turn comes, as it is without this.

        Raises:
            UserError: they do not fit.
        """
        held = HeldImages(len(self), self.image_size)

        def read(position: int) -> tuple[int, np.ndarray] | None:
            try:
                label, _, image = self._read(position if self.kept is None else int(self.kept[position]))
            except UserError:
                return None
            return (label, image) if image is not None and image.shape[:2] == self.image_size else None

        held.fill(read)
        self.held, self.decoded = held, None

    def __getstate__(self) -> dict[str, Any]:
        """A process that is not forked cannot share what is held, and decodes for itself."""
        return {**vars(self), "held": None}

    def _read(self, index: int) -> tuple[int, bytes, np.ndarray | None]:
        """Label, file and image of a record; None for what does not decode."""
        label, data = self.records.read(index)
        if self.joined is not None:
            label = int(self.joined[index])
        return label, data, decode_rgb(data)

    @property
    def parts(self) -> list[FaceDataset]:
        """This one."""
        return [self]

    def labels(self) -> np.ndarray:
        """The labels of all images, int64 (N,), by position."""
        labels = self.records.labels() if self.joined is None else self.joined
        return labels if self.kept is None else labels[self.kept]

    def batch(self, positions: np.ndarray, step: int, first: int = 0) -> Batch:
        """The same: what is random is left to the device, which mirrors."""
        return self[positions]

    def _replace_bad(self, images: np.ndarray, labels: np.ndarray, good_rows: np.ndarray, bad: dict[int, str]) -> None:
        if not self.skip_bad or not good_rows.any():
            named = "; ".join(f"key {key}: {reason}" for key, reason in list(bad.items())[:LISTED])
            remedy = "no image of this batch is left" if self.skip_bad else "repair the file, or go on with --skip-bad"
            raise BadImage(f"{self.records.path}: {len(bad)} images of this batch do not decode ({named}): {remedy}")
        rows = stand_ins(good_rows)
        for row in np.flatnonzero(~good_rows):
            images[row], labels[row] = images[rows[row]], labels[rows[row]]

    def keys(self, positions: np.ndarray) -> list[int]:
        """The keys in the record file of the images at ``positions`` (N,)."""
        return [self._key(index) for index in (positions if self.kept is None else self.kept[positions])]

    def key(self, position: int) -> int:
        """The key of the record of the image at ``position``."""
        return self._key(position if self.kept is None else int(self.kept[position]))

    def _key(self, index: int) -> int:
        return int(self.records.keys[index])

    def _wrong_size(self, index: int, shape: tuple[int, ...]) -> UserError:
        found, wanted = (f"{size[0]}x{size[1]}" for size in (shape, self.image_size))
        where = f"{self.records.path}: the image of key {self._key(index)}"
        return UserError(f"{where} is {found}, expected {wanted}: align the faces when the data set is made")


def stand_ins(good_rows: np.ndarray) -> np.ndarray:
    """For each row of a batch the one whose image it shows: itself, or the next good one. ``good_rows`` (N,) bool."""
    good, rows = np.flatnonzero(good_rows), np.arange(len(good_rows))
    return good[np.searchsorted(good, rows) % len(good)]


def mirror_choice(seed: int, step: int, images: int) -> torch.Tensor:
    """Which images of ``step`` are mirrored, bool ``(images,)``: by seed and step alone, on any device."""
    return torch.rand(images, generator=random_stream(seed, "mirror", step)) < 0.5


def to_network_input(images: torch.Tensor, mirror: torch.Tensor | None = None) -> torch.Tensor:
    """``images`` (N, H, W, 3) uint8 as (N, 3, H, W) uint8, channels-last, those where ``mirror`` (N,) is true flipped.

    One operation on the batch wherever it lies; the network itself turns pixels into normalised floats.
    """
    channels_first = images.permute(0, 3, 1, 2)  # (N, 3, H, W): a view whose memory is channels-last already
    if mirror is None:
        return channels_first
    return torch.where(mirror[:, None, None, None], channels_first.flip(3), channels_first)
