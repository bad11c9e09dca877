"""The gate of a track that wants the model too: it is counted, held against the limits, and tried on some images.

The server embeds images of the starting kit itself and compares with the rows handed in. Which images, the submission's
bytes and a secret of the server decide: nobody can choose a file that is looked at where it is honest.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lwface.base.errors import UserError
from lwface.challenge.kinds import ChallengeTrack
from lwface.challenge.results import Malformed, judging
from lwface.features.embedder import Embedder
from lwface.features.writing import decode
from lwface.formats.feature_file import read_features
from lwface.formats.file_list import read_image_list
from lwface.gate.flops import budget_violations, count_flops
from lwface.models.store import load_model

ROWS = 64
LEAST_COSINE = 0.999  # backends and processors differ in the seventh digit, another network in the first
BATCH = 16
SIDE = 112
TRIED = "recognition-images"


def pass_gate(track: ChallengeTrack, model: Path, submission: Path, images: Path, secret: bytes) -> dict[str, Any]:
    """What the gate found: ``flops``, ``model_bytes``, ``parameters``, ``embedding``, ``rows_tried``, ``worst_cosine``.

    Args:
        images: folder with the images of the rows and their list, for a track of images.

    Raises:
        Malformed: the model breaks a limit, is none, or has not made the rows.
        UserError: the challenge lacks the images.
    """
    with judging(model):
        network, _ = load_model(str(model))
        report = count_flops(network)
    size = max(report.model_bytes, model.stat().st_size)
    found = budget_violations(report, track.limits, size) if track.limits is not None else []
    if found:
        raise Malformed(model.name, "; ".join(found))
    told = {
        "flops": report.flops,
        "model_bytes": size,
        "parameters": report.params,
        "embedding": report.embedding,
        "number_type": report.number_type,
    }
    if track.kind != TRIED:
        return told | {"tried": "no: this kind of track is counted alone"}
    names = read_image_list(images)
    rows = drawn_rows(submission, len(names), secret)
    worst, row = compare(network, submission, images, names, rows, model)
    if worst < LEAST_COSINE:
        says = f"row {row} (from 0) of {submission.name} is not what it makes of that image: cosine {worst:.4f}"
        raise Malformed(model.name, f"{says}, at least {LEAST_COSINE} expected")
    return told | {"rows_tried": len(rows), "worst_cosine": f"{worst:.6f}"}


def drawn_rows(submission: Path, count: int, secret: bytes) -> NDArray[np.int64]:
    """Which of ``count`` rows are tried: the same for the same bytes and secret."""
    key = hmac.new(secret, digestmod=hashlib.sha256)
    with open(submission, "rb") as file:
        while block := file.read(1 << 22):
            key.update(block)
    draws = np.random.default_rng(int.from_bytes(key.digest(), "little"))
    return np.sort(draws.choice(count, min(ROWS, count), replace=False))


def compare(
    network: Any, submission: Path, images: Path, names: Sequence[str], rows: NDArray[np.int64], model: Path
) -> tuple[float, int]:
    """The worst cosine of the rows handed in with what ``network`` makes, plain or with the mirror image; its row."""
    with judging(submission):
        handed_in = read_features(submission)
        if len(handed_in) != len(names):
            raise Malformed(submission.name, f"has {len(handed_in)} rows, expected {len(names)}")
        given = np.asarray(handed_in[rows], np.float64)
    pictures = decode([str(images / names[row]) for row in rows.tolist()], SIDE, SIDE)
    if pictures.faults:
        raise UserError(f"{pictures.faults[0][0]}: {pictures.faults[0][1]}")
    with judging(model):
        plain, mirrored = Embedder(network, device=torch.device("cpu"), batch_size=BATCH).embed_both(pictures.images)
    if plain.shape != given.shape:
        raise Malformed(model.name, f"gives {plain.shape[1]} numbers an image, {submission.name} has {given.shape[1]}")
    cosines = np.max([_cosines(given, plain), _cosines(given, plain + mirrored)], axis=0)
    worst = int(np.argmin(cosines))
    return float(cosines[worst]), int(rows[worst])


def _cosines(one: NDArray[np.float64], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of each row with its counterpart; -1 where one has no direction."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other.astype(np.float64), axis=1)
    products = np.einsum("rc,rc->r", one, other.astype(np.float64))
    with np.errstate(all="ignore"):
        found = products / lengths
    return np.where(np.isfinite(found), found, -1.0)
