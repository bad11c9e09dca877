"""What every way to teach shares: features of a student and of a teacher of the same views, and one number.

A way is a :class:`Distillation`, registered under the name that ``--distill`` gives. :class:`Teaching` holds one, with
what is learnt beside it and is dropped with it: a linear map from the student's features to the teacher's, where a way
compares numbers of both and their widths differ.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lwface.base.errors import UserError
from lwface.base.registry import Registry
from lwface.base.setting import require_declared
from lwface.losses.base import Margin


class Distillation(nn.Module):
    """A loss of a batch of the student's features against the teacher's.

    The parameters of its ``__init__`` are its settings in a configuration, as a loss's are
    (:mod:`lwface.base.setting`). State that it keeps from batch to batch is a buffer, changed without gradient and only
    ``if self.training``, and so part of the checkpoint.

    Attributes:
        weight: what ``--distill-weight 0`` stands for.
        maps: its features must be as wide as the teacher's; relations between rows need not.
        follows: its state is moved by each batch, so that each of several processes would have another.
        needs_centres: it wants the teacher's mean feature of each identity, by :meth:`take_centres`.
    """

    weight: float = 1.0
    maps: bool = True
    follows: bool = False
    needs_centres: bool = False

    def __init__(self) -> None:  # one that takes nothing else has no settings
        super().__init__()

    def prepare(self, classes: int, width: int, margin: Margin | None) -> None:
        """Be told, before training, of how many identities and how wide the teacher is, and of the loss's margin.

        Raises:
            UserError: it cannot be with such a margin.
        """

    def take_centres(self, centres: Tensor) -> None:
        """Take the teacher's unit mean features (C, T) of all identities, zeros where one has no image."""
        raise NotImplementedError

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """The loss, a scalar, mean over the rows or over pairs of them.

        Args:
            student: (N, T), or (N, D) where :attr:`maps` is false; not normalised.
            teacher: (N, T) of the same images, mirrored where those are; no gradient.
            labels: (N,) int64.
            sample: (K,) rising identities that take part, those of the labels among them; None: all.
        """
        raise NotImplementedError


def _check(way: type[Distillation]) -> None:
    if not (isinstance(way, type) and issubclass(way, Distillation)):
        raise TypeError(f"{way!r}: a way to distil is a class derived from lwface.losses.distillation.Distillation")
    require_declared(way)


DISTILLATIONS: Registry[type[Distillation]] = Registry("way to distil", check=_check)


class Teaching(nn.Module):
    """A way to distil, with the map to the teacher's width where it needs one.

    Args:
        name: of the way.
        settings: of which those are taken that it declares.
        classes: C, identities of the data set.
        student_width, teacher_width: D and T.
        margin: of the loss beside it; None: it has none.
        weight: factor on the loss; 0: :attr:`Distillation.weight`.

    Attributes:
        map: (T, D), learnt with the student and never saved with it; None: none is needed.

    Raises:
        UserError: unknown way, or one that the margin does not allow.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        *,
        classes: int,
        student_width: int,
        teacher_width: int,
        margin: Margin | None = None,
        weight: float = 0.0,
    ) -> None:
        super().__init__()
        kind = DISTILLATIONS[name]
        names = inspect.signature(kind).parameters
        self.way = kind(**{key: settings[key] for key in names if key in settings})
        self.way.prepare(classes, teacher_width, margin)
        self.weight = weight or self.way.weight
        needs_map = self.way.maps and student_width != teacher_width
        self.map = nn.Linear(student_width, teacher_width, bias=False) if needs_map else None

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """The weighted loss of features (N, D) against the teacher's (N, T); in float32 at least, under autocast too.

        Raises:
            ValueError: the rows do not fit.
        """
        if len(student) != len(teacher) or len(labels) != len(teacher):
            raise ValueError(f"{len(student)} features, {len(teacher)} of the teacher and {len(labels)} labels")
        with torch.autocast(student.device.type, enabled=False):
            student = student.to(torch.promote_types(student.dtype, torch.float32))
            if self.map is not None:
                student = self.map(student)
            loss: Tensor = self.weight * self.way(student, teacher.to(student.dtype), labels, sample)
        return loss


def require_cosine(name: str, margin: Margin | None) -> Margin:
    """``margin``, if it is one on cosines with one centre a class.

    Raises:
        UserError: it is another, or none.
    """
    if margin is None or not margin.cosine or margin.bias or margin.centres != 1:
        raise UserError(f"--distill {name} puts the loss's margin on cosines with the teacher's centres: choose --loss")
    return margin
