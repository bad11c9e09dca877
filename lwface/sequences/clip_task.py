"""The sequence task: a network learns who is on a sequence, and what they wear, by each of its parts on its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lwface.losses import Classifier
from lwface.losses.margin_softmax import MarginSoftmax
from lwface.sequences.clip_augment import augment_clips, change_clothes
from lwface.sequences.clip_options import LASTING, PARTS
from lwface.sequences.clips import ClipData, unpack
from lwface.sequences.network import SequenceNetwork
from lwface.settings.run import Run
from lwface.training.network_task import NetworkTask
from lwface.training.sampler import random_stream
from lwface.training.task import Batch, Outcome, Validation, autocast

SCALE, MARGIN = 24.0, 0.2  # of CosFace, for some hundred people


class ClipTask(NetworkTask):
    """Each part of a sequence has its own classifier (CosFace: Wang et al., CVPR 2018). What lasts tells people apart,
    in changed clothes; what is worn tells videos apart, as a person wears other clothes in each. The loss is the mean
    over the parts, each over the sequences that show it. Nothing is validated: the videos that judge are not to be
    looked at, and those learnt from say nothing.

    Args:
        network: on ``device``.
        data: what is learnt from.
        run: the settings.
        cover: share of the sequences whose faces are covered.
        device: where everything is.
        next_command: what may be typed with the finished model, with ``{model}`` for its name.
    """

    figures = ("acc",)

    def __init__(
        self,
        network: SequenceNetwork,
        data: ClipData,
        run: Run,
        cover: float,
        device: torch.device,
        next_command: str = "",
    ) -> None:
        super().__init__(network, run, device, next_command)
        self.network, self.data, self.clips, self.cover = network, data, data, cover
        self.classifiers = [
            Classifier(MarginSoftmax(loss_s=SCALE, loss_m3=MARGIN), len(names), network.embedding_size).to(device)
            for names in (data.people if part in LASTING else data.videos for part in PARTS)
        ]
        self.modules["classifiers"] = nn.ModuleList(self.classifiers)

    def on_device(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, T, 3, 64, 64) uint8, and targets (N, 2 + T * 51)."""
        images, targets = batch.on(self.device)
        self.step = step
        return images.permute(0, 1, 4, 2, 3), targets

    def outcome(self, inputs: Tensor, targets: Tensor) -> Outcome:
        """The mean of the parts' losses, and on how many sequences what lasts tells the person."""
        labels, points = unpack(targets)
        stream = random_stream(self.run.seed, "augment", self.step)
        images, points = augment_clips(inputs, points, self.cover, stream)
        with autocast(self.device, self.run.precision):
            evidence = self.network(images, points, change_clothes(images, points, stream))
        losses, scores = [], torch.zeros((), device=self.device)
        for place, classifier in enumerate(self.classifiers):
            seen = evidence.weights[:, place] > 0
            rows = evidence.embeddings[:, place].float()
            lasting = PARTS[place] in LASTING
            if seen.any():
                losses.append(classifier(rows[seen], labels[seen, 0 if lasting else 1]).loss)
            if lasting:
                with torch.no_grad():
                    scores = scores + seen[:, None] * classifier.plain_logits(rows)
        return Outcome(torch.stack(losses).mean(), {"acc": (scores.argmax(1) == labels[:, 0]).sum()})

    def validate(self, step: int) -> Validation:
        """Nothing: see the class."""
        return Validation()

    def announce(self) -> None:
        """Say how much there is to learn from."""
        frames = sum(len(clip.paths) for clip in self.clips.clips)
        people, videos = len(self.clips.people), len(self.clips.videos)
        print(f"{len(self.clips)} sequences ({frames} frames, {videos} videos) of {people} people", flush=True)

    def facts(self) -> dict[str, Any]:
        """What must be the same to continue."""
        return {"sequences": len(self.clips), "people": len(self.clips.people)}
