"""Make up in a network's tensors for what differs outside them, so that its embeddings stay those of the file.

A network here has epsilons, a preparation of the pixels and fixed scales of its own; a file comes from one with others.
Each function changes ``found``, tensors by their names in the network, and gives what it did, in words. All is done in
float64 and rounded once. In training a batch norm uses its batch, which undoes what its running variance or the scale
of its input makes up for, as it would in any network whose scale is fixed: that is for the training to learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import takewhile

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.models.pixels import pixels_text
from lwface.networks import FaceNetwork
from lwface.networks.base import PIXEL_MEAN, PIXEL_SCALE
from lwface.networks.layers import BatchNorm
from lwface.onnx.choices import Pixels

PASSING = (nn.Flatten, nn.Dropout, nn.Identity)  # between a layer and its norm, they change no number in evaluation


def fold_epsilon(network: FaceNetwork, found: dict[str, Tensor], epsilon: Callable[[str], float | None]) -> list[str]:
    """Batch norms with another epsilon: ``var + eps`` stays what it is.

    Where a variance is smaller than what the epsilon grows by, the scale takes what is left: gamma of a channel becomes
    ``gamma * sqrt(eps / (var + epsilon))`` and its variance 0.

    Args:
        epsilon: of the file's layer that is called so here; None: the same as here.
    """
    changed: set[float] = set()
    for path, norm in _norms(network):
        theirs, name = epsilon(path), f"{path}.running_var"
        if theirs is None or theirs == norm.eps or name not in found:
            continue
        changed.add(theirs)
        whole = found[name].double() + theirs
        found[name] = (whole - norm.eps).clamp(min=0).float()
        short = whole < norm.eps
        if short.any() and f"{path}.weight" in found:
            scale = torch.where(short, (norm.eps / whole).sqrt(), 1.0)
            found[f"{path}.weight"] = (found[f"{path}.weight"].double() * scale).float()
    said = ", ".join(f"{value:g}" for value in sorted(changed))
    return [f"its batch norms' epsilon of {said} is made up for in the running variances"] if changed else []


def fold_scales(network: FaceNetwork, found: dict[str, Tensor]) -> list[str]:
    """Trained scales (gamma) of batch norms that fix theirs at 1 here: into the layer before, else into the variance.

    ``g * (Wx + b - mean) / std + beta`` is ``(gWx + gb - g mean) / std + beta``, for any g.

    Raises:
        UserError: no layer before it can take the scale, and it is not one that a variance can.
    """
    notes = []
    for path, norm in _norms(network):
        name = f"{path}.weight"
        if not norm.fix_gamma or name not in found or bool((found[name] == 1).all()):
            continue
        scale = found[name].double()
        before = _layer_before(network, path)
        if before and f"{before}.weight" in found and len(found[f"{before}.weight"]) == len(scale):
            _scale_rows(found, scale, f"{before}.weight", f"{before}.bias", f"{path}.running_mean")
            where = before
        else:
            _fold_into_variance(found, scale, path, norm.eps)
            where = f"{path}.running_var"
        found[name] = torch.ones_like(found[name])
        low, high = float(scale.min()), float(scale.max())
        notes.append(f"the trained scale of {path} ({low:.3g} to {high:.3g}), fixed at 1 here, is folded into {where}")
    return notes


def ignored_scales(network: FaceNetwork, found: Mapping[str, Tensor]) -> list[str]:
    """Scales of a file that are not 1 where this network fixes them at 1, and the file does not say that it did not."""
    fixed = (path for path, norm in _norms(network) if norm.fix_gamma)
    given = {path: found[f"{path}.weight"] for path in fixed if f"{path}.weight" in found}
    return [
        f"the scale of {path} is fixed at 1: that of the file ({float(scale.min()):.3g} to {float(scale.max()):.3g}) "
        "is not used, as the network of that name ignores it"
        for path, scale in given.items()
        if not bool((scale == 1).all())
    ]


def fold_pixels(network: FaceNetwork, found: dict[str, Tensor], pixels: Pixels, *, first: str, norm: str) -> list[str]:
    """Another preparation of the pixels: order and range into the first convolution, or into the norm before it.

    Zeros are padded around what the convolution sees, so that another mean is exact only where a batch norm of the raw
    pixels comes before it (``net_input = 2``); else the outermost pixels see grey where they saw the mean.

    Args:
        first: the first convolution.
        norm: the batch norm after it, or, in a network that takes raw pixels, before it.
    """
    weight = f"{first}.weight"
    if weight not in found:
        return []
    notes = [f"its input of {_words(pixels)} is made up for in {first}" + ("" if network.normalise else f" and {norm}")]
    filters = found[weight].double()
    if pixels.color_order == "BGR":
        filters = filters.flip(1)
    if not network.normalise:
        epsilon = network.get_submodule(norm).eps
        ones = torch.ones(filters.shape[1])
        variance = pixels.scale**-2 - float(epsilon)  # type: ignore[arg-type]
        found.update({f"{norm}.weight": ones, f"{norm}.bias": 0 * ones})
        found.update({f"{norm}.running_mean": pixels.mean * ones, f"{norm}.running_var": variance * ones})
        found[weight] = filters.float()
        return notes
    if pixels.mean != PIXEL_MEAN and f"{norm}.running_mean" in found:
        offset = filters.sum((1, 2, 3)) * ((PIXEL_MEAN - pixels.mean) * pixels.scale)
        found[f"{norm}.running_mean"] = (found[f"{norm}.running_mean"].double() - offset).float()
        notes.append(
            f"WARNING: its mean of {pixels.mean:g} is exact but for the outermost pixels; a network with net_input = 2 "
            "takes it exactly"
        )
    found[weight] = (filters * (pixels.scale / PIXEL_SCALE)).float()
    return notes


def _words(pixels: Pixels) -> str:
    mean, divisor = f"{pixels.mean:g}", f"{1 / pixels.scale:g}"
    return f"{pixels.color_order} (x - {mean}) / {divisor} ({pixels_text(pixels)})"


def _norms(network: FaceNetwork) -> list[tuple[str, BatchNorm]]:
    return [(path, module) for path, module in network.named_modules() if isinstance(module, BatchNorm)]


def _scale_rows(found: dict[str, Tensor], scale: Tensor, *names: str) -> None:
    """Multiply what belongs to each output channel by its ``scale``."""
    for name in names:
        if name in found:
            shape = (-1, *(1 for _ in found[name].shape[1:]))
            found[name] = (found[name].double() * scale.reshape(shape)).float()


def _fold_into_variance(found: dict[str, Tensor], scale: Tensor, path: str, epsilon: float) -> None:
    """``g / sqrt(var + eps)`` is ``1 / sqrt((var + eps) / g^2)``, for a g above 0 that leaves a variance."""
    name = f"{path}.running_var"
    variance = (found[name].double() + epsilon) / scale.square() - epsilon if name in found else None
    if variance is None or not bool(((scale > 0) & (variance >= 0)).all()):
        reason = "the layer before it is no convolution or linear layer, and its variance cannot take such a scale"
        raise UserError(f"the file's scale of {path} was trained, and is fixed at 1 in this network: {reason}")
    found[name] = variance.float()


def _layer_before(network: FaceNetwork, path: str) -> str | None:
    """The convolution or linear layer whose output the batch norm ``path`` takes, if they follow in one sequence."""
    parent, _, own = path.rpartition(".")
    sequence = network.get_submodule(parent)
    if not isinstance(sequence, nn.Sequential):
        return None
    earlier = list(takewhile(lambda child: child[0] != own, sequence.named_children()))
    for name, module in reversed(earlier):
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            return f"{parent}.{name}"
        if not isinstance(module, PASSING):
            return None
    return None
