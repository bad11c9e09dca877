"""What a search is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from lwface.gate.budgets import Track
from lwface.settings.dataset_folder import short_name
from lwface.settings.places import Places

FAMILIES = {"mobile": "fmobilefacenet", "residual": "fresnet"}  # by the word of --family


@dataclass(frozen=True)
class SearchOptions:
    """What a search is asked to do."""

    track: Track
    dataset: str
    loss: str
    final_loss: str
    trials: int
    family: str
    shares: tuple[float, float]  # least and largest share of the track's FLOPs
    steps: int
    images_per_step: int
    lr: float | None
    act: str
    reports: int
    far: Fraction | None  # None: what the held-out pairs support
    baselines: tuple[str, ...]
    seed: int
    name: str  # of the winner's entry
    models_root: Path
    device: str
    places: Places

    @property
    def folder(self) -> Path:
        """Where the search is kept."""
        return self.models_root / f"search-{self.family}-{self.track.name}-{short_name(self.dataset)}"
