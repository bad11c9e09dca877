"""The student's features become the teacher's, number by number."""

from __future__ import annotations

from torch import Tensor

from lwface.losses.distillation.base import DISTILLATIONS, Distillation


@DISTILLATIONS.register_as("l2")
class FeatureDistillation(Distillation):
    """``mean over rows and numbers of (s - t)^2``, features as the networks give them, norms included.

    The last layer's case of FitNets (Romero et al., ICLR 2015, arXiv 1412.6550, equation 3: half the squared distance).
    The mean over the numbers makes the weight one for any width; 1 is ours.
    """

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """The mean squared difference of (N, T) and (N, T)."""
        return (student - teacher).square().mean()
