"""Pairs are to be accepted by the student where the teacher accepts them, at the FARs at which models are judged."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lwface.base.setting import Setting
from lwface.losses.classes import l2_normalise
from lwface.losses.distillation.base import DISTILLATIONS, Distillation

ONE_IN = (10, 100, 1000, 10_000, 100_000, 1_000_000)  # impostor pairs: false positive rates 1e-1 to 1e-6


@DISTILLATIONS.register_as("ekd")
class EvaluationDistillation(Distillation):
    """Huang et al., "Evaluation-oriented Knowledge Distillation for Deep Face Recognition", CVPR 2022.

    Of each network, thresholds ``h_k`` are a running mean of the cosines that one in 10, 100, ... 1 000 000 of the
    batch's impostor pairs exceeds. How a pair ranks is ``r = sum_k sigmoid((cosine - h_k) / 0.01)``, about the number
    of thresholds it passes, each network by its own. The loss is ``positive * mean (r_s - r_t)^2`` over the genuine
    pairs, plus ``negative *`` the same over the impostor pairs with the student's 2000 highest cosines.

    As in the authors' program (TFace, ``recognition/tasks/ekd/distillation/ekd.py`` at 171ec14), whose values these
    are: 0.02, 0.01, the sigmoid's temperature 0.01, share of a batch in the running means 0.01, 2000 pairs. In a batch
    of 64 there are some 2000 impostor pairs, so that from 1e-4 on a threshold is the highest cosine of all. Ours: the
    running means begin with the first batch, there with 0. The paper itself could not be read here.

    The program makes half of each batch of people with several images. Here batches are what they are for all methods:
    with very many identities genuine pairs are rare, and the impostor pairs teach.
    """

    of_student: Tensor
    of_teacher: Tensor
    begun: Tensor
    maps = False
    follows = True

    def __init__(
        self,
        *,
        distill_positive: Annotated[float, Setting("weight of genuine pairs", minimum=0)] = 0.02,
        distill_negative: Annotated[float, Setting("weight of impostor pairs", minimum=0)] = 0.01,
        distill_softness: Annotated[float, Setting("temperature of the step at a threshold", above=0)] = 0.01,
        distill_share: Annotated[float, Setting("share of a batch in the thresholds", above=0, maximum=1)] = 0.01,
        distill_hardest: Annotated[int, Setting("impostor pairs that teach", minimum=1)] = 2000,
    ) -> None:
        super().__init__()
        self.positive, self.negative = distill_positive, distill_negative
        self.softness, self.share, self.hardest = distill_softness, distill_share, distill_hardest
        self.register_buffer("of_student", torch.zeros(len(ONE_IN)))
        self.register_buffer("of_teacher", torch.zeros(len(ONE_IN)))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """The loss of the pairs of (N, D) against those of (N, T); 0 where there are none."""
        one, other = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
        genuine = labels[one] == labels[other]
        pairs, wanted = ((rows @ rows.T)[one, other] for rows in (l2_normalise(student), l2_normalise(teacher)))
        of_others = pairs[~genuine]
        total = student.sum() * 0
        if not len(of_others):  # no threshold
            return total
        if self.training:
            self._follow(of_others.detach(), wanted[~genuine])
        if len(of_others) < len(pairs):
            total = total + self.positive * self._loss(pairs[genuine], wanted[genuine])
        hardest = of_others.detach().topk(min(self.hardest, len(of_others))).indices
        return total + self.negative * self._loss(of_others[hardest], wanted[~genuine][hardest])

    def _loss(self, pairs: Tensor, wanted: Tensor) -> Tensor:
        """The mean squared difference of the ranks of cosines (P,) and (P,)."""
        ranks = [
            torch.sigmoid((cosines[:, None] - thresholds.to(cosines.dtype)) / self.softness).sum(dim=1)
            for cosines, thresholds in ((pairs, self.of_student), (wanted, self.of_teacher))
        ]
        return (ranks[0] - ranks[1]).square().mean()

    @torch.no_grad()
    def _follow(self, pairs: Tensor, wanted: Tensor) -> None:
        """Take the impostor pairs' cosines (P,) of both into the thresholds."""
        places = torch.tensor([len(pairs) // one_in for one_in in ONE_IN], device=pairs.device)
        for thresholds, cosines in ((self.of_student, pairs), (self.of_teacher, wanted)):
            found = cosines.sort(descending=True).values[places].to(thresholds.dtype)
            # without asking the device whether it has begun
            thresholds.copy_(torch.where(self.begun, thresholds.lerp(found, self.share), found))
        self.begun.fill_(True)
