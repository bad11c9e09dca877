"""Labelled faces in a record file, in InsightFace's layout or the plain one.

InsightFace's layout: images are the keys 1 to a-1, those of an identity in a row; records a to b-1 are identities whose
two labels are the range ``(first, one past the last)`` of their images' keys; record 0 carries the labels ``(a, b)``. A
file whose record 0 is an image holds plain images. ``property`` beside it is ``classes,height,width``; insightface's
RecBuilder adds a second line, the number of images.

MXNet's ``rec2idx`` makes an index anew by counting: the file's first record gets key 0, whatever it was called. In
InsightFace's layout record 0 is the file's last, so such an index calls each record by the key before its own. It is
recognised, and the records get their keys back.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import SupportsIndex

import numpy as np

from lwface.base.files import PathLike
from lwface.base.notes import note
from lwface.formats.image import decode_rgb, image_damage
from lwface.formats.record_files import record_file
from lwface.formats.recordio import RecordError, RecordReader, pack
from lwface.formats.text_files import fields_of, numbered_lines

MAX_KEY = 1 << 62  # a label can be a larger number than a key


def identity_records(starts: Sequence[int], end: int) -> list[tuple[int, bytes]]:
    """``(key, payload)`` of what follows the images in InsightFace's layout: the identities, then record 0.

    Args:
        starts: each identity's first image key, rising.
        end: one past the last image key.
    """
    ranges = zip(starts, [*starts[1:], end], strict=True)
    records = [(end + i, pack((0, key_range, end + i, 0), b"")) for i, key_range in enumerate(ranges)]
    return [*records, (0, pack((0, (end, end + len(starts)), 0, 1), b""))]


class FaceRecords:
    """A data set of labelled face images in a record file, in InsightFace's or the plain layout.

    ``records[i]`` is ``(image, label)``, so this is a sequence, and a map-style data set for PyTorch's ``DataLoader``.
    Any number of threads, forked processes and pickled copies may read at once.

    Args:
        path: the folder with ``train.rec``, ``train.idx`` and ``property``, or a record file with these beside it.

    Attributes:
        keys: int64 ``(N,)``, the keys of the images, ascending; everything below goes by the position in it.
        insightface: whether record 0 describes identities.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = record_file(path)
        self.reader = RecordReader(self.path)
        self.keys = self.reader.keys
        self._identity_keys: tuple[int, int] | None = None
        if self.keys[0] == 0:
            labels = self._layout_labels(0)
            if labels is None and self._counted_anew():
                note(
                    f"{self.reader.idx_path}: its keys were counted anew in the order of the file, as MXNet's rec2idx "
                    "does; each record is called by its own key, which the last record tells"
                )
                self.reader.call_in_order([*range(1, len(self.reader)), 0])
                self.keys, labels = self.reader.keys, self._layout_labels(0)
            if labels is not None:
                self._read_layout(labels)
        self.insightface = self._identity_keys is not None

    def _layout_labels(self, key: int) -> np.ndarray | None:
        """The two labels of a record that describes the layout; None of any other record."""
        _, labels, data = self.reader.unpack(key)
        return labels if len(labels) == 2 and not data else None

    def _counted_anew(self) -> bool:
        """Whether the index was made by counting the records of a file that ends with record 0."""
        last = len(self.keys) - 1
        if self.keys[last] != last or (np.diff(self.reader.offsets) <= 0).any():
            return False
        try:
            labels = self._layout_labels(last)
        except RecordError:
            return False
        return labels is not None and int(labels[1]) == len(self.keys)

    def _read_layout(self, labels: np.ndarray) -> None:
        """Keys of images and of identities from the two labels of record 0."""
        if not np.isfinite(labels).all() or not 1 <= labels[0] <= labels[1]:
            raise self.reader.error(0, f"the key ranges {labels.tolist()} are not in order")
        first, stop = (int(min(label, MAX_KEY)) for label in labels[:2])
        self.keys = self.keys[slice(*np.searchsorted(self.keys, (1, first)))]  # a view: no memory of its own
        if len(self.keys) != first - 1:
            gaps = np.flatnonzero(self.keys != np.arange(1, len(self.keys) + 1))
            missing = (gaps[0] if len(gaps) else len(self.keys)) + 1
            raise self.reader.error(0, f"it announces images 1 to {first - 1}, but the index has no key {missing}")
        self._identity_keys = (first, stop)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: SupportsIndex) -> tuple[np.ndarray, int]:
        """``(image (H, W, 3) uint8 RGB, label)`` at position ``index``, counted from the end where it is negative.

        Raises:
            IndexError: there is no such position.
            RecordError: the record is damaged, its label cannot be, or its image does not decode.
        """
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"{self.path}: no image {position}: there are {len(self)}, counted from 0")
        label, data = self.read(position)
        image = decode_rgb(data)
        if image is None:
            reason = image_damage(data) or "not an image that can be decoded"
            raise self.reader.error(int(self.keys[position]), f"its image does not decode: {reason}")
        return image, label

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        return (self[position] for position in range(len(self)))

    @cached_property
    def _property(self) -> tuple[int, int, int]:
        path = self.path.with_name("property")
        if not path.is_file():
            raise RecordError(f"{path}: missing; write one line into it: number of classes,112,112", path=path)
        lines = [text for _, text in numbered_lines(path) if text]
        numbers = [int(part) if part.isdecimal() else -1 for part in fields_of(lines[0])] if lines else []
        if len(numbers) != 3 or min(numbers) < 1:
            first = lines[0] if lines else ""
            raise RecordError(f"{path}: {first[:60]!r} is not number of classes,height,width", path=path)
        if len(lines) > 2 or (len(lines) == 2 and not lines[1].isdecimal()):
            raise RecordError(f"{path}: {lines[1][:60]!r} after its first line is not the number of images", path=path)
        if len(lines) == 2 and int(lines[1]) != len(self):
            note(f"{path}: says {lines[1]} images, the index has {len(self)}")
        return numbers[0], numbers[1], numbers[2]

    @property
    def has_property(self) -> bool:
        """Whether the ``property`` file is there; without it labels are only checked to be whole and not negative."""
        return self.path.with_name("property").is_file()

    @property
    def num_classes(self) -> int:
        """From ``property``; :class:`RecordError` when the file is missing or damaged."""
        return self._property[0]

    @property
    def image_size(self) -> tuple[int, int]:
        """``(height, width)`` from ``property``; :class:`RecordError` when the file is missing or damaged."""
        return self._property[1:]

    @cached_property
    def identities(self) -> dict[int, tuple[int, int]] | None:
        """For each identity record its images' keys ``(first, one past the last)``; None in the plain layout."""
        if self._identity_keys is None:
            return None
        found = {}
        for key in range(*self._identity_keys):
            _, labels, _ = self.reader.unpack(key)
            if len(labels) != 2 or not 1 <= labels[0] <= labels[1] <= self._identity_keys[0]:
                raise self.reader.error(key, f"{labels.tolist()} is not a range of image keys")
            found[key] = int(labels[0]), int(labels[1])
        return found

    def read(self, index: int) -> tuple[int, bytes]:
        """``(label, encoded image)`` of the image at position ``index``; :class:`RecordError` when it is damaged."""
        key = int(self.keys[index])
        _, labels, data = self.reader.unpack(key)
        label = float(labels[0])
        if not (0 <= label < self._label_limit and label.is_integer()):
            raise self._label_error(key, label)
        return int(label), data

    def labels(self) -> np.ndarray:
        """The labels of all images, int64 ``(N,)``, without reading the images."""
        labels = self.reader.first_labels(self.keys)
        valid = (labels >= 0) & (labels < self._label_limit) & (labels == np.floor(labels))
        if not valid.all():
            wrong = int(np.argmin(valid))
            raise self._label_error(int(self.keys[wrong]), float(labels[wrong]))
        return labels.astype(np.int64)

    @cached_property
    def _label_limit(self) -> float:
        return self.num_classes if self.has_property else float("inf")

    def _label_error(self, key: int, label: float) -> RecordError:
        limit = f"0 to {self.num_classes - 1} by the property file" if self.has_property else "a whole number from 0"
        return self.reader.error(key, f"label {label:g} is not {limit}")
