"""Whether a model made the rows of a feature file: some images, or videos, are embedded again.

A row may be what ``gen_image_feature.py`` or ``gen_video_feature.py`` makes of it: plain or with the mirror image
added, and of a video's frames the mean, or what weighs them without a head of its own (``norm``, ``cluster``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.challenge.results import Malformed, judging
from lwface.features.aggregation import MEAN, Aggregation, DominantCluster, NormWeighted, aggregate
from lwface.features.embedder import Embedder
from lwface.features.writing import decode
from lwface.formats.feature_file import read_features
from lwface.formats.file_list import read_image_list, read_video_list
from lwface.formats.image_walk import frames_in
from lwface.hosting.trial import TEST, ModelTrial

LEAST_COSINE = 0.999  # backends and processors differ in the seventh digit, another network in the first
FRAMES = 512  # of all videos that are tried: with a network of 30 GFLOPs some minutes of one core
BATCH = 16
SIDE = 112


def try_images(trial: ModelTrial) -> dict[str, Any]:
    """``rows_tried`` and ``worst_cosine``.

    Raises:
        Malformed: a row is not what the model makes of the image.
        UserError: the kit lacks the images.
    """
    folder = trial.kit / TEST
    names = read_image_list(folder)
    rows = trial.drawn(len(names))
    given = _handed_in(trial, len(names), rows)
    paths = [str(folder / names[row]) for row in rows.tolist()]
    return _judged(trial, rows, _cosines_of(trial, given, paths, np.ones(len(rows), np.int64), [MEAN]))


def try_videos(trial: ModelTrial) -> dict[str, Any]:
    """The same of the first drawn videos that have :data:`FRAMES` frames together, and ``frames_tried``."""
    folder = trial.kit / TEST
    names = read_video_list(folder)
    drawn = trial.drawn(len(names))
    _handed_in(trial, len(names), drawn)
    rows, paths, counts = [], list[str](), []
    for row in drawn.tolist():
        frames = _frames(str(folder / names[row]))
        if len(paths) + len(frames) <= FRAMES:
            rows.append(row)
            paths += frames
            counts.append(len(frames))
    if not rows:
        return {"rows_tried": 0, "why": f"none of the {len(drawn)} videos drawn has {FRAMES} frames or fewer"}
    given = _handed_in(trial, len(names), np.array(rows))
    ways = [MEAN, NormWeighted(), DominantCluster()]
    told = _judged(trial, np.array(rows), _cosines_of(trial, given, paths, np.array(counts), ways))
    return told | {"frames_tried": len(paths)}


def _handed_in(trial: ModelTrial, count: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Some rows (n, D) of the submission, which has ``count``."""
    with judging(trial.submission):
        found = read_features(trial.submission)
        if len(found) != count:
            raise Malformed(trial.submission.name, f"has {len(found)} rows, expected {count}")
        return np.asarray(found[rows], np.float64)


def _frames(folder: str) -> list[str]:
    try:
        found = frames_in(folder)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from None
    if not found:
        raise UserError(f"{folder}: no frame in this folder")
    return found


def _cosines_of(
    trial: ModelTrial,
    given: NDArray[np.float64],
    paths: Sequence[str],
    frames: NDArray[np.int64],
    ways: Sequence[Aggregation],
) -> NDArray[np.float64]:
    """The best cosine (n,) of each row with what the model makes of its images, by any of ``ways``."""
    pictures = decode(paths, SIDE, SIDE)
    if pictures.faults:
        raise UserError(f"{pictures.faults[0][0]}: {pictures.faults[0][1]}")
    best = np.full(len(given), -1.0)
    with judging(trial.model):
        embedder = Embedder(trial.network, device=torch.device("cpu"), batch_size=BATCH)
        if embedder.embedding_size != given.shape[1]:
            numbers = f"gives {embedder.embedding_size} numbers an image"
            raise Malformed(trial.model.name, f"{numbers}, {trial.submission.name} has {given.shape[1]}")
        features = embedder.embed(pictures.images, flip=False)
        for mirrored in (False, True):
            if mirrored:
                features = features + embedder.embed(pictures.images[:, :, ::-1], flip=False)
            for way in ways:
                best = np.maximum(best, _cosines(given, aggregate(features, frames, way)))
            if (best >= LEAST_COSINE).all():
                break
    return best


def _judged(trial: ModelTrial, rows: NDArray[np.int64], cosines: NDArray[np.float64]) -> dict[str, Any]:
    worst = int(np.argmin(cosines))
    if cosines[worst] < LEAST_COSINE:
        says = f"row {rows[worst]} (from 0) of {trial.submission.name} is not what it makes of that sample"
        raise Malformed(trial.model.name, f"{says}: cosine {cosines[worst]:.4f}, at least {LEAST_COSINE} expected")
    return {"rows_tried": len(rows), "worst_cosine": f"{cosines[worst]:.6f}"}


def _cosines(one: NDArray[np.float64], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row with its counterpart of length 1; -1 where it has no direction."""
    with np.errstate(all="ignore"):
        found = np.einsum("rc,rc->r", one, unit) / np.linalg.norm(one, axis=1)
    return np.where(np.isfinite(found), found, -1.0)
