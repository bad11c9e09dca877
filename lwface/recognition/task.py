"""The face task: a network learns embeddings by telling identities apart, and is verified on pairs of faces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from lwface.base.device import sent
from lwface.base.errors import UserError
from lwface.base.files import sync_folder
from lwface.base.origin import file_sha256
from lwface.losses import BatchLoss, Classifier, Heads
from lwface.losses.supcon import SupervisedContrastive
from lwface.models.card import data_entry, model_card, write_card
from lwface.models.saved import LOCAL_KEYS
from lwface.models.store import save_model
from lwface.mxnet.export import mxnet_problem, save_mxnet
from lwface.mxnet.names import params_path
from lwface.networks import FaceNetwork, mxnet_names
from lwface.recognition.augmentation import AugmentedFaces
from lwface.recognition.dataset import FaceData, mirror_choice, to_network_input
from lwface.recognition.freezing import batch_norms, freeze
from lwface.recognition.groups import GroupedBatches
from lwface.recognition.starting_point import StartingPoint
from lwface.recognition.verifier import Verifier
from lwface.scoring.pack_accuracy import chance_difference
from lwface.settings.places import typed
from lwface.settings.run import Run
from lwface.training.optimizer import group
from lwface.training.processes import processes
from lwface.training.row_updates import update_rows
from lwface.training.sampler import BatchSampler, ListedBatches, random_stream
from lwface.training.schedule import margin_share, sample_rate
from lwface.training.task import Batch, Batches, Outcome, Score, Task, Validation, autocast

DECAYED_SUFFIXES = ("_weight", "_gamma")
FC7_BIAS_LR_FACTOR = 2.0  # as declared by the original


class FaceTask(Task):
    """Network and classifier on a set of identities.

    What is frozen (``freeze``) keeps weights and running statistics and works as in use; so does the whole network in
    the first ``head_warmup_steps``, in which no gradient reaches it.

    Args:
        network, classifier: on ``device``.
        data: what is learnt from.
        verifier: what judges.
        run: the settings.
        device: where everything is.

    Raises:
        UserError: a setting is for a classifier, which the loss has not; a part to freeze is not there.
    """

    faces: FaceData
    figures: tuple[str, ...] = ("acc",)
    merit = "Accuracy"

    def __init__(
        self,
        network: FaceNetwork,
        classifier: Classifier | Heads | BatchLoss,
        data: FaceData,
        verifier: Verifier,
        run: Run,
        device: torch.device,
    ) -> None:
        self.network, self.classifier, self.verifier = network, classifier, verifier
        self.run, self.device = run, device
        self.data, self.faces = self.augmented(data), data
        self.modules = {"network": network, "classifier": classifier}
        self.writes_mxnet = True
        if isinstance(classifier, BatchLoss):
            _check_has_head(run)
            self.in_epochs = not classifier.joint
            if classifier.joint and processes().count > 1:
                raise UserError(f"the loss {run.loss} compares the images of a batch: train it in one process")
        for head in self.heads:
            head.deferred = True
        self.resting = freeze(network, run.freeze)  # modules kept in evaluation mode
        if isinstance(classifier, BatchLoss) and not any(each.requires_grad for each in network.parameters()):
            raise UserError(f"freeze = {run.freeze!r}: nothing is left that learns, as the loss {run.loss} has no head")
        if run.freeze_bn:
            self.resting += batch_norms(network)
        self.network_waits = False  # while the head learns alone
        self.start: StartingPoint | None = None
        if run.start_share:
            self.start = self.modules["start"] = StartingPoint(network, run.start_share)
        self.start_entry: dict[str, Any] | None = None  # for the card: the model that the network is at first
        self.judged: tuple[int, list[Score]] = 0, []  # the last validation's step, and what it found

    @property
    def heads(self) -> list[Classifier]:
        """What holds a weight of identities: the classifier, several, or none."""
        if isinstance(self.classifier, Heads):
            return self.classifier.classifiers
        return [self.classifier] if isinstance(self.classifier, Classifier) else []

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What is decayed, and how fast it learns.

        MXNet's documented rule, by the names that MXNet gives to the same tensors: ``*_weight`` and ``*_gamma``
        (convolutions, linear layers, batch norm's and PReLU's factors) decay with ``wd``; all else, biases and batch
        norm's offsets, never does. Gammas that a network fixes at 1 take no gradient and stay out. The classifier's
        weight takes ``fc7_wd_mult`` and ``fc7_lr_mult``; its bias, as the original declares it, decays never and learns
        twice as fast. The network's rate has the factor ``backbone_lr_mult``; what is frozen is in no group. Measured
        on MXNet 1.9.1, the original's program did not apply these declarations: it created its optimizer without the
        parameters' names, which left both tables of multipliers empty, and decayed all alike.
        """
        run, official = self.run, mxnet_names(self.network)
        decayed: list[nn.Parameter] = []
        exempt: list[nn.Parameter] = []
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                (decayed if official[name].endswith(DECAYED_SUFFIXES) else exempt).append(parameter)
        factor = run.backbone_lr_mult
        groups = [group(decayed, run.wd, factor), group(exempt, 0.0, factor)]
        for name, parameter in self.classifier.named_parameters():
            if name.rpartition(".")[2] == "bias":
                groups.append(group([parameter], 0.0, FC7_BIAS_LR_FACTOR))
            else:
                groups.append(group([parameter], run.wd * run.fc7_wd_mult, run.fc7_lr_mult))
        return groups

    def on_device(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Images (N, 3, H, W) uint8, half of them mirrored, and labels (N,)."""
        images, labels = batch.on(self.device)  # (N, H, W, 3) uint8, (N,)
        mirror = self.mirrored(batch, step)
        return to_network_input(images, None if mirror is None else sent(mirror, self.device)), labels

    def mirrored(self, batch: Batch, step: int) -> Tensor | None:
        """Which of the batch's images are mirrored, bool (N,) on the CPU; None: none."""
        if not self.run.data_rand_mirror:
            return None
        return batch.own(mirror_choice(self.run.seed, step, batch.step_rows or len(batch.images)))

    def augmented(self, data: Batches) -> Batches:
        """``data`` as the network learns from it."""
        return AugmentedFaces(data, self.run.augment, self.run.seed) if self.run.augment else data

    def train_mode(self) -> None:
        """Put the modules into training mode but for those that are frozen."""
        super().train_mode()
        for module in self.resting:
            module.eval()

    def orders(
        self, images_per_step: int, *, seed: int, start: int, stop: int
    ) -> Iterator[BatchSampler | ListedBatches]:
        """All images by turns; groups of images of a person where the loss compares them."""
        if not isinstance(self.classifier, SupervisedContrastive):
            yield from super().orders(images_per_step, seed=seed, start=start, stop=stop)
            return
        size, labels = self.classifier.group_size, self.faces.labels()
        batches = GroupedBatches(labels, images_per_step, size, seed=seed, start=start, stop=stop)
        if batches.alone:
            print(f"{batches.alone} people with one image are left out: the loss {self.run.loss} needs two", flush=True)
        yield ListedBatches(batches, start=start)

    def begin_step(self, targets: Tensor, step: int, run: Run) -> None:
        """Draw the identities that the update tells apart, by seed and step; keep the network out of the first ones."""
        if not isinstance(self.classifier, BatchLoss):
            stream = random_stream(run.seed, "identities", step)
            self.classifier.begin(targets, sample_rate(run, step), stream, margin_share(run, step))
        self.network_waits = step < run.head_warmup_steps
        if self.network_waits:
            self.network.eval()

    def outcome(self, inputs: Tensor, targets: Tensor) -> Outcome:
        """The classifier's loss of images (N, 3, H, W) with labels (N,), and how many it tells rightly."""
        return self.outcome_of(self.output(inputs), targets)

    def output(self, inputs: Tensor) -> Tensor:
        """Embeddings (N, D)."""
        learns = torch.is_grad_enabled() and not self.network_waits
        with torch.set_grad_enabled(learns), autocast(self.device, self.run.precision):
            embeddings = self.network(inputs)
        return embeddings

    def outcome_of(self, output: Tensor, targets: Tensor) -> Outcome:
        """The classifier's loss of embeddings (N, D) with labels (N,), and how many it tells rightly."""
        loss, correct = self.classifier(output, targets)
        return Outcome(loss, {"acc": correct})

    @property
    def joint(self) -> bool:  # type: ignore[override]
        """Whether the loss looks at all rows of a step."""
        if isinstance(self.classifier, BatchLoss):
            return self.classifier.joint
        return any(head.margin.whole_batch for head in self.heads)

    def watched(self) -> list[Tensor]:
        """What the gradient of the classifier's weight will be made of."""
        return [factor for head in self.heads for factor in head.gradient.factors()]

    def keys(self, positions: Any) -> list[Any]:
        """By what a user finds the images."""
        return list(self.faces.keys(positions))

    def update(self, optimizer: torch.optim.Optimizer, skipped: Tensor | None = None) -> None:
        """The network at once, the classifier's weight a block of identities after the other.

        The norm that ``clip_norm`` bounds is that of all of the network's gradients together, without the classifier's
        (as in arcface_torch; Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013).
        """
        if self.run.clip_norm:
            clip_grad_norm_(self.network.parameters(), self.run.clip_norm)
        super().update(optimizer, skipped)
        for head in self.heads:
            update_rows(optimizer, head, skipped)

    def validate(self, step: int) -> Validation:
        """Accuracy on the verification packs."""
        with self._as_saved():
            return self._validate(step)

    def _validate(self, step: int) -> Validation:
        scores = self.verifier.score(self.network, self.device, self.run.per_batch_size, step)
        self.judged = step, scores
        chance = math.nan
        if scores:
            chance = chance_difference(scores[-1].figures["std"], scores[-1].figures["folds"])
        return Validation(scores, [score.figures["accuracy"] for score in scores], chance)

    def announce(self) -> None:
        """Say what of the network is frozen, and where it cannot be written as MXNet's files."""
        if self.run.freeze:
            sizes = [(each.numel(), each.requires_grad) for each in self.network.parameters()]
            still = sum(size for size, learns in sizes if not learns)
            print(f"frozen: {self.run.freeze}, {still} of the network's {sum(size for size, _ in sizes)} weights stay")
        if problem := mxnet_problem(self.network):
            self.writes_mxnet = False
            print(f"models are saved without MXNet's files: {problem}", flush=True)

    def save(self, folder: Path, number: int, settings: Mapping[str, Any]) -> None:
        """Write the network, ours and MXNet's.

        Old weights of MXNet's go first and new ones come last, so that a run killed in between never leaves the two
        with different weights. It continues from an earlier step and saves both again.
        """
        prefix = str(folder / "model")
        params_path(prefix, number).unlink(missing_ok=True)
        sync_folder(folder)
        with self._as_saved():
            file = save_model(prefix, number, self.network, settings)
            if self.writes_mxnet:
                save_mxnet(prefix, number, self.network)
        write_card(file, self.card(settings))

    def _as_saved(self) -> AbstractContextManager[None]:
        """The network is the one that is verified and saved inside the block."""
        return self.start.mixed_into(self.network) if self.start else nullcontext()

    def card(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """What is to be known of the model that was judged last (:mod:`lwface.models.card`)."""
        step, scores = self.judged
        run = self.run
        left_out = file_sha256(run.leave_out) if run.leave_out else None
        names = [Path(path).name for path in (run.dataset_path, *run.more_paths)] if run.more_paths else [run.dataset]
        data = [
            data_entry(
                name,
                people=len(np.unique(part.labels())),
                images=len(part),
                index=Path(part.records.reader.idx_path),
                licence=run.data_licence,
                left_out=left_out,
            )
            for name, part in zip(names, self.faces.parts, strict=True)
        ]
        return model_card(
            {key: value for key, value in settings.items() if key not in LOCAL_KEYS},
            step=step,
            data=data,
            verification=[{"pack": score.name, **score.figures} for score in scores],
            start=self.start_entry,
        )

    def hints(self) -> list[str]:
        """A lower scale, where there is one."""
        scale = 1.0 if isinstance(self.classifier, BatchLoss) else self.classifier.margin.scale
        return [f"lower loss_s (it is {scale:g})"] if scale > 1 else []

    @property
    def validation_images(self) -> int:
        """Those of the packs, each as it is and mirrored."""
        return 2 * self.verifier.images

    def next_commands(self, model: str) -> list[str]:
        """The gate, and the features."""
        gate = typed("gate", "common/flops_counter.py")
        features = typed("gen-image-feature", "gen_image_feature.py")
        return [
            f"{gate} --model {model} --track deepglint-light",
            f"{features} --model {model} --input DIR --output image.bin",
        ]


def _check_has_head(run: Run) -> None:
    """No setting of a head where the loss has none."""
    for key in ("head_warmup_steps", "margin_warmup_steps"):
        if value := getattr(run, key):
            raise UserError(
                f"{key} = {value}: the loss {run.loss} has no head and no margin on its scores: leave it out"
            )
