"""A face-recognition run, from its settings to its end."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from lwface.base.errors import UserError
from lwface.losses import BatchLoss, Classifier, create_classifier
from lwface.losses.triplet import Triplet
from lwface.models.names import with_epoch
from lwface.models.pixels import Said
from lwface.models.pretrained import Start, start_from
from lwface.recognition.distillation import DistilledTask
from lwface.recognition.head_start import start_at_means
from lwface.recognition.preparation import build_network, open_dataset
from lwface.recognition.task import FaceTask
from lwface.recognition.triplets import TripletTask, whole_triplets
from lwface.recognition.verifier import Verifier
from lwface.reporting.training_log import CONFIG
from lwface.settings.run import Run
from lwface.training.loop import CHECKPOINT, Loop, check_new
from lwface.training.preparation import choose_device, choose_precision, seed_everything
from lwface.training.processes import processes


def run_folder(run: Run) -> Path:
    """Where the models of ``run`` are kept."""
    return Path(run.models_root) / f"{run.network}-{run.loss}-{run.dataset}"


def train(run: Run, *, device: str = "auto", resume: bool = False, track: str | None = None) -> int:
    """Train as ``run`` says, from the beginning or from its checkpoint; the exit status.

    Args:
        device: auto, cpu, cuda or cuda:N.
        resume: go on where there is a checkpoint.
        track: refuse a network over the budget of this track.

    Raises:
        UserError: for all that stops a run before or while it trains.
    """
    folder = run_folder(run)
    print("prefix", folder / "model", flush=True)
    check_new(folder, resume=resume)
    return prepare(run, device=device, track=track, folder=folder).start(resume=resume)


def prepare(run: Run, *, device: str = "auto", track: str | None = None, folder: Path) -> Loop:
    """The loop of ``run``, ready for its first step; nothing is written but the features of its teachers.

    Raises:
        BudgetError: the network is over the budget of ``track``.
        UserError: data, device or model to start from are not there, or do not fit.
    """
    place = choose_device(device)
    run = run.replace(precision=choose_precision(run.precision, place))
    seed_everything(run.seed)
    network = build_network(run, track)
    data, classes = open_dataset(run)
    run = run.replace(num_classes=classes)
    holding = {"chunk": run.fc7_chunk, "products": run.fc7_products, "group": processes().group}
    classifier = create_classifier(run.as_dict(), classes, network.embedding_size, **holding)
    if isinstance(classifier, BatchLoss) and run.sample_rate < 1:
        raise UserError(
            f"sample_rate = {run.sample_rate:g}: the loss {run.loss} has no identities to sample, leave it at 1"
        )
    started_from, goes_on = "", (folder / CHECKPOINT).exists()
    trained = False  # the network, before its first step
    if run.start_share and not (run.pretrained or goes_on):
        raise UserError(f"start_share = {run.start_share:g}: there is nothing to share: give --pretrained MODEL")
    if run.pretrained and goes_on:  # the checkpoint knows what it was started from
        run = run.replace(lr=_rate_begun_with(run, folder))
    elif run.pretrained:
        started_from = with_epoch(run.pretrained, run.pretrained_epoch)
        print("loading", started_from, flush=True)
        said = Said.of(run.pretrained_pixels, run.pretrained_epsilon)
        start = start_from(network, run.pretrained, run.pretrained_epoch, said)
        print(start.text(), flush=True)
        trained = not start.random
        if start.random:
            started_from = ""  # the network is another than that of the file
        run = _choose_rate(run, start)
    # Weights are drawn on the CPU, so that they are the same for every device.
    network = network.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    verifier = Verifier(Path(run.dataset_path), list(run.val_targets), (run.image_shape[0], run.image_shape[1]))
    kind: type[FaceTask] = FaceTask
    if isinstance(classifier, Triplet):
        kind, run = TripletTask, whole_triplets(run)
    if run.teacher:
        kind = DistilledTask
    task = kind(network, classifier.to(place), data, verifier, run, place)
    if run.head_start == "mean" or (run.head_start == "auto" and trained):
        _start_head(task, goes_on)
    return Loop(task, run, device=place, folder=folder, started_from=started_from)


def _start_head(task: FaceTask, goes_on: bool) -> None:
    """Put the centres of the task's classifier, if it has one, at the persons' means, and say so."""
    if not isinstance(task.classifier, Classifier) or goes_on:
        return
    images, people = start_at_means(task.network, task.classifier, task.faces, task.run, task.device)
    print(f"head_start: {people} centres at the mean embeddings of {images} images and their mirrors", flush=True)


def _choose_rate(run: Run, start: Start) -> Run:
    """``run`` with the usual rate again, where nobody asked for one and a large part of the network is not trained."""
    if run.usual_lr is None:
        return run
    if not start.random:
        print(f"learning rate {run.lr:g}, as the network is trained already (--lr chooses another)", flush=True)
        return run
    print(f"learning rate {run.usual_lr:g}, not a tenth of it, as {start.random} (--lr chooses another)", flush=True)
    return run.replace(lr=run.usual_lr)


def _rate_begun_with(run: Run, folder: Path) -> float:
    """The rate of a run that goes on: :func:`_choose_rate` chose it when it began, and ``config.json`` has it."""
    try:
        begun = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["lr"]
    except (OSError, ValueError, KeyError, TypeError):
        return run.lr
    return begun if begun == run.usual_lr else run.lr
