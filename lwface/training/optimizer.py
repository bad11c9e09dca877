"""SGD with momentum or AdamW over the parameter groups of a task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lwface.settings.run import Run


def create_optimizer(groups: list[dict[str, Any]], run: Run) -> torch.optim.Optimizer:
    """The optimiser ``run`` names over ``groups``; set rates with :func:`set_learning_rate` before each update.

    The update of SGD is PyTorch's: ``v = mom * v + gradient + wd * w``, ``w -= lr * v``. MXNet keeps the rate inside
    the momentum: ``v = mom * v - lr * (gradient + wd * w)``, ``w += v``. The two are equal while the rate is constant;
    after a change PyTorch's takes effect at once, MXNet's over the next ``1 / (1 - mom)`` steps.

    AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2, with PyTorch's betas 0.9 and 0.999) decays the
    same parameters, apart from the gradient; ``mom`` is not for it.

    Fused: one pass over weight, gradient and state, where PyTorch's usual takes one for each operation.
    """
    if run.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, fused=True)
    return torch.optim.SGD(groups, lr=0.0, momentum=run.mom, fused=True)


def group(parameters: list[nn.Parameter], weight_decay: float, lr_factor: float = 1.0) -> dict[str, Any]:
    """Parameters with their weight decay, and a factor on the learning rate."""
    return {"params": parameters, "weight_decay": weight_decay, "lr_factor": lr_factor}


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group ``rate`` times its own factor."""
    for each in optimizer.param_groups:
        each["lr"] = rate * each["lr_factor"]


def update_unless(optimizer: torch.optim.Optimizer, skipped: Tensor | None) -> None:
    """One update; none where ``skipped``, () bool, is true, which only the device has to know.

    PyTorch's fused updates look at ``found_inf`` there, as they do for its ``GradScaler``.
    """
    if skipped is not None:
        optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]
        _begin_momentum(optimizer)
    optimizer.step()


def _begin_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Momentum of zeros: SGD makes room for its first one, and a first update that is skipped leaves it unwritten."""
    for each in optimizer.param_groups:
        for parameter in each["params"] if each.get("momentum") else ():
            state = optimizer.state[parameter]
            if parameter.grad is not None and state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
