"""SGD with momentum or AdamW, and which parameters are decayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lwface.losses import Classifier
from lwface.networks import FaceNetwork, mxnet_names

DECAYED_SUFFIXES = ("_weight", "_gamma")
FC7_BIAS_LR_FACTOR = 2.0  # as declared by the original


def create_optimizer(network: FaceNetwork, classifier: Classifier, config: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimizer ``config`` names over all that learns; set rates with :func:`set_learning_rate` before each update.

    What is decayed: MXNet's documented rule, by the names that MXNet gives to the same tensors. ``*_weight`` and
    ``*_gamma`` (convolutions, linear layers, batch norm's and PReLU's factors) decay with ``wd``; all else, biases and
    batch norm's offsets, never does. Gammas that a network fixes at 1 take no gradient and stay out. The classifier's
    weight takes ``fc7_wd_mult`` and ``fc7_lr_mult``; its bias, as the original declares it, decays never and learns
    twice as fast. Measured on MXNet 1.9.1, the original's program did not apply these declarations: it created its
    optimizer without the parameters' names, which left both tables of multipliers empty, and decayed all alike.

    The update of SGD is PyTorch's: ``v = mom * v + gradient + wd * w``, ``w -= lr * v``. MXNet keeps the rate inside
    the momentum: ``v = mom * v - lr * (gradient + wd * w)``, ``w += v``. The two are equal while the rate is constant;
    after a change PyTorch's takes effect at once, MXNet's over the next ``1 / (1 - mom)`` steps.

    AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2, with PyTorch's betas 0.9 and 0.999) decays the
    same parameters, apart from the gradient; ``mom`` is not for it.
    """
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    official = mxnet_names(network)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (decayed if official[name].endswith(DECAYED_SUFFIXES) else exempt).append(parameter)
    groups = [_group(decayed, config["wd"]), _group(exempt, 0.0)]
    for name, parameter in classifier.named_parameters():
        if name == "bias":
            groups.append(_group([parameter], 0.0, FC7_BIAS_LR_FACTOR))
        else:
            groups.append(_group([parameter], config["wd"] * config["fc7_wd_mult"], config["fc7_lr_mult"]))
    if config["optimizer"] == "adamw":
        return torch.optim.AdamW(groups, lr=0.0)
    return torch.optim.SGD(groups, lr=0.0, momentum=config["mom"])


def _group(parameters: list[nn.Parameter], weight_decay: float, lr_factor: float = 1.0) -> dict[str, Any]:
    return {"params": parameters, "weight_decay": weight_decay, "lr_factor": lr_factor}


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group ``rate`` times its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]
