"""SGD and AdamW on some rows of a parameter at a time, with the state of those rows and no others.

For a parameter of millions of rows whose gradient is made a block of rows at a time, or has only some of them: the
optimiser that holds it has nothing to do, as it finds no gradient. Rows without one keep weight, momentum and moments
as they are. The arithmetic is PyTorch's (``torch.optim.SGD`` and ``AdamW``), and so are the names of the state, which
is in the optimiser's own state dict. All of it has the parameter's rows, so it can be cut or moved with them; ``step``
too: each row counts its own updates, as AdamW's first ones are corrected by their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


class SomeRows(Protocol):
    """Which rows they are."""

    def of(self, tensor: Tensor) -> Tensor:
        """These rows of ``tensor``, a view or a copy."""

    def put(self, tensor: Tensor, values: Tensor) -> None:
        """Write them back, where they are a copy."""


@runtime_checkable
class RowHolder(Protocol):
    """Who has parameters whose gradient comes by rows."""

    def row_parameters(self) -> list[nn.Parameter]:
        """They are all of as many rows."""

    def global_rows(self, rows: Tensor) -> Tensor:
        """``rows`` (rows held, ...) as a part of those of all processes: a DTensor, or themselves where that is all."""

    def gradients(self) -> Iterable[tuple[SomeRows, list[tuple[nn.Parameter, Tensor]]]]:
        """Some rows, each at most once, and the gradient of each parameter for them, which may be written over."""


@torch.no_grad()
def update_rows(optimizer: torch.optim.Optimizer, holder: RowHolder, skipped: Tensor | None = None) -> None:
    """One update of the rows of ``holder`` that have a gradient.

    Args:
        optimizer: SGD or AdamW, as :func:`lwface.training.optimizer.create_optimizer` makes them; has the parameters.
        holder: of the parameters.
        skipped: () bool on the device: nothing is changed where it is true, which the host need not know.
    """
    groups = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    update, update_kept = (_adamw, _adamw_kept) if isinstance(optimizer, torch.optim.AdamW) else (_sgd, _sgd_kept)
    # Made here, so that the state has the same names in each process, also where no row had a gradient yet.
    states = {parameter: _state(optimizer, parameter, groups[parameter]) for parameter in holder.row_parameters()}
    for rows, found in holder.gradients():
        for parameter, gradient in found:
            group, state = groups[parameter], states[parameter]
            changed = {name: rows.of(tensor) for name, tensor in state.items()}
            weight = rows.of(parameter)
            if skipped is None:
                update(weight, gradient, changed, group)
            else:
                kept = skipped.logical_not().to(weight.dtype)
                update_kept(weight, gradient.masked_fill_(skipped, 0.0), changed, group, kept)
            rows.put(parameter, weight)
            for name, tensor in changed.items():
                rows.put(state[name], tensor)


def _state(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, group: Mapping[str, Any]) -> dict[str, Tensor]:
    """The optimiser's state of ``parameter``, zeros before its first update."""
    state: dict[str, Any] = optimizer.state[parameter]
    if isinstance(optimizer, torch.optim.AdamW):
        names = ["exp_avg", "exp_avg_sq", "step"]
    else:
        names = ["momentum_buffer"] if group["momentum"] else []
    for name in names:
        if name not in state:
            steps = torch.zeros(len(parameter), dtype=torch.int32, device=parameter.device)
            state[name] = steps if name == "step" else torch.zeros_like(parameter)
        elif state[name].device != parameter.device:  # PyTorch loads step to where it was
            state[name] = state[name].to(parameter.device)
    return {name: state[name] for name in names}


def _sgd(weight: Tensor, gradient: Tensor, state: dict[str, Tensor], group: Mapping[str, Any]) -> None:
    if group["weight_decay"]:
        gradient.add_(weight, alpha=group["weight_decay"])
    if state:
        gradient = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
    weight.add_(gradient, alpha=-group["lr"])


def _adamw(weight: Tensor, gradient: Tensor, state: dict[str, Tensor], group: Mapping[str, Any]) -> None:
    rate, (beta1, beta2) = group["lr"], group["betas"]
    weight.mul_(1 - rate * group["weight_decay"])
    first = state["exp_avg"].lerp_(gradient, 1 - beta1)
    second = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    steps = state["step"].add_(1).to(weight.dtype).view(-1, *[1] * (weight.ndim - 1))
    size = rate / (1 - beta1**steps)
    weight.sub_(size * first / (second.sqrt().div_((1 - beta2**steps).sqrt()).add_(group["eps"])))


def _sgd_kept(
    weight: Tensor, gradient: Tensor, state: dict[str, Tensor], group: Mapping[str, Any], kept: Tensor
) -> None:
    """:func:`_sgd` where ``kept``, () on the device, is 1; nothing where it is 0, and then the gradient must be 0."""
    gradient.addcmul_(weight, kept * group["weight_decay"])
    if state:
        gradient = state["momentum_buffer"].mul_(1 - kept * (1 - group["momentum"])).add_(gradient)
    weight.addcmul_(gradient, kept * -group["lr"])


def _adamw_kept(
    weight: Tensor, gradient: Tensor, state: dict[str, Tensor], group: Mapping[str, Any], kept: Tensor
) -> None:
    """:func:`_adamw` likewise."""
    (beta1, beta2), rate = group["betas"], kept * group["lr"]
    weight.mul_(1 - rate * group["weight_decay"])
    first = state["exp_avg"].lerp_(gradient, kept * (1 - beta1))
    second = state["exp_avg_sq"].mul_(1 - kept * (1 - beta2)).addcmul_(gradient, gradient, value=1 - beta2)
    steps = state["step"].add_(kept.to(state["step"].dtype)).clamp(min=1)  # rows without an update divide by none
    steps = steps.to(weight.dtype).view(-1, *[1] * (weight.ndim - 1))
    weight.sub_(rate / (1 - beta1**steps) * first / (second.sqrt().div_((1 - beta2**steps).sqrt()).add_(group["eps"])))
