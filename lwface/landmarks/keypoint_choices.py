"""What a command line may ask of the keypoint challenge; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lwface.base.errors import UserError
from lwface.formats.keypoint_tables import SIDE

NETWORKS = ("lenet5", "mobileface", "naimishnet", "net2")  # of lwface/landmarks/keypoint_networks.py
DROP, FFILL, TWO_MODELS, MASKED = "drop", "ffill", "two-models", "masked"
APPROACHES = {
    DROP: "learn from the rows with all fifteen points alone",
    FFILL: "fill a missing point with the last known one above it, of whoever that is",
    TWO_MODELS: "drop, and a second model for the four points that most rows have",
    MASKED: "one model and every row; what is missing is left out of the loss",
}
PICTURES = (".png", ".jpg")  # kinds of image that points are drawn on
INPUT_SHAPE = (1, 1, SIDE, SIDE)  # of one image, for the gate


@dataclass(frozen=True)
class Augmentation:
    """How much a training image is changed, drawn evenly up to these limits.

    Attributes:
        mirror: with probability one half; the points of left and right change their names.
        shift: pixels, either way.
        scale: share of the size, larger or smaller.
        rotation: degrees, either way.
        brightness: share of the contrast, and of half of the grey range.
    """

    mirror: bool = True
    shift: float = 4.0
    scale: float = 0.1
    rotation: float = 10.0
    brightness: float = 0.2

    def check(self) -> None:
        """:class:`UserError` for what cannot be."""
        limits = {"shift": SIDE / 2, "scale": 0.9, "rotation": 180.0, "brightness": 1.0}
        for name, most in limits.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise UserError(f"--{name} {value:g}: expected 0 to {most:g}")


NO_AUGMENTATION = Augmentation(mirror=False, shift=0, scale=0, rotation=0, brightness=0)


# The fields of KeypointSettings that are settings of any run.
RUN_FLAGS = (
    *("models_root", "max_steps", "per_batch_size", "lr", "wd", "seed"),
    *("verbose", "frequent", "checkpoint_steps"),
)


@dataclass(frozen=True)
class KeypointSettings:
    """A training for the keypoint challenge; what most fields mean is told by :class:`lwface.settings.run.Run`.

    Attributes:
        approach: one of :data:`APPROACHES`.
        dataset: what the data set is called, in the name of the run's folder.
        max_steps: of each model; approaches differ in how many rows they have, so epochs would not be alike.
        held_out: share of the rows that judge.
    """

    network: str = "mobileface"
    approach: str = MASKED
    dataset: str = "keypoints"
    models_root: str = "models"
    max_steps: int = 3000
    per_batch_size: int = 64
    lr: float = 0.003
    wd: float = 1e-4
    seed: int = 0
    verbose: int = 250
    frequent: int = 50
    checkpoint_steps: int = 0
    held_out: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def folder(self) -> Path:
        """Where the models are kept."""
        return Path(self.models_root) / f"{self.network}-{self.approach}-{self.dataset}"
