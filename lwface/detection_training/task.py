"""The detector task: a network finds the faces of rendered scenes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lwface.base.device import sent
from lwface.base.evaluating import evaluating
from lwface.detection.reading import detections, padded
from lwface.detection_training.judging import FoundRanking, ranking
from lwface.detection_training.losses import detection_loss
from lwface.detection_training.scenes import SceneDataset
from lwface.detection_training.targets import owners
from lwface.networks.face_detector import FaceDetector, decoded, places_of
from lwface.settings.run import Run
from lwface.training.network_task import NetworkTask
from lwface.training.task import Outcome, Score, Validation, autocast

WANTED = 0.97  # precision at which recall is told


class DetectorTask(NetworkTask):
    """Learns to find faces. The figure is the mean overlap of the boxes that learn with the true ones; what decides
    which model is the best is average precision at an overlap of 0.5, on scenes of people who are not learnt from.

    Args:
        network: on ``device``.
        data: what is learnt from.
        held_out: whose pictures judge.
        judged: how many do.
        run: the settings.
        device: where everything is.
    """

    figures = ("overlap",)
    merit = "AP"

    def __init__(
        self,
        network: FaceDetector,
        data: SceneDataset,
        held_out: SceneDataset,
        judged: int,
        run: Run,
        device: torch.device,
    ) -> None:
        super().__init__(network, run, device)
        self.network, self.data, self.scenes = network, data, data
        self.judging = list(held_out.judging(judged))

    def outcome(self, inputs: Tensor, targets: Tensor) -> Outcome:
        """The loss, and the mean overlap."""
        with autocast(self.device, self.run.precision):
            numbers = self.network(inputs)
        middles, strides = (sent(one, self.device) for one in places_of(*inputs.shape[2:]))
        owner = owners(targets, middles, strides)
        loss, overlap = detection_loss(decoded(numbers.float(), middles, strides), targets, owner)
        return Outcome(loss, {"overlap": overlap})

    def validate(self, step: int) -> Validation:
        """Average precision, the score where precision and recall are best together, and recall at a precision."""
        found = self.judge()
        recall, score = found.recall_at(WANTED)
        precise = found.average_precision()
        print(f"[heldout][{step}]AP: {precise:.5f}", flush=True)
        mean, at = found.balanced()
        print(f"[heldout][{step}]F1: {mean:.5f}, score {at:.3f}", flush=True)
        print(f"[heldout][{step}]Recall at precision {WANTED}: {recall:.5f}, score {score:.3f}", flush=True)
        return Validation([Score("heldout", {"ap": precise, "recall": recall, "score": score})], [precise])

    def judge(self) -> FoundRanking:
        """What is found in the scenes that judge."""
        found = []
        with evaluating(self.network), torch.inference_mode():
            for image, _ in self.judging:
                pixels = padded(image)
                numbers = self.network(pixels.to(self.device)).float().cpu()
                faces = detections(decoded(numbers, *places_of(*pixels.shape[2:])))
                boxes = np.array([face.box for face in faces], np.float64).reshape(-1, 4)
                found.append((boxes, np.array([face.score for face in faces], np.float64)))
        true = [
            (np.array([face.box for face in faces]).reshape(-1, 4), np.array([face.clear for face in faces], bool))
            for _, faces in self.judging
        ]
        return ranking(found, true)

    @property
    def validation_images(self) -> int:
        """The scenes that judge."""
        return len(self.judging)

    def announce(self) -> None:
        """Say how much there is to learn from."""
        heads, backs = len(self.scenes.faces), len(self.scenes.backs)
        print(
            f"scenes of {heads} heads and {backs} from behind; {len(self.judging)} scenes of others judge", flush=True
        )

    def facts(self) -> dict[str, Any]:
        """What must be the same to continue."""
        return {"heads": len(self.scenes.faces), "behind": len(self.scenes.backs)}
