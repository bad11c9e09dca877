"""Trains a quality head on the frozen features of labelled frames.

A step draws people and, of each, two sets of different frames. A set becomes one feature as ``--aggregate quality``
makes it, and the first set of a person is to be nearer to his second than to all others': the softmax over the people
of the step, both ways round (Sohn, "Improved deep metric learning with multi-class N-pair loss", 2016), in place of the
softmax and triplet losses of QAN (Liu et al., CVPR 2017). Nothing says which frame is good: a weight is right when the
set is recognised.

Curated training faces are nearly all good, so that half of the frames are drawn degraded (blurred, moved, small,
noisy), after the same frame as it is; both features of each frame are computed once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from lwface.base.errors import UserError
from lwface.base.progress import progress
from lwface.features.aggregation import normalise, quality_inputs
from lwface.features.embedder import Embedder
from lwface.features.quality import QualityHead
from lwface.features.quality_files import check_frames
from lwface.features.writing import look_through
from lwface.formats.face_records import FaceRecords
from lwface.formats.feature_file import FeatureWriter, read_features
from lwface.formats.file_list import LIST_NAME, open_list, video_folder
from lwface.formats.image import decode_rgb, read_rgb
from lwface.formats.person_labels import DISTRACTOR, read_labels, read_people

VERSIONS = 2  # of each frame: as it is, and degraded
DEGRADED_SHARE = 0.5  # of the frames of a step
PEOPLE_A_STEP = 64
SET_SIZE = 4
SCALE = 8.0  # of the cosines in the softmax
LEARNING_RATE = 1e-2
WEIGHT_DECAY = 1e-3
CHECK_SHARE = 0.1  # of the people: not trained on, they tell whether the head is of use
CHECK_STEPS = 50
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class LabelledFrames:
    """Aligned faces of known people.

    Attributes:
        people: (N,) int64.
        read: the image (H, W, 3) RGB uint8 of a place from 0 to N - 1; an error when it cannot be used.
        sha256: identifies them and their order.
    """

    people: np.ndarray
    read: Callable[[int], np.ndarray]
    sha256: str


def open_frames(folder: Path, image_size: tuple[int, int]) -> LabelledFrames:
    """The frames of records, of images or videos with ``filelist.txt`` and ``labels.txt``, or of a folder of people.

    Args:
        folder: where they are.
        image_size: (height, width) that each must have.

    Raises:
        UserError: neither is there, or labels and list do not fit.
    """
    if check_frames(folder):
        return _from_records(FaceRecords(folder), image_size)
    if (folder / LIST_NAME).is_file():
        first = video_folder(folder, next(iter(open_list(folder, videos=False))))
        listing = look_through(folder, videos=(folder / first).is_dir())
        labels = read_labels(folder / "labels.txt", len(listing.names))
    else:
        listing = look_through(folder, videos=False)
        labels = read_people(folder, len(listing.names)).labels
    people, paths = np.repeat(labels, list(listing.images_of_rows(0))), list(listing.paths(0))
    digest = hashlib.sha256(listing.sha256.encode() + labels.tobytes()).hexdigest()
    return LabelledFrames(people, lambda place: _sized(read_rgb(paths[place]), image_size, paths[place]), digest)


def _from_records(records: FaceRecords, image_size: tuple[int, int]) -> LabelledFrames:
    def read(place: int) -> np.ndarray:
        image = decode_rgb(records.read(place)[1])
        if image is None:
            raise records.reader.error(int(records.keys[place]), "not an image that can be decoded")
        return _sized(image, image_size, f"{records.path}: record {records.keys[place]}")

    people = records.labels()
    size = records.path.stat().st_size
    return LabelledFrames(people, read, hashlib.sha256(f"{size} ".encode() + people.tobytes()).hexdigest())


def _sized(image: np.ndarray, image_size: tuple[int, int], name: str) -> np.ndarray:
    if image.shape[:2] != image_size:
        found, wanted = f"{image.shape[1]}x{image.shape[0]}", f"{image_size[1]}x{image_size[0]}"
        raise UserError(f"{name}: {found} pixels, not {wanted}: align the faces first")
    return image


def choose_frames(people: np.ndarray, most_people: int, most_frames: int) -> np.ndarray:
    """Places of the frames to use: of at most so many people with two frames or more, evenly spaced among each's.

    Which people does not depend on the training's seed, so that another seed finds the same features.
    """
    names, counts = np.unique(people[people != DISTRACTOR], return_counts=True)
    names = names[counts >= 2]
    if len(names) < 2:
        raise UserError(f"{len(names)} people have two frames or more: a quality head needs two people at least")
    chosen = np.random.default_rng(0).permutation(names)[:most_people]
    order = np.argsort(people, kind="stable")
    places = []
    for first, end in zip(*(np.searchsorted(people[order], chosen, side) for side in ("left", "right")), strict=True):
        taken = min(end - first, most_frames)
        places.append(order[first + np.arange(taken) * (end - first) // taken])
    return np.sort(np.concatenate(places))


def degraded(image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """``image`` (H, W, 3) uint8 out of focus, moved, seen from far away, or noisy."""
    height, width = image.shape[:2]
    kind = generator.integers(4)
    if kind == 0:
        return cv2.GaussianBlur(image, (0, 0), width / 112 * generator.uniform(1, 5))
    if kind == 1:
        return _moved(image, max(3, round(width / 112 * generator.uniform(9, 25))), generator.uniform(0, np.pi))
    if kind == 2:
        shrink = generator.uniform(10, 40) / 112
        small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    noise = generator.normal(0, generator.uniform(10, 50), image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _moved(image: np.ndarray, length: int, angle: float) -> np.ndarray:
    """``image`` blurred along a line of ``length`` pixels at ``angle``."""
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    ends = [
        (round(middle + side * middle * np.cos(angle)), round(middle + side * middle * np.sin(angle)))
        for side in (-1, 1)
    ]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def embed_frames(frames: LabelledFrames, places: np.ndarray, embedder: Embedder, output: Path) -> np.ndarray:
    """The features (n, VERSIONS, D) float32 of the frames at ``places``, not normalised, as a memory map of ``output``.

    A file that is there is taken as it is; an interrupted one is gone on with: its name must tell it from others.

    Raises:
        UserError: an image cannot be used.
    """
    if not output.is_file():
        step = max(1, embedder.batch_size // VERSIONS)
        rows = len(places) * VERSIONS
        with (
            FeatureWriter(output, rows, embedder.embedding_size, resume=True, unit_rows=False) as writer,
            progress(total=len(places), initial=writer.rows_done // VERSIONS, label="features", unit="frame") as bar,
        ):
            for start in range(writer.rows_done // VERSIONS, len(places), step):
                part = places[start : start + step]
                writer.write(embedder.embed(np.stack(_versions(frames, part)), flip=False))
                bar.update(len(part))
    features = read_features(output)
    return features.reshape(len(places), VERSIONS, features.shape[1])


def _versions(frames: LabelledFrames, places: np.ndarray) -> list[np.ndarray]:
    """Each frame, and after it the frame degraded as its place says."""
    images = []
    for place in places.tolist():
        image = frames.read(place)
        images += [image, degraded(image, np.random.default_rng(place))]
    return images


@dataclass(frozen=True)
class Trained:
    """A head and what it is worth.

    Attributes:
        people: how many it was trained on.
        checked: how many others the losses are of; 0: there were too few people, they are of those trained on.
        loss_of_mean, loss: of sets of frames, with equal weights and with the head's.
    """

    head: QualityHead
    people: int
    checked: int
    loss_of_mean: float
    loss: float


def train_head(features: np.ndarray, people: np.ndarray, *, steps: int, seed: int) -> Trained:
    """Train on features (n, VERSIONS, D) of ``people`` (n,), each with two frames or more.

    Raises:
        UserError: a feature is zero or not finite.
    """
    generator = np.random.default_rng(seed)
    mean, scale = _moments(features)
    names = generator.permutation(np.unique(people))
    checked = round(CHECK_SHARE * len(names))
    checked = checked if checked >= 2 else 0
    sets = SetSampler(features, people, names[checked:], mean, scale, generator)
    weight = torch.zeros(features.shape[2] + 1, requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in progress(range(steps), label="quality head", unit="step"):
        optimizer.zero_grad()
        set_loss(weight, *sets.draw()).backward()
        optimizer.step()
        schedule.step()
    others = SetSampler(features, people, names[: checked or None], mean, scale, generator)
    learned = weight.detach()
    losses = np.zeros(2)
    for _ in range(CHECK_STEPS):
        draw = others.draw()
        losses += [float(set_loss(each, *draw)) / CHECK_STEPS for each in (torch.zeros_like(learned), learned)]
    folded = learned.double().numpy() / scale
    head = QualityHead(folded, float(-folded @ mean))
    return Trained(head, len(names) - checked, checked, float(losses[0]), float(losses[1]))


class SetSampler:
    """Draws, for a step, two sets of frames of each of some people.

    Args:
        features: (n, VERSIONS, D), not normalised.
        people: (n,).
        names: the people to draw from.
        mean, scale: (D + 1,), what standardises the head's inputs.
    """

    def __init__(
        self,
        features: np.ndarray,
        people: np.ndarray,
        names: np.ndarray,
        mean: np.ndarray,
        scale: np.ndarray,
        generator: np.random.Generator,
    ) -> None:
        order = np.argsort(people, kind="stable")
        starts = np.searchsorted(people[order], names, "left")
        ends = np.searchsorted(people[order], names, "right")
        self._places = [order[start:end] for start, end in zip(starts, ends, strict=True)]
        self._features, self._mean, self._scale, self._generator = features, mean, scale, generator

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Head inputs (2, P, SET_SIZE, D + 1) and unit features (2, P, SET_SIZE, D), float32."""
        chosen = self._generator.permutation(len(self._places))[:PEOPLE_A_STEP]
        places = np.empty((2, len(chosen), SET_SIZE), np.int64)
        for number, person in enumerate(chosen):
            mixed = self._generator.permutation(self._places[person])
            for side, half in enumerate((mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :])):
                places[side, number] = self._generator.choice(half, SET_SIZE, replace=len(half) < SET_SIZE)
        versions = (self._generator.random(places.shape) < DEGRADED_SHARE).astype(np.int64)
        frames = self._features[places, versions].reshape(-1, self._features.shape[2])
        inputs = (quality_inputs(frames) - self._mean) / self._scale
        units = normalise(frames, lambda row: f"frame {places.flat[row]}")
        shaped = (each.astype(np.float32).reshape(*places.shape, -1) for each in (inputs, units))
        first, second = map(torch.from_numpy, shaped)
        return first, second


