"""A margin softmax whose class weights are the teacher's, from single images at first to centres later."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lwface.losses.base import Margin
from lwface.losses.classes import l2_normalise
from lwface.losses.distillation.base import DISTILLATIONS, Distillation, require_cosine

LEAST = 1e-6  # of the factors, as in the authors' program


@DISTILLATIONS.register_as("adadistill")
class AdaDistill(Distillation):
    """The loss's own margin on cosines with centres ``w_y``, which follow the teacher (Boutros et al., ECCV 2024).

    Before a batch is scored, its classes' centres take its teacher features t in::

        alpha = clip(cos(s, t) * clip(cos(w_y, t), 1e-6, 1), 1e-6, 1)        w_y <- alpha w_y + (1 - alpha) t / |t|

    A student that does not resemble its teacher yet has alpha near 0 and is drawn to the teacher's feature of the
    very image; the better it becomes, the more its target is the mean over many. The second factor keeps hard images
    of a class from counting for more the later it is. As in arXiv 2407.01332, section 3, and the authors'
    ``utils/losses.py`` (fdbtrs/AdaDistill at 0842186, ``adaptive_weighted_alpha``).

    Ours: several images of one class in a batch give the mean of their updates (the program's assignment keeps one of
    them, which is not defined). The centres begin as the teacher's means; there they are drawn at random, and mean
    nothing until their class's first image. The margin is that of ``--loss``; the paper's are ArcFace's and CosFace's.

    There are N scores of all identities that take part: with very many, ``--sample-rate``.
    """

    centres: Tensor
    begun: Tensor
    follows = True
    needs_centres = True

    def __init__(self) -> None:
        super().__init__()
        self.margin: Margin | None = None

    def prepare(self, classes: int, width: int, margin: Margin | None) -> None:
        """Make room for the centres, which are state."""
        self.margin = require_cosine("adadistill", margin)
        self.register_buffer("centres", torch.zeros(classes, width))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def take_centres(self, centres: Tensor) -> None:
        """Begin with the centres (C, T); a run that goes on has others already."""
        if not self.begun:
            self.centres.copy_(centres)
            self.begun.fill_(True)

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """The cross-entropy of (N, T), after the centres have taken the teacher's (N, T) in."""
        assert self.margin is not None
        norms = torch.linalg.vector_norm(student, dim=1)
        student, teacher = l2_normalise(student), l2_normalise(teacher)
        if self.training:
            self._follow(student.detach(), teacher, labels)
        centres = self.centres if sample is None else self.centres[sample]
        index = (labels if sample is None else torch.searchsorted(sample, labels))[:, None]
        scores = student @ l2_normalise(centres).to(student.dtype).T  # (N, K)
        own = scores.gather(1, index).squeeze(1)
        with_margin = self.margin.own(own, norms)
        logits = self.margin.others(scores, own).scatter(1, index, with_margin[:, None]) * self.margin.scale
        loss = functional.cross_entropy(logits, index.squeeze(1))
        for term in (self.margin.penalty(norms), self.margin.pull(own)):
            loss = loss if term is None else loss + term.mean()
        return loss

    @torch.no_grad()
    def _follow(self, student: Tensor, teacher: Tensor, labels: Tensor) -> None:
        """Take unit rows (N, T) in."""
        centres = self.centres[labels].to(student.dtype)  # (N, T)
        typical = (l2_normalise(centres) * teacher).sum(dim=1).clamp(LEAST, 1)
        alpha = ((student * teacher).sum(dim=1) * typical).clamp(LEAST, 1)[:, None]
        wanted = alpha * centres + (1 - alpha) * teacher
        classes, place, images = labels.unique(return_inverse=True, return_counts=True)
        sums = torch.zeros(len(classes), wanted.shape[1], dtype=wanted.dtype, device=wanted.device)
        sums.index_add_(0, place, wanted)
        self.centres[classes] = (sums / images[:, None]).to(self.centres.dtype)
