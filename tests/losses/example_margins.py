"""Every registered loss, and margins that use all that the protocol of lwface/losses/base.py offers."""

from __future__ import annotations

import torch

from lwface.losses import LOSSES, Margin, create_margin


class Learning(Margin):
    """Norms with their gradient, a running mean, other classes' scores by state and own score, penalty and pull."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = 8.0
        self.register_buffer("mean", torch.ones((), dtype=torch.float64))

    def own(self, score, norms):
        if self.training:
            self.mean.copy_(0.5 * self.mean + 0.5 * norms.detach().mean())
        return score - 0.1 * norms / self.mean

    def others(self, scores, own):
        harder = scores * (1 + 0.1 * self.mean) + 0.3 * own[:, None].square()
        return torch.where(scores > own[:, None] - 0.1, harder, scores)

    def penalty(self, norms):
        return 0.01 / norms

    def pull(self, own):
        return 0.1 * (1 - own).square()


class Random(Margin):
    """A margin drawn for each row."""

    scale = 8.0

    def own(self, score, norms):
        return score - 0.1 * torch.rand_like(score)


class Centres(Margin):
    """Three centres a class."""

    scale, centres = 8.0, 3

    def own(self, score, norms):
        return score - 0.2


class Filtered(Margin):
    """Classes that are too near are left out: their gradient is none."""

    scale = 8.0

    def others(self, scores, own):
        return scores.masked_fill(scores > 0.5, -torch.inf)


EXAMPLES = {example.__name__: example for example in (Learning, Random, Centres, Filtered)}


def margin_names():
    """Those with a weight of classes."""
    return [*EXAMPLES, *(name for name in LOSSES if issubclass(LOSSES[name], Margin))]


def margin_of(name):
    """As double precision, with a scale at which all classes matter."""
    if name in EXAMPLES:
        return EXAMPLES[name]().double()
    margin = create_margin({"loss_name": name, "loss_s": 8.0, "loss_m2": 0.5, "loss_m3": 0.1})
    return margin.double()
