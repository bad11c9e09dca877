"""What lies near what, and at which angles: relations among the images of a batch, of networks of any widths."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional

from lwface.base.setting import Setting
from lwface.losses.classes import l2_normalise
from lwface.losses.distillation.base import DISTILLATIONS, Distillation

TINY = 1e-12  # added to squared distances: two equal images have a gradient of zero, not of infinity
GROUP = 64  # rows among which angles are compared: memory grows with their cube (a megabyte for 64)


@DISTILLATIONS.register_as("relational")
class RelationalDistillation(Distillation):
    """``distance * L_D + angle * L_A`` of Park et al., "Relational Knowledge Distillation", CVPR 2019.

    * ``L_D`` (equations 5 to 7): ``huber(|s_i - s_j| / mean - |t_i - t_j| / mean)``, each mean that of the batch's
      distances, averaged over the pairs of different rows.
    * ``L_A`` (equations 8 and 9): ``huber(cos(s_i s_j s_k) - cos(t_i t_j t_k))``, the angle at j, averaged over the
      triples of different rows; ``huber(x) = x^2 / 2`` up to 1, then ``|x| - 1/2``.

    Features are L2-normalised first, as they are compared in use. The weights 25 and 50 are TFace's
    (``recognition/tasks/ekd/distillation/rkd.py``), whose averages count a row's zero distance to itself too. Angles
    are taken within groups of 64 rows of a larger batch, which bounds memory.
    """

    maps = False

    def __init__(
        self,
        *,
        distill_distance: Annotated[float, Setting("weight of the distances of pairs", minimum=0)] = 25.0,
        distill_angle: Annotated[float, Setting("weight of the angles of triples", minimum=0)] = 50.0,
    ) -> None:
        super().__init__()
        self.of_distances, self.of_angles = distill_distance, distill_angle

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """The loss of rows (N, D) against rows (N, T); 0 for one row, without angles for two."""
        student, teacher = l2_normalise(student), l2_normalise(teacher)
        total = student.sum() * 0
        if len(student) > 1:
            total = total + self.of_distances * functional.smooth_l1_loss(_distances(student), _distances(teacher))
        groups = list(zip(student.split(GROUP), teacher.split(GROUP), strict=True))
        triples = sum(len(one) * (len(one) - 1) * (len(one) - 2) for one, _ in groups)
        for one, other in groups:
            if len(one) > 2:
                found = functional.smooth_l1_loss(_cosines(one), _cosines(other), reduction="sum")
                total = total + self.of_angles * found / triples
        return total


def _distances(rows: Tensor) -> Tensor:
    """Distances (P,) of all pairs of different rows (N, D), divided by their mean."""
    one, other = torch.triu_indices(len(rows), len(rows), 1, device=rows.device)
    found = ((rows[one] - rows[other]).square().sum(dim=1) + TINY).sqrt()
    return found / found.mean()


def _cosines(rows: Tensor) -> Tensor:
    """(N, N, N): ``[j, i, k]`` is the cosine of the angle at row j of (N, D) to i and k; 0 where two are the same."""
    sides = rows[None] - rows[:, None]  # (N, N, D): from j to i
    units = sides * torch.rsqrt(sides.square().sum(dim=2, keepdim=True) + TINY)
    cosines = units @ units.transpose(1, 2)
    same = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return cosines.masked_fill(same[None], 0.0)  # i = k; where i = j or k = j a side is zero already
