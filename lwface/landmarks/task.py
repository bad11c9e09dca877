"""The point task: a network puts K points on a face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from lwface.base.evaluating import evaluating
from lwface.landmarks.data import PointImages
from lwface.models.store import save_model
from lwface.settings.run import Run
from lwface.training.optimizer import group
from lwface.training.task import Batch, Outcome, Score, Task, Validation, autocast


class PointTask(Task):
    """Regression of points: the network's 2 K numbers are their places, -1 at one edge of the image and 1 at the other.

    The loss is the mean absolute error of these numbers. The figure is NME, the mean distance of a point from its place
    over the side of the image.

    Args:
        network: (N, 3, S, S) to (N, 2 K), on ``device``.
        data: what is learnt from.
        held_out: what judges.
        run: the settings.
        device: where everything is.
    """

    figures = ("nme",)
    merit = "1-NME"

    def __init__(
        self, network: nn.Module, data: PointImages, held_out: PointImages, run: Run, device: torch.device
    ) -> None:
        self.network, self.data, self.held_out = network, data, held_out
        self.run, self.device = run, device
        self.modules = {"network": network}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Everything decays alike."""
        return [group([p for p in self.network.parameters() if p.requires_grad], self.run.wd)]

    def on_device(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, 3, S, S) uint8 and places (N, 2 K)."""
        images = batch.images.to(self.device).permute(0, 3, 1, 2)  # (N, 3, S, S)
        places = batch.targets.to(self.device) * (2 / batch.images.shape[2]) - 1  # (N, K, 2)
        return images, places.flatten(1)

    def outcome(self, inputs: Tensor, targets: Tensor) -> Outcome:
        """Mean absolute error, and the sum of the images' NME."""
        with autocast(self.device, self.run.precision):
            found = self.network(inputs)  # (N, 2 K)
        found = found.to(targets.dtype)
        return Outcome(functional.l1_loss(found, targets), {"nme": _nme(found.detach(), targets).sum()})

    def validate(self, step: int) -> Validation:
        """NME of the held-out faces."""
        found = []
        with evaluating(self.network), torch.inference_mode():
            for part in np.array_split(np.arange(len(self.held_out)), -(-len(self.held_out) // 64)):
                inputs, targets = self.on_device(self.held_out[part], step)
                found.append(_nme(self.network(inputs), targets))
        nme = float(torch.cat(found).double().mean())
        print(f"[heldout][{step}]NME: {nme:.5f}", flush=True)
        return Validation([Score("heldout", {"nme": nme})], [1 - nme])

    def announce(self) -> None:
        """Say how much there is to learn from."""
        points = self.held_out.points.shape[1]
        print(f"{points} points on {len(self.data)} images, {len(self.held_out)} held out", flush=True)

    def save(self, folder: Path, number: int, settings: Mapping[str, Any]) -> None:
        """Write the network."""
        save_model(str(folder / "model"), number, self.network, settings)


def _nme(found: Tensor, places: Tensor) -> Tensor:
    """(N,) mean distance of the points of each image from their places, both (N, 2 K), over the image's side."""
    return (found - places).unflatten(1, (-1, 2)).norm(dim=2).mean(dim=1) / 2
