"""The student's features get the teacher's directions."""

from __future__ import annotations

from torch import Tensor

from lwface.losses.classes import l2_normalise
from lwface.losses.distillation.base import DISTILLATIONS, Distillation


@DISTILLATIONS.register_as("cosine")
class CosineDistillation(Distillation):
    """``mean of |s / |s| - t / |t||^2 = 2 - 2 cos(s, t)``: the angular distillation of VarGFaceNet.

    Yan et al., "VarGFaceNet", ICCV workshops 2019 (arXiv 1910.04985): "an equivalence of angular distillation loss".
    The factor beside ArcFace could not be looked up here; 7 is the one by which it is known, and the loss is 2 at most
    for features that are not opposed, where a margin loss begins at some 10 to 40.
    """

    weight = 7.0

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """The mean squared distance of the unit rows of (N, T) and (N, T)."""
        return (l2_normalise(student) - l2_normalise(teacher)).square().sum(dim=1).mean()
