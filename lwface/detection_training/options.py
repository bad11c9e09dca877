"""What a training of the detector may be asked for; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NETWORK = "face_detector"
RUN_FLAGS = (
    *("models_root", "max_steps", "per_batch_size", "lr", "wd", "ema", "seed"),
    *("verbose", "frequent", "checkpoint_steps", "num_workers", "precision"),
)
SHARES = (0.6, 0.8, 0.8, 1.0)  # of the largest side, which the pictures of a step have, one step after the other
UNIT = 32  # pixels, of which sides are multiples


@dataclass(frozen=True)
class DetectorSettings:
    """A training of the detector; what most fields mean is told by :class:`lwface.settings.run.Run`.

    Attributes:
        held_out: share of the bank's people, the last ones, in the pictures that judge.
        judged: how many pictures judge.
        side: pixels of the largest pictures that are learnt from.
        pretrained: a detector to start from; empty: random numbers.
    """

    models_root: str = "models"
    max_steps: int = 8000
    per_batch_size: int = 16
    lr: float = 2e-3
    wd: float = 0.02
    ema: float = 0.998
    seed: int = 0
    verbose: int = 500
    frequent: int = 50
    checkpoint_steps: int = 200
    num_workers: int = 1
    precision: str = "auto"
    held_out: float = 0.1
    judged: int = 300
    side: int = 320
    pretrained: str = ""

    @property
    def folder(self) -> Path:
        """Where the models are kept."""
        return Path(self.models_root) / NETWORK

    @property
    def sides(self) -> tuple[int, ...]:
        """Pixels of the pictures of a step, one step after the other."""
        return tuple(max(1, round(share * self.side / UNIT)) * UNIT for share in SHARES)
