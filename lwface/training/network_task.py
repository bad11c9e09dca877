"""A task whose model is one network: what decays, what goes to the device and what is saved are the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lwface.models.store import save_model
from lwface.settings.run import Run
from lwface.training.optimizer import group
from lwface.training.task import Batch, Task


class NetworkTask(Task):
    """Learns the weights of ``network``; a task that learns others beside them adds to ``modules``.

    Args:
        network: on ``device``.
        run: the settings.
        device: where everything is.
        next_command: what may be typed with the finished model, with ``{model}`` for its name; empty: nothing.
    """

    def __init__(self, network: nn.Module, run: Run, device: torch.device, next_command: str = "") -> None:
        self.run, self.device, self.next_command = run, device, next_command
        self.modules = {"network": network}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Matrices and kernels decay; factors, offsets and slopes do not."""
        learning = [p for module in self.modules.values() for p in module.parameters() if p.requires_grad]
        decayed, exempt = ([p for p in learning if (p.ndim > 1) is many] for many in (True, False))
        return [group(decayed, self.run.wd), group(exempt, 0.0)]

    def on_device(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) uint8, and targets."""
        images, targets = batch.on(self.device)
        return images.permute(0, 3, 1, 2), targets

    def save(self, folder: Path, number: int, settings: Mapping[str, Any]) -> None:
        """Write the network."""
        save_model(str(folder / "model"), number, self.modules["network"], settings)

    def next_commands(self, model: str) -> list[str]:
        """What is done with the model."""
        return [self.next_command.replace("{model}", model)] if self.next_command else []
