"""The keypoint task: a network puts points on greys, some of which are not known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lwface.base.account import skipped_lines
from lwface.base.evaluating import evaluating
from lwface.landmarks.keypoint_augment import augment, mirror_order
from lwface.landmarks.keypoint_choices import Augmentation
from lwface.landmarks.keypoint_data import KeypointBatches, KeypointPart
from lwface.landmarks.keypoint_networks import KeypointNetwork
from lwface.settings.run import Run
from lwface.training.network_task import NetworkTask
from lwface.training.optimizer import group
from lwface.training.sampler import random_stream
from lwface.training.task import Batch, Outcome, Score, Validation

ROWS_AT_ONCE = 256  # of a validation or prediction


class KeypointTask(NetworkTask):
    """Regression of coordinates in pixels by smooth L1, which is ``d**2 / 2`` up to a pixel and ``|d| - 1/2`` beyond.

    What is not known counts neither in the loss, a mean over the known coordinates, nor in a figure. ``pixels`` is the
    mean distance of an image's known points from their places; the merit is RMSE over all known coordinates of the
    held-out rows, the challenge's ranking.

    Args:
        network: on ``device``.
        part: what is learnt, and what judges.
        strength: how much a training image is changed.
        next_command: what may be typed with the finished model, with ``{model}`` for its name.
    """

    figures = ("pixels",)
    merit = "-RMSE"

    def __init__(
        self,
        network: KeypointNetwork,
        part: KeypointPart,
        strength: Augmentation,
        run: Run,
        device: torch.device,
        next_command: str = "",
    ) -> None:
        super().__init__(network, run, device, next_command)
        self.network, self.part, self.strength = network, part, strength
        self.data = KeypointBatches(part.train)
        self.order = mirror_order(part.points) if strength.mirror else list(range(len(part.points)))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Everything decays alike."""
        return [group([p for p in self.network.parameters() if p.requires_grad], self.run.wd)]

    def on_device(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, 1, 96, 96) float, 0..255, and places (N, 2 K), both changed as the seed and ``step`` say."""
        images, places = batch.on(self.device)
        stream = random_stream(self.run.seed, "augment", step)
        images, places = augment(images.unsqueeze(1).float(), places, self.order, self.strength, stream)
        return images, places.flatten(1)

    def outcome(self, inputs: Tensor, targets: Tensor) -> Outcome:
        """Smooth L1 over the known coordinates, and the sum of the images' mean distances."""
        found = self.network(inputs)  # (N, 2 K)
        known = ~targets.isnan()
        losses = functional.smooth_l1_loss(found[known], targets[known], reduction="sum")
        distances = (found.detach() - targets).unflatten(1, (-1, 2)).norm(dim=2)  # (N, K), NaN where not known
        return Outcome(losses / known.sum().clamp(min=1), {"pixels": distances.nanmean(dim=1).nan_to_num(0.0).sum()})

    def validate(self, step: int) -> Validation:
        """RMSE over the known coordinates of the held-out rows."""
        found = predict(self.network, self.part.held_out.images, self.device)
        rmse = math.sqrt(np.nanmean((found - self.part.held_out.points) ** 2))
        print(f"[heldout][{step}]RMSE: {rmse:.4f}", flush=True)
        return Validation([Score("heldout", {"rmse": rmse})], [-rmse])

    def announce(self) -> None:
        """Say what is learnt from, and what is left out and why."""
        summary = self.part.account.as_json()
        rows = f"{summary['taken']} of {summary['seen']} rows, {len(self.part.held_out.images)} rows judge"
        print(f"{len(self.part.points)} points: learning from {rows}", flush=True)
        print("\n".join(line.partition(" (")[0] for line in skipped_lines(summary)), flush=True)


def predict(network: KeypointNetwork, images: np.ndarray, device: torch.device) -> np.ndarray:
    """Points (N, K, 2) float64 in pixels, of greys ``images`` (N, 96, 96) uint8; not clipped."""
    found = []
    with evaluating(network), torch.inference_mode():
        for start in range(0, len(images), ROWS_AT_ONCE):
            batch = torch.from_numpy(images[start : start + ROWS_AT_ONCE]).to(device).unsqueeze(1)
            found.append(network(batch).double().cpu().unflatten(1, (-1, 2)).numpy())
    return np.concatenate(found)
