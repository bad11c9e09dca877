"""What all trials of a model share: which samples are tried. Bytes and a secret decide, so that nobody can choose."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

ROWS = 64
TEST = "test"  # of a kit: the folder of what is embedded or predicted


@dataclass(frozen=True)
class ModelTrial:
    """A model that is said to have made a submission.

    Attributes:
        network: the model, opened.
        model, submission: the two files.
        kit: the starting kit of the track.
        secret: of the server.
    """

    network: nn.Module
    model: Path
    submission: Path
    kit: Path
    secret: bytes

    def drawn(self, count: int) -> NDArray[np.int64]:
        """Which of ``count`` samples are tried, in the order of the draw."""
        return drawn_rows(self.submission, count, self.secret)


def drawn_rows(submission: Path, count: int, secret: bytes) -> NDArray[np.int64]:
    """:data:`ROWS` of ``count`` rows, or all: the same for the same bytes and secret."""
    key = hmac.new(secret, digestmod=hashlib.sha256)
    with open(submission, "rb") as file:
        while block := file.read(1 << 22):
            key.update(block)
    draws = np.random.default_rng(int.from_bytes(key.digest(), "little"))
    return draws.choice(count, min(ROWS, count), replace=False)
