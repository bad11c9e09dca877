"""What a run of the point task may be asked for; nothing heavy is imported here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lwface.base.errors import UserError

# What the network sees: a square around the face's box, the whole picture of one face, or now this and now that, so
# that it finds the box in a picture by itself.
VIEWS = BOX, IMAGE, BOTH = ("box", "image", "both")

# The settings of a run that differ from recognition's.
DEFAULTS = {
    "optimizer": "adamw", "lr": 3e-3, "wd": 0.05, "mom": 0.9, "per_batch_size": 64, "lr_policy": "cosine",
    "warmup_steps": 200, "max_steps": 10_000, "verbose": 500, "frequent": 50, "num_workers": 2, "end_epoch": 1_000_000,
    "lr_steps": "", "ckpt": 3, "models_root": "models", "ema": 0.998,
}  # fmt: skip
LOSS_OF_HEAD = {"coordinates": "wing", "heatmap": "adaptive_wing", "pip": "l1", "simcc": "l1", "integral": "l1"}
DEFAULT_HEAD = "integral"


def full(path: Path) -> Path:
    """``path`` from the root, with links as they are: that of ``.`` has a name."""
    return Path(os.path.abspath(path))


@dataclass(frozen=True)
class PointSource:
    """Pictures to learn from.

    Attributes:
        path: folder or csv.
        times: how often each is taken in an epoch.
    """

    path: Path
    times: int = 1

    @staticmethod
    def of(text: str) -> PointSource:
        """``PATH`` or ``PATH:TIMES``.

        >>> PointSource.of("faces:3").times
        3
        """
        path, colon, times = text.rpartition(":")
        if colon and times.isdigit() and not Path(text).exists():
            if not int(times):
                raise UserError(f"--data {text}: each picture has to be taken at least once")
            return PointSource(Path(path), int(times))
        return PointSource(Path(text))


@dataclass(frozen=True)
class PointWish:
    """What a run of the point task is made of.

    Attributes:
        network: name in the configuration, or of a family.
        head, loss: names in their registries.
        data: what is learnt from.
        val: what judges; None: a part of ``data``.
        held_out: share of the people of ``data`` that judge, where ``val`` is None.
        split_seed: draws them.
        view: one of :data:`VIEWS`.
        augmentation: factor on the strength of the augmentation.
        settle: share of the steps, the last ones, in which crops are around the true boxes, neither moved nor scaled.
        pretrained: a model of points, or one of faces for the body alone, that is started from; empty: random.
    """

    network: str
    head: str
    loss: str
    data: Sequence[PointSource]
    val: Path | None = None
    held_out: float = 0.1
    split_seed: int = 0
    view: str = BOX
    augmentation: float = 1.0
    settle: float = 0.5
    pretrained: str = ""