def set_loss(weight: torch.Tensor, inputs: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """The N-pair loss of sets aggregated with weights exp(``weight`` . input).

    Args:
        weight: (D + 1,).
        inputs: (2, P, K, D + 1): two sets of K frames of each of P people.
        units: (2, P, K, D), the frames' unit features.
    """
    shares = torch.softmax(inputs @ weight, dim=2)  # (2, P, K): exp, up to a factor that the norm takes out
    first, second = functional.normalize((shares[..., None] * units).sum(dim=2), dim=2)
    cosines = SCALE * first @ second.T  # (P, P)
    same = torch.arange(len(cosines))
    return (functional.cross_entropy(cosines, same) + functional.cross_entropy(cosines.T, same)) / 2


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D + 1,) of the head's inputs over all features; 1 for what does not vary."""
    flat = features.reshape(-1, features.shape[2])
    total, squares = np.zeros(flat.shape[1] + 1), np.zeros(flat.shape[1] + 1)
    for start in range(0, len(flat), ROWS_AT_ONCE):
        block = flat[start : start + ROWS_AT_ONCE]
        if not (np.isfinite(block).all() and block.any(axis=1).all()):
            raise UserError("a feature of the training frames is zero or not finite: is the model trained?")
        inputs = quality_inputs(block)
        total += inputs.sum(axis=0)
        squares += (inputs**2).sum(axis=0)
    mean = total / len(flat)
    scale = np.sqrt(np.maximum(squares / len(flat) - mean**2, 0))
    return mean, np.where(scale > 1e-9 * (1 + np.abs(mean)), scale, 1)


def frames_identity(model_sha256: str, frames: LabelledFrames, places: np.ndarray) -> str:
    """Tells the features of some frames by some model from others."""
    facts = [model_sha256, frames.sha256, hashlib.sha256(places.tobytes()).hexdigest(), VERSIONS]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
