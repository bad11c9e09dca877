"""What a command line may ask of a training on sequences; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SIDE = 64  # pixels of a crop
PARTS = ("head", "trunk", "legs", "whole", "pose")
# Who it is, learnt with other clothes each time. The others are what is worn: they learn which video it is.
LASTING = ("head", "whole", "pose")
STEPS = {  # of the solution, each of which can be left out
    **{part: f"the evidence of the {part}" for part in PARTS},
    "quality": "frames weighted by their quality",
    "share": "sequences of one video share their evidence",
    "within": "what differs between one person's videos counts less",
    "nearest": "of a person's videos the nearest count most",
    "rerank": "re-ranking by k-reciprocal neighbours",
    "signatures": "signatures, where they are given",
}
NETWORK_WIDTHS = {"parts_s": (16, 32, 64), "parts_m": (24, 48, 96)}  # channels of the first layer and of two stages
SEQUENCE_KEY = "sequence_parts"  # of the settings of a model of sequences: its parts
RUN_FLAGS = (
    *("models_root", "max_steps", "per_batch_size", "lr", "wd", "seed"),
    *("verbose", "frequent", "checkpoint_steps"),
)


@dataclass(frozen=True)
class ClipSettings:
    """A training on sequences; what most fields mean is told by :class:`lwface.settings.run.Run`.

    Attributes:
        dataset: what the data set is called, in the name of the run's folder.
        emb_size: numbers of each part's embedding.
        frames: of a sequence that a step takes, in a row.
        ratio: of each person's videos, the first ones, that are learnt from.
        cover: share of the sequences whose faces are covered by grey while learning.
    """

    network: str = "parts_s"
    dataset: str = "people"
    models_root: str = "models"
    max_steps: int = 1500
    per_batch_size: int = 48
    lr: float = 0.003
    wd: float = 0.01
    seed: int = 0
    verbose: int = 200
    frequent: int = 20
    checkpoint_steps: int = 0
    emb_size: int = 64
    frames: int = 2
    ratio: float = 0.5
    cover: float = 0.5

    @property
    def folder(self) -> Path:
        """Where the models are kept."""
        return Path(self.models_root) / f"{self.network}-{self.dataset}"
