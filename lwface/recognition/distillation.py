"""The face task with a teacher: the student is told identities apart, and is drawn to what a trained network sees.

The teacher does not run while the student trains: its features are in a file (:mod:`lwface.recognition.teachers`), and
those of the same view are read for each image, mirrored or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lwface.base.device import sent
from lwface.base.errors import UserError
from lwface.losses import Classifier, create_margin
from lwface.losses.distillation import DISTILLATIONS, Teaching
from lwface.losses.supcon import SupervisedContrastive
from lwface.recognition.dataset import FaceDataset, stand_ins
from lwface.recognition.task import FaceTask
from lwface.recognition.teachers import open_teachers
from lwface.settings.run import Run
from lwface.training.optimizer import group
from lwface.training.processes import processes
from lwface.training.sampler import random_stream
from lwface.training.schedule import sample_rate
from lwface.training.task import Batch, Outcome


class TaughtFaces:
    """The batches of a :class:`FaceDataset` whose targets (N, 2) are the label and the place in the record file.

    The place is that of the image that is shown, where another one did not decode.
    """

    def __init__(self, faces: FaceDataset) -> None:
        self.faces = faces

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def used(self) -> np.ndarray:
        """Which images of the record file are trained on (n,)."""
        return np.arange(len(self.faces.records)) if self.faces.kept is None else self.faces.kept

    def batch(self, positions: np.ndarray, step: int, first: int = 0) -> Batch:
        """The batch of the images at ``positions`` (N,); errors as for :class:`FaceDataset`."""
        found = self.faces.batch(positions, step, first)
        places = np.asarray(positions if self.faces.kept is None else self.faces.kept[positions])
        if found.bad:
            places = places[stand_ins(~np.isin(self.faces.records.keys[places], list(found.bad)))]
        return found._replace(targets=torch.stack([found.targets, torch.from_numpy(places)], dim=1))


class DistilledTask(FaceTask):
    """A network that learns from identities and from a teacher.

    The loss is ``identity_weight`` times the classifier's plus ``distill_weight`` times the teacher's. What is learnt
    for the teacher alone (a map to its width, its thresholds, its moving centres) is in the checkpoint, and not in the
    model.

    Args are those of :class:`FaceTask`.

    Raises:
        UserError: the loss has no identities; a teacher cannot be read.
    """

    faces: FaceDataset
    figures = ("acc", "teacher")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        run = self.run
        if not isinstance(self.faces, FaceDataset):
            raise UserError("several data sets: a teacher's features are of one")
        compared = isinstance(self.classifier, SupervisedContrastive)
        if not (compared or isinstance(self.classifier, Classifier)):
            raise UserError(f"the loss {run.loss} has no identities: a teacher goes with those that have, and supcon")
        if DISTILLATIONS[run.distill].follows and processes().count > 1:  # before the teacher has seen all images
            raise UserError(f"distill {run.distill} keeps figures of the batches it sees: train it in one process")
        self.taught = TaughtFaces(self.faces)
        self.data = self.augmented(self.taught)
        self.teachers = open_teachers(run, self.faces.records, self.device)
        labels = self.faces.labels()
        self.identities = sum(head.shard.total for head in self.heads) or int(labels.max()) + 1
        self.teaching = Teaching(
            run.distill,
            run.as_dict(),
            classes=self.identities,
            student_width=self.network.embedding_size,
            teacher_width=self.teachers.width,
            margin=None if compared else create_margin(run.as_dict()),
            weight=run.distill_weight,
        )
        if self.teaching.way.needs_centres:
            images = self.taught.used
            self.teaching.way.take_centres(self.teachers.centres(images, labels, self.identities))
        self.modules["teaching"] = self.teaching.to(self.device)
        self.rows: Tensor = torch.empty(0, self.teachers.width)  # (N, T) the teacher's, of the step's batch
        self.sample: Tensor | None = None  # identities whose centres take part in the step

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Those of every face task, and the map to the teacher's width."""
        learnt = list(self.teaching.parameters())
        return [*super().parameter_groups(), *([group(learnt, self.run.wd)] if learnt else [])]

    def announce(self) -> None:
        """What is learnt from whom, beside what every face task says."""
        super().announce()
        run, width = self.run, self.teachers.width
        by_map = f", by a linear map from {self.network.embedding_size} to {width}" if self.teaching.map else ""
        weights = f"weight {self.teaching.weight:g} beside {run.identity_weight:g} of the identities"
        print(f"distillation {run.distill}{by_map}, {weights}", flush=True)

    def on_device(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W), and labels with the row of each in the teacher's features of this batch (N, 2)."""
        inputs, targets = super().on_device(batch, step)
        views = 2 * batch.targets[:, 1]
        if (mirror := self.mirrored(batch, step)) is not None:
            views = views + mirror
        self.rows = sent(torch.from_numpy(np.ascontiguousarray(self.teachers.rows(views.numpy()))), self.device)
        return inputs, torch.stack([targets[:, 0], torch.arange(len(targets), device=targets.device)], dim=1)

    def begin_step(self, targets: Tensor, step: int, run: Run) -> None:
        """Draw the identities that the update tells apart, and those whose centres take part, by seed and step."""
        labels = targets[:, 0].contiguous()
        super().begin_step(labels, step, run)
        rate, self.sample = sample_rate(run, step), None
        if rate < 1 and self.teaching.way.needs_centres:
            taken = torch.rand(self.identities, generator=random_stream(run.seed, "centres", step)) < rate
            taken[labels] = True
            self.sample = sent(taken.nonzero().squeeze(1), self.device)

    def outcome_of(self, output: Tensor, targets: Tensor) -> Outcome:
        """The loss of embeddings (N, D) with targets (N, 2), and how many the classifier tells rightly."""
        run = self.run
        labels, rows = targets.T.contiguous()
        loss = self.teaching(output, self.rows[rows], labels, self.sample)
        sums = {"acc": torch.zeros((), device=self.device), "teacher": loss.detach() * len(labels)}
        if run.identity_weight > 0:
            of_identities, sums["acc"] = self.classifier(output, labels)
            loss = loss + run.identity_weight * of_identities
        return Outcome(loss, sums)

    def facts(self) -> dict[str, Any]:
        """The teachers too."""
        return {**super().facts(), "teachers (digests)": self.teachers.digest}
