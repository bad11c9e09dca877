"""How the teacher would share an image out among all identities."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from lwface.base.setting import Setting
from lwface.losses.base import Margin
from lwface.losses.classes import l2_normalise
from lwface.losses.distillation.base import DISTILLATIONS, Distillation


@DISTILLATIONS.register_as("logit")
class LogitDistillation(Distillation):
    """``T^2 KL(softmax(z_t / T) || softmax(z_s / T))``, mean over the rows: Hinton et al., 2015 (arXiv 1503.02531).

    Logits are ``scale * cos(feature, centre)``. A teacher that somebody else trained on other people has no head of
    these identities; the centres, its unit mean features of each, stand for one, and both features are scored against
    them. (In the paper each network has a head of its own.) T = 4 is TFace's (``simple_kd.py``), the scale ArcFace's.

    There are N scores of all identities that take part: with very many, ``--sample-rate``.
    """

    centres: Tensor
    needs_centres = True

    def __init__(
        self,
        *,
        distill_temperature: Annotated[float, Setting("temperature of both softmaxes", above=0)] = 4.0,
        distill_scale: Annotated[float, Setting("scale of the cosines with the teacher's centres", above=0)] = 64.0,
    ) -> None:
        super().__init__()
        self.temperature, self.scale = distill_temperature, distill_scale

    def prepare(self, classes: int, width: int, margin: Margin | None) -> None:
        """Make room for the centres; they come from the teacher's features again when a run is resumed."""
        self.register_buffer("centres", torch.zeros(classes, width), persistent=False)

    def take_centres(self, centres: Tensor) -> None:
        """Take the centres (C, T)."""
        self.centres.copy_(centres)

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """The divergence of what (N, T) and (N, T) make of the centres."""
        centres = (self.centres if sample is None else self.centres[sample]).to(student.dtype)
        factor = self.scale / self.temperature
        of_student, of_teacher = (l2_normalise(rows) @ centres.T * factor for rows in (student, teacher))
        shares = functional.log_softmax(of_student, dim=1)
        wanted = functional.log_softmax(of_teacher, dim=1)
        found = functional.kl_div(shares, wanted, reduction="batchmean", log_target=True)
        return found * self.temperature**2
