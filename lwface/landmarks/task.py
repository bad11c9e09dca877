"""The point task: a network puts K points on a face."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lwface.base.evaluating import evaluating
from lwface.gate.budgets import LANDMARKS
from lwface.landmarks.dataset import PointDataset
from lwface.landmarks.losses import POINT_LOSSES
from lwface.networks.points import PointNetwork
from lwface.settings.places import typed
from lwface.settings.run import Run
from lwface.training.network_task import NetworkTask
from lwface.training.task import Outcome, Score, Validation, autocast

PART = 64  # held-out faces that go through the network at once


class PointTask(NetworkTask):
    """Learns the points of faces. The figure is NME by box: the points' mean distance from their places, over the root
    of the area of their tight box.

    Args:
        network: on ``device``.
        data: what is learnt from.
        held_out: what judges; may be empty.
        loss: name in :data:`~lwface.landmarks.losses.POINT_LOSSES`.
        run: the settings.
        device: where everything is.
    """

    figures = ("nme",)
    merit = "1-NME"

    def __init__(
        self,
        network: PointNetwork,
        data: PointDataset,
        held_out: PointDataset,
        loss: str,
        run: Run,
        device: torch.device,
    ) -> None:
        super().__init__(network, run, device)
        self.network, self.data, self.held_out = network, data, held_out
        self.distance = POINT_LOSSES[loss]

    def outcome(self, inputs: Tensor, targets: Tensor) -> Outcome:
        """The head's loss, and the sum of the images' NME."""
        with autocast(self.device, self.run.precision):
            output = self.network.output(inputs)
        output, head = output.float(), self.network.head
        loss: Tensor = head.loss(output, targets, self.distance)  # type: ignore[operator]
        with torch.no_grad():
            found: Tensor = head.decode(output)  # type: ignore[operator]
        return Outcome(loss, {"nme": nme_by_box(found, targets).sum()})

    def validate(self, step: int) -> Validation:
        """NME of the held-out faces."""
        if not len(self.held_out):
            return Validation()
        nme = float(nme_by_box(*self.found(self.held_out)).double().mean())
        print(f"[heldout][{step}]NME: {nme:.5f}", flush=True)
        return Validation([Score("heldout", {"nme": nme})], [1 - nme])

    def found(self, data: PointDataset) -> tuple[Tensor, Tensor]:
        """Found and true places (N, K, 2) of ``data``, on the device."""
        found, true = [], []
        with evaluating(self.network), torch.inference_mode():
            for part in np.array_split(np.arange(len(data)), -(-len(data) // PART)):
                inputs, targets = self.on_device(data.batch(part, 0), 0)
                found.append(self.network(inputs).unflatten(1, (-1, 2)))
                true.append(targets)
        return torch.cat(found), torch.cat(true)

    @property
    def validation_images(self) -> int:
        """The held-out faces."""
        return len(self.held_out)

    def next_commands(self, model: str) -> list[str]:
        """The gate, and the points of pictures."""
        gate, predict = typed("gate", "common/flops_counter.py"), typed("predict-landmarks", "landmarks/predict.py")
        return [
            f"{gate} --model {model} --track {LANDMARKS.name}",
            f"{predict} --model {model} --input DIR --output solution.txt --zip",
        ]

    def announce(self) -> None:
        """Say how much there is to learn from."""
        print(f"{self.network.points} points on {len(self.data)} images, {len(self.held_out)} held out", flush=True)


def nme_by_box(found: Tensor, true: Tensor) -> Tensor:
    """(N,) the points' mean distance over the root of the area of the true points' tight box, both (N, K, 2)."""
    sides = true.amax(1) - true.amin(1)
    return (found - true).norm(dim=2).mean(1) / sides.prod(1).clamp(min=1e-6).sqrt()
